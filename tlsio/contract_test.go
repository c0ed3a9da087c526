package tlsio_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/transporttest"
	"github.com/whorl-go/whorl/tlsio"
)

// Conn holds the contract of a transport (TLS-7): on every kernel, however the ciphertext is cut
// and in turn as client and server, with TLS 1.2 and 1.3.
func TestConnContract(t *testing.T) {
	type way struct {
		version uint16
		client  bool
	}
	all := []way{{tls.VersionTLS13, true}, {tls.VersionTLS12, false}, {tls.VersionTLS13, false}, {tls.VersionTLS12, true}}
	turn := 0
	for name, w := range testworld.Chunked() {
		ways := all[turn%len(all):][:1]
		turn++
		if raced && (w.Chunk() > 0 || w.Simulated()) {
			continue // the race detector is slow, and sees no more in other pieces
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some of the time is waiting
			for _, how := range ways {
				t.Run(fmt.Sprintf("%s/client=%v", tls.VersionName(how.version), how.client), func(t *testing.T) {
					transporttest.Run(t, conns(w.Crowded(), how.version, how.client))
				})
			}
		})
	}
}

// conns connects pairs in w of which a is the client, or the server.
func conns(w testworld.World, version uint16, aIsClient bool) transporttest.Pair {
	sc, cc := configs(version)
	sc.SessionTicketsDisabled = true // fewer bytes to be cut
	return func(t *testing.T, c reactor.Config, a, b reactor.Protocol) transporttest.Link {
		// What is written in a callback becomes one record when that returns (TLS-10).
		link := transporttest.Link{Moment: time.Millisecond, Gathers: true}
		var marks reactor.StreamConfig
		k := w.Open(t)
		switch {
		case w.Chunk() > 0:
			link.Much, link.Deep = 1024, !w.Simulated()
			marks = reactor.StreamConfig{HighWater: 100, LowWater: 20}
			if n := w.Net(); n != nil {
				n.Options.SendBuffer, n.Options.RecvBuffer = 200, 200
			}
		case !w.Simulated() && w.Name() != "epoll": // to fill the sockets of one kernel is enough
			k = (&testworld.Faults{MaxWrite: 4 << 10}).Wrap(k)
			link.Much, link.Deep = 256<<10, true
			marks = reactor.StreamConfig{HighWater: 16 << 10}
		}
		c.ReadBuffer = 32 << 10
		r := testworld.New(t, k, c)
		link.Until = func(done func() bool) { t.Helper(); testworld.Until(t, done, r) }
		srv, cli := b, a
		if !aIsClient {
			srv, cli = a, b
		}
		port, err := r.Listen(loopback(), tlsio.Server(sc, one(srv), nil), &reactor.ListenConfig{StreamConfig: marks})
		if err != nil {
			t.Fatal(err)
		}
		r.Dial(port.Addr(), tlsio.Client(cc, one(cli), nil), &reactor.DialConfig{StreamConfig: marks}, func(_ reactor.Protocol, err error) {
			if _, panicked := errors.AsType[*reactor.PanicError](err); err != nil && !panicked {
				t.Errorf("dial: %v", err)
			}
		})
		return link
	}
}
