package reactor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// In a relay each side is the other's producer, and closes the other when it is lost. The write side
// of a fails while a has something unread. So b is told to stop, which closes it, and waits for a,
// which delivers the rest and is lost. Then b has all that it must send, and closes at once
// (PROD-11).
func TestRelayToTheBroken(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, tail := range []string{"", "tail", strings.Repeat("t", 100000)} {
			f := &testworld.Faults{}
			r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{})
			var both []*end
			port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
				both = append(both, new(end))
				return both[len(both)-1]
			}), &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{CloseTimeout: time.Minute}})
			pa := w.Peer(t, port.Addr(), r)
			until(t, r, func() bool { return len(both) == 1 })
			pb := w.Peer(t, port.Addr(), r)
			until(t, r, func() bool { return len(both) == 2 })
			a, b := both[0], both[1]
			a.onData = func(p []byte) { b.s.Write(p) }
			b.onData = func(p []byte) {
				a.s.ResumeProducing() // it was held, so that the tail is unread
				a.s.Write(p)
			}
			a.onLost = func(error) { b.s.Close() }
			b.onLost = func(error) { a.s.Close() }
			a.s.RegisterProducer(b.s)
			b.s.RegisterProducer(a.s)
			a.s.PauseProducing()
			testworld.Turns(t, r, 2)
			pa.Send(tail)
			testworld.Turns(t, r, 3)
			broken := false
			f.Write = func() error {
				if !broken {
					broken = true
					return kernel.ErrReset
				}
				return nil
			}
			at := r.Now()
			pb.Send(strings.Repeat("b", 20000))
			until(t, r, func() bool { return a.err != nil && b.err != nil })
			if d := r.Now() - at; b.err != reactor.ErrClosed || d > 20*time.Second || len(a.got) != len(tail) {
				t.Errorf("PROD-11: a got %d of %d bytes; b was lost with %v after %v", len(a.got), len(tail), b.err, d)
			}
		}
	})
}

// trailing is the transport of a layer that sends a trailer when it is closed. It is no Producer.
type trailing struct {
	reactor.Transport
	closes int
}

func (u *trailing) Close() error {
	u.closes++
	u.Transport.Write([]byte("trailer"))
	return u.Transport.Close()
}

func (u *trailing) Unwrap() reactor.Transport { return u.Transport }

// trailingLayer is that layer.
type trailingLayer struct {
	reactor.Base
	up *trailing
}

func (l *trailingLayer) Above() reactor.Transport { return l.up }
func (l *trailingLayer) DataReceived([]byte)      {}

// StopProducing of a retired transport closes the layer, and not the connection below it, though that
// is a Producer and the layer is none (PROD-11).
func TestStopProducingBelowLayer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		e := new(end)
		port := listen(t, r, one(e), nil)
		p := w.Peer(t, port.Addr(), r)
		until(t, r, func() bool { return e.s != nil })
		up := &trailing{}
		if _, err := e.s.SwitchProtocol(&trailingLayer{up: up}); err != nil {
			t.Fatal(err)
		}
		up.Transport = reactor.Retire(e.s)
		r.CallLater(0, e.s.StopProducing)
		if got, err := p.Rest(); up.closes != 1 || string(got) != "trailer" {
			t.Errorf("PROD-11: the layer was closed %d times, the peer got %q, %v", up.closes, got, err)
		}
	})
}
