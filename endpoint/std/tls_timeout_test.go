package std_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// TestTLSTimeoutCoversTheHandshake: a server that accepts the connection and never answers the
// hello. EP-19: the attempt is over after timeout, counted from Connect; EP-2: done was called
// before that, with the protocol.
func TestTLSTimeoutCoversTheHandshake(t *testing.T) {
	const limit = 60 * time.Millisecond
	ca := newAuthority(t, "ca")
	for name, w := range testworld.Worlds() {
		for _, scheme := range []string{"tls", "ssl"} {
			t.Run(name+"/"+scheme, func(t *testing.T) {
				r := w.New(t, reactor.Config{})
				silent := listen(t, r, "tcp:0:interface=127.0.0.1", new(sites))
				d := describe(scheme, "127.0.0.1", portOf(silent), "timeout=0.06", "trustRoots="+ca.file)
				if scheme == "ssl" {
					d = describe(scheme, "127.0.0.1", portOf(silent), "timeout=0.06", "caCertsDir="+ca.file)
				}
				var got result
				var f sites
				began := r.Now()
				client(t, d).Connect(r, &f, got.done)
				until(t, r, func() bool { return got.calls > 0 })
				if p := f.built[0]; got.err != nil || got.p != reactor.Protocol(p) || p.lost != nil {
					t.Fatalf("EP-2: done got %v and %v, and it was lost with %v", got.p, got.err, p.lost)
				}
				until(t, r, func() bool { return f.built[0].lost != nil })
				took, err := r.Now()-began, f.built[0].lost
				if took < limit || w.Simulated() && took > limit+time.Millisecond {
					t.Errorf("EP-19: it took %v, want %v", took, limit)
				}
				if !errors.Is(err, tlsio.ErrHandshakeTimeout) || !errors.Is(err, kernel.ErrTimeout) || !strings.Contains(err.Error(), "TLS handshake took too long") {
					t.Errorf("EP-19: lost with %v", err)
				}
			})
		}
	}
}

// EP-19: after the handshake timeout means nothing.
func TestTLSTimeoutEndsWithTheHandshake(t *testing.T) {
	const limit = 200 * time.Millisecond
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("localhost", "localhost", "127.0.0.1")
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			srv := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1"))
			p := dialTLS(t, r, describe("tls", "127.0.0.1", portOf(srv), "timeout=10", "trustRoots="+ca.file))
			q := dialTLS(t, r, describe("tls", "127.0.0.1", portOf(srv), "timeout=0.2", "trustRoots="+ca.file))
			over := false
			r.CallLater(2*limit, func() { over = true })
			until(t, r, func() bool { return over })
			if len(p.state) != 1 || len(q.state) != 1 || p.lost != nil || q.lost != nil {
				t.Errorf("EP-19: %d and %d handshakes, lost with %v and %v", len(p.state), len(q.state), p.lost, q.lost)
			}
		})
	}
}
