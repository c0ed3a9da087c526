package reactor_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// sharing listens at a second port with the limits of g. Those of its own configuration are ignored.
func sharing(t *testing.T, g *limited) *reactor.Port {
	t.Helper()
	return listen(t, g.r, g, &reactor.ListenConfig{ShareLimits: g.port, PortLimits: reactor.PortLimits{MaxConnections: 1}})
}

// TCP-92: two ports that share their limits have MaxConnections together, and the end of a
// connection of one lets a client of the other in, also after one was stopped for a while.
func TestSharedMaxConnections(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 2})
		second := sharing(t, g)
		has := func(first, other int) {
			t.Helper()
			if a, b := g.port.Stats().Open, second.Stats().Open; a != first || b != other {
				t.Errorf("%d and %d are open, want %d and %d", a, b, first, other)
			}
		}
		g.crowd(t, 2)
		g.comes(t, 2)
		w.Peer(t, second.Addr())
		g.stays(t)
		g.end(t, 0)
		g.comes(t, 3)
		has(1, 1)
		g.crowd(t, 1)
		g.stays(t)
		g.end(t, 2)
		g.comes(t, 4)
		has(2, 0)
		stopped(t, second)
		if err := second.StartListening(); err != nil {
			t.Fatal(err)
		}
		w.Peer(t, second.Addr())
		g.stays(t)
		g.end(t, 1)
		g.comes(t, 5)
		has(1, 1)
	})
}

// TCP-92: neither of two ports that share their limits keeps the clients of the other waiting
// for ever, although there are always clients of its own.
func TestSharedMaxConnectionsAlternate(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 1})
		second := sharing(t, g)
		g.crowd(t, 6)
		g.comes(t, 1)
		w.Peer(t, second.Addr())
		g.stays(t)
		for i := range 3 {
			g.end(t, i)
			g.comes(t, i+2)
		}
		if n := second.Stats().Accepted; n != 1 {
			t.Errorf("%d were accepted at the second port", n)
		}
	})
}

// TCP-94: a peer has MaxPerPeer connections of both ports together.
func TestSharedMaxPerPeer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxPerPeer: 1})
		second := sharing(t, g)
		g.crowd(t, 1)
		g.comes(t, 1)
		c := w.Peer(t, second.Addr())
		until(t, g.r, func() bool { return second.Stats().Refused == 1 })
		seesReset(t, c)
		if s := second.Stats(); s.TooManyOfPeer != 1 || s.Open != 0 || s.Peers != 1 {
			t.Errorf("%+v", s)
		}
		g.end(t, 0)
		w.Peer(t, second.Addr())
		g.comes(t, 2)
	})
}

// TCP-95: AcceptRate holds for both ports together.
func TestSharedAcceptRate(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{AcceptRate: 10, AcceptBurst: 1})
		second := sharing(t, g)
		g.crowd(t, 1)
		g.comes(t, 1)
		began := g.r.Now()
		w.Peer(t, second.Addr())
		g.comes(t, 2)
		if took, waited := g.r.Now()-began, second.Stats().WaitedRate; took < 100*time.Millisecond && waited == 0 {
			t.Errorf("accepted after %v, waited %d times", took, waited)
		}
	})
}

// A port of another reactor has counters that another goroutine may use.
func TestShareLimitsOfAnotherReactor(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		port := listen(t, w.New(t, reactor.Config{}), reactor.Each[end](), nil)
		r := w.New(t, reactor.Config{})
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		r.Listen(loopback, reactor.Each[end](), &reactor.ListenConfig{ShareLimits: port})
	})
}
