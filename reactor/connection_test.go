package reactor_test

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// veiled is a transport around another. It shows the other, and no method but those of
// Transport.
type veiled struct{ reactor.Transport }

func (v veiled) Unwrap() reactor.Transport { return v.Transport }

// shut is a transport that has no capability, and no other below it.
type shut struct {
	reactor.Transport
	closed int
}

func (s *shut) Close() error { s.closed++; return nil }

// neverProduces is a producer that writes nothing.
type neverProduces struct{ stopped int }

func (*neverProduces) PauseProducing()  {}
func (*neverProduces) ResumeProducing() {}
func (n *neverProduces) StopProducing() { n.stopped++ }

// The transport of a Base pauses, takes a producer and ends one direction, also behind a
// wrapper that has no such methods.
func TestBaseConnection(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, wrapped := range []bool{false, true} {
			r := w.New(t, reactor.Config{})
			a, b := new(end), new(end)
			connect(t, r, a, b)
			var tr reactor.Transport = a.s
			if wrapped {
				tr = veiled{tr}
			}
			var base reactor.Base
			base.ConnectionMade(tr)
			if c, ok := base.T.(*reactor.Stream); ok == wrapped || ok && c != a.s {
				t.Errorf("wrapped %v: T is a %T", wrapped, base.T)
			}
			if s, ok := reactor.As[*reactor.Stream](base.T); !ok || s != a.s {
				t.Errorf("wrapped %v: As finds no Stream", wrapped)
			}
			base.T.PauseProducing()
			b.s.Write([]byte("late"))
			c, d := new(end), new(end) // what is sent later, to another one, comes
			connect(t, r, c, d)
			d.s.Write([]byte("later"))
			until(t, r, func() bool { return string(c.got) == "later" })
			if len(a.got) > 0 {
				t.Errorf("wrapped %v: %q was delivered while paused", wrapped, a.got)
			}
			base.T.ResumeProducing()
			until(t, r, func() bool { return string(a.got) == "late" })
			p := new(neverProduces)
			if err := base.T.RegisterProducer(p); err != nil {
				t.Fatal(err)
			}
			if err := base.T.RegisterProducer(p); !errors.Is(err, reactor.ErrProducerRegistered) {
				t.Errorf("a second producer: %v", err)
			}
			base.T.UnregisterProducer()
			base.T.Write([]byte("seven b"))
			if n := base.T.Buffered(); n != 7 {
				t.Errorf("wrapped %v: %d bytes are buffered", wrapped, n)
			}
			if !reactor.Produces(base.T) {
				t.Errorf("wrapped %v: an open connection produces nothing", wrapped)
			}
			if err := base.T.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			until(t, r, func() bool { return b.err != nil })
			until(t, r, func() bool { return !reactor.Produces(base.T) })
		}
	})
}

// What a transport cannot do, ConnectionOf does not pretend.
func TestConnectionOfWithout(t *testing.T) {
	s := new(shut)
	c := reactor.ConnectionOf(s)
	c.PauseProducing()
	c.ResumeProducing()
	if err := c.RegisterProducer(new(neverProduces)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("RegisterProducer: %v", err)
	}
	c.UnregisterProducer()
	if n := c.Buffered(); n != 0 {
		t.Errorf("Buffered is %d", n)
	}
	if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite: %v", err)
	}
	c.StopProducing()
	if c.Close(); s.closed != 2 {
		t.Errorf("closed %d times, not 2", s.closed)
	}
}
