package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"hash/fnv"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/tlsio"
)

// seeded is a run of two connections, the second of which resumes the session of the
// first, and what it hashes to: what has happened, and every byte of ciphertext.
func seeded(t *testing.T, seed uint64, chunk int, version uint16) (hash uint64, ciphertext string) {
	cryptotest.SetGlobalRandom(t, seed)
	n := sim.New(seed)
	n.Options.Chunk, n.Options.Spurious = chunk, .1
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 5 * time.Millisecond}
	srvHost, cliHost := n.Host("srv"), n.Host("cli")
	sc, cc := configs(version)
	cc.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	sum := fnv.New128a()
	for i := range 2 {
		srv, cli := new(end), new(end)
		want := pattern(20_000)
		if chunk > 0 {
			want = want[:1000] // what it hashes is every piece
		}
		srv.onData = func(p []byte) { srv.c.Write(p) }
		cli.onShaken = func() { cli.c.Write(want) }
		cli.onData = func([]byte) {
			if len(cli.got) == len(want) {
				cli.c.Close()
			}
		}
		p, err := srvHost.Reactor.Listen(srvHost.Addr(uint16(443+i)), &tap{tlsio.Server(sc, one(srv), nil), func(p []byte) { sum.Write(p) }}, nil)
		if err != nil {
			t.Fatal(err)
		}
		cliHost.Reactor.Dial(p.Addr(), &tap{tlsio.Client(cc, one(cli), nil), func(p []byte) { sum.Write(p) }}, nil, nil)
		if err := n.RunUntil(func() bool { return srv.lost() && cli.lost() }, time.Hour); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(cli.got, want) || cli.err != reactor.ErrClosed {
			t.Fatalf("seed %d: %d bytes, %v", seed, len(cli.got), cli.err)
		}
		if cli.state.DidResume != (i == 1) || srv.state.DidResume != (i == 1) {
			t.Errorf("seed %d: connection %d resumed: %v, %v", seed, i, cli.state.DidResume, srv.state.DidResume)
		}
	}
	hash = n.Hash()
	n.Close()
	return hash, fmt.Sprintf("%x", sum.Sum(nil))
}

// tap is a factory whose protocols' input is also seen by see.
type tap struct {
	reactor.Factory
	see func([]byte)
}

// BuildProtocol puts the tap below.
func (f *tap) BuildProtocol(a kernel.Addr) reactor.Protocol {
	return &tapped{f.Factory.BuildProtocol(a), f.see}
}

type tapped struct {
	reactor.Protocol
	see func([]byte)
}

func (p *tapped) DataReceived(b []byte)    { p.see(b); p.Protocol.DataReceived(b) }
func (p *tapped) Unwrap() reactor.Protocol { return p.Protocol }

// A seed is a run, to the last byte of ciphertext, handshakes and resumption included.
func TestSeedRepeats(t *testing.T) {
	seeds := 10
	if raced {
		seeds = 2
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		seen := map[string]bool{}
		for seed := range uint64(seeds) {
			for _, chunk := range []int{7, 0} {
				a, text := seeded(t, seed, chunk, v)
				b, again := seeded(t, seed, chunk, v)
				if a != b || text != again {
					t.Fatalf("seed %d, chunk %d: %x %s and %x %s", seed, chunk, a, text, b, again)
				}
				seen[text] = true
			}
		}
		if len(seen) < seeds {
			t.Errorf("%d runs are %d different ones", 2*seeds, len(seen))
		}
	}
}
