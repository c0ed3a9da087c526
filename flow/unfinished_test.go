package flow_test

import (
	"errors"
	"io"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// pieces is a PullProducer that has as many pieces.
type pieces struct {
	t    reactor.Transport
	on   *flow.Pulling
	left int
	ends bool // it unregisters at the end
}

func (p *pieces) Produce() bool {
	if p.left > 0 {
		p.left--
		_, _ = p.t.Write(make([]byte, 64<<10))
		return true
	}
	if p.ends {
		p.on.Unregister()
	}
	return false
}

func (p *pieces) StopProducing() {}

// PROD-24: the reactor stops while a PullProducer has more, and the transport has sent what it was given. The peer must not take that for the whole. If nothing is left, it reads
// an orderly end, whether the producer has said that nothing comes any more, or nothing for now.
func TestPullUnfinished(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, c := range []struct {
			pieces int
			ends   bool
		}{{1, true}, {1, false}, {16, true}} {
			r := w.New(t, reactor.Config{})
			a := new(app)
			a.made = func(reactor.Transport) {
				x := &pieces{t: a.T, left: c.pieces, ends: c.ends}
				x.on, _ = flow.Pull(a.T, x)
			}
			port := listen(t, r, reactor.One(a))
			p := w.Peer(t, port.Addr(), r)
			until(t, r, func() bool { return a.T != nil })
			if c.pieces == 1 {
				testworld.Turns(t, r, 5) // it finds that there is nothing more
			}
			r.Post(func() { _ = r.Stop() })
			_ = r.Run(t.Context())
			got, err := p.Rest()
			if part := c.pieces > 1; errors.Is(err, kernel.ErrReset) != part || (err == io.EOF) == part || !part && len(got) != 64<<10 {
				t.Errorf("PROD-24: %d pieces, unregisters %v: the peer reads %d bytes and %v", c.pieces, c.ends, len(got), err)
			}
		}
	})
}

// PROD-24: the reactor stops, or the peer ends its direction, while messages wait in a queue. They are dropped, and the peer must not take what it has for all.
func TestQueueUnfinished(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, how := range []string{"stop", "half-close"} {
			for _, waits := range []bool{true, false} {
				r := w.New(t, reactor.Config{})
				a := new(app)
				port := listen(t, r, reactor.One(a))
				p := w.Peer(t, port.Addr(), r)
				until(t, r, func() bool { return a.T != nil })
				q, err := flow.NewQueue(a.T, &flow.QueueOptions{MaxBytes: -1})
				if err != nil {
					t.Fatal(err)
				}
				for waits && q.Stats().Queued < 3 || q.Stats().Sent == 0 {
					if err := q.Send(make([]byte, 64<<10)); err != nil {
						t.Fatal(err)
					}
				}
				if how == "stop" {
					r.Post(func() { _ = r.Stop() })
					_ = r.Run(t.Context())
				} else {
					p.CloseWrite()
					until(t, r, func() bool { return a.err != nil })
				}
				got, err := p.Rest()
				if errors.Is(err, kernel.ErrReset) != waits || (err == io.EOF) == waits {
					t.Errorf("PROD-24: %s, messages wait: %v: the peer reads %d bytes and %v", how, waits, len(got), err)
				}
			}
		}
	})
}
