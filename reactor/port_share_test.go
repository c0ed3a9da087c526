package reactor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
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

// shared is n ports that share limits, with the number of connections that each has got.
type shared struct {
	*limited
	ports []*reactor.Port
	got   []int
}

// newShared listens n times. made, if not nil, is called with each connection that is made.
func newShared(t *testing.T, w testworld.World, n int, o reactor.PortLimits, made func(*end)) *shared {
	t.Helper()
	s := &shared{got: make([]int, n)}
	faults := &testworld.Faults{}
	r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{})
	cfg := &reactor.ListenConfig{PortLimits: o}
	s.limited = &limited{gate: &gate{service: &service{}, w: w, r: r, faults: faults}}
	for i := range n {
		s.ports = append(s.ports, listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			s.got[i]++
			e := new(end)
			if s.ends = append(s.ends, e); made != nil {
				e.onMade = func() { made(e) }
			}
			return e
		}), cfg))
		cfg = &reactor.ListenConfig{ShareLimits: s.ports[0]}
	}
	s.port = s.ports[0]
	return s
}

// connect has n clients connect to each of the ports.
func (s *shared) connect(t *testing.T, n int) {
	t.Helper()
	for range n {
		for _, p := range s.ports {
			s.w.Peer(t, p.Addr())
		}
	}
}

// TCP-92: three ports that share their limits have the room one after the other, however the
// kernel reports them.
func TestSharedMaxConnectionsInTurn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		s := newShared(t, w, 3, reactor.PortLimits{MaxConnections: 1}, nil)
		s.connect(t, 4)
		for i := range 12 {
			s.comes(t, i+1)
			testworld.Turns(t, s.r, 4)
			if least, most := slices.Min(s.got), slices.Max(s.got); i > 2 && most-least > 1 {
				t.Fatalf("after %d the ports have got %v", i+1, s.got)
			}
			s.end(t, i)
		}
		if n := len(s.r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls while nobody waits", n)
		}
	})
}

// TCP-92: a port whose connections end at once, and at which there are always clients, does not
// keep those of another waiting.
func TestSharedMaxConnectionsShortLived(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var s *shared
		s = newShared(t, w, 2, reactor.PortLimits{MaxConnections: 1}, func(e *end) { s.r.Post(func() { e.s.Abort() }) })
		s.connect(t, 3)
		for range 30 {
			w.Peer(t, s.port.Addr())
		}
		until(t, s.r, func() bool { return s.got[1] == 3 })
		if s.got[0] > 10 {
			t.Errorf("the first has got %d, the second 3", s.got[0])
		}
		until(t, s.r, func() bool { return s.got[0] == 33 })
	})
}

// TCP-95: two ports that share AcceptRate have the connections that become due in turn.
func TestSharedAcceptRateInTurn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		s := newShared(t, w, 2, reactor.PortLimits{AcceptRate: 200, AcceptBurst: 1}, nil)
		s.connect(t, 10)
		at := s.r.Now()
		until(t, s.r, func() bool { return s.got[0]+s.got[1] >= 10 })
		if s.got[0] < 4 || s.got[1] < 4 {
			t.Errorf("the ports have got %v", s.got)
		}
		if d := s.r.Now() - at; d < time.Duration(len(s.ends)-1)*5*time.Millisecond {
			t.Errorf("%d were accepted in %v", len(s.ends), d)
		}
	})
}

// waits has a client connect to the i-th port, which must wait.
func (s *shared) waits(t *testing.T, i int) {
	t.Helper()
	waited := func() uint64 { return s.ports[i].Stats().WaitedFull + s.ports[i].Stats().WaitedRate }
	before := waited()
	s.w.Peer(t, s.ports[i].Addr())
	until(t, s.r, func() bool { return waited() > before })
}

// TCP-92: nobody is left at the port that has waited longest, or accepting fails there: the next has the
// room at once, and that port waits as the others.
func TestSharedLimitsOfOneThatAcceptsNobody(t *testing.T) {
	for _, err := range []error{kernel.ErrAgain, kernel.ErrNoResources} {
		t.Run(err.Error(), func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				s := newShared(t, w, 3, reactor.PortLimits{MaxConnections: 1}, nil)
				w.Peer(t, s.port.Addr())
				s.comes(t, 1)
				s.waits(t, 1)
				s.waits(t, 2)
				s.faults.Accept = func() error { s.faults.Accept = nil; return err }
				s.end(t, 0)
				for i, want := range [][]int{{1, 0, 1}, {1, 1, 1}} {
					s.comes(t, i+2)
					if !slices.Equal(s.got, want) {
						t.Fatalf("the ports have got %v, want %v", s.got, want)
					}
					s.end(t, i+1)
				}
			})
		})
	}
}

// TCP-97, TCP-98: the longest waiting of three ports that share their limits is paused or stopped:
// the next has the room at once. When it accepts again it waits as the others.
func TestSharedLimitsOfOneThatLeaves(t *testing.T) {
	leave := map[string]func(*testing.T, *reactor.Port){
		"paused":  func(_ *testing.T, p *reactor.Port) { p.PauseAccepting() },
		"stopped": func(t *testing.T, p *reactor.Port) { stopped(t, p) },
	}
	for _, o := range []reactor.PortLimits{{MaxConnections: 1}, {AcceptRate: 10, AcceptBurst: 1}} {
		for name, leave := range leave {
			t.Run(fmt.Sprintf("%s/%d", name, o.MaxConnections), func(t *testing.T) {
				worlds(t, func(t *testing.T, w testworld.World) {
					s := newShared(t, w, 3, o, nil)
					w.Peer(t, s.port.Addr())
					s.comes(t, 1)
					s.waits(t, 1)
					s.waits(t, 2)
					leave(t, s.ports[1])
					s.end(t, 0)
					s.comes(t, 2)
					if !slices.Equal(s.got, []int{1, 0, 1}) {
						t.Fatalf("the ports have got %v", s.got)
					}
					testworld.Turns(t, s.r, 3)
					if n := len(s.r.DelayedCalls()); n != 0 {
						t.Errorf("%d delayed calls while nobody waits", n)
					}
					if name == "paused" {
						s.ports[1].ResumeAccepting()
					} else {
						if err := s.ports[1].StartListening(); err != nil {
							t.Fatal(err)
						}
						s.waits(t, 1)
					}
					s.end(t, 1)
					s.comes(t, 3)
					if !slices.Equal(s.got, []int{1, 1, 1}) {
						t.Errorf("the ports have got %v", s.got)
					}
				})
			})
		}
	}
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
