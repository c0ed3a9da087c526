package netconn_test

import (
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROD-24: the reactor stops while a Write is in progress, and nothing is buffered at that moment, because the peer reads fast. The peer must not take what it has for
// the whole.
func TestStopInWrite(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			c := netconn.New(r, nil)
			port, err := r.Listen(loopback(), reactor.One(c.Protocol()), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := w.Peer(t, port.Addr(), r)
			testworld.Until(t, func() bool { return r.Stats().Accepted == 1 }, r)
			const size = 1 << 20
			wrote := begin(c.Write, make([]byte, size))
			var stop func()
			stop = func() {
				for s := range r.Streams() {
					if s.Stats().Sent > 0 {
						_ = r.Stop()
						return
					}
				}
				r.Post(stop)
			}
			r.Post(stop)
			_ = r.Run(t.Context())
			res := <-wrote
			got, err := p.Rest()
			if len(got) == size {
				t.Fatalf("Write has taken %d bytes: %v", res.n, res.err)
			}
			if err == io.EOF || !errors.Is(err, kernel.ErrReset) {
				t.Errorf("PROD-24: the peer reads %d bytes of %d and %v", len(got), size, err)
			}
		})
	}
}
