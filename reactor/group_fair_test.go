package reactor_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// simulatedWorld is the simulated world.
func simulatedWorld(t *testing.T) testworld.World {
	t.Helper()
	for _, w := range testworld.Worlds() {
		if w.Simulated() {
			return w
		}
	}
	t.Fatal("there is none")
	return testworld.World{}
}

// turned is a group of two reactors that the test turns.
func turned(t *testing.T, w testworld.World, o *reactor.ListenConfig) (g *reactor.Group, p *reactor.GroupPort, rs [2]*reactor.Reactor) {
	t.Helper()
	rs = [2]*reactor.Reactor{w.New(t, reactor.Config{}), w.New(t, reactor.Config{})}
	g = reactor.GroupOf(reactor.GroupConfig{}, rs[:]...)
	p, err := g.Listen(loopback, new(greeters), o)
	if err != nil {
		t.Fatal(err)
	}
	return g, p, rs
}

// TCP-22: while descriptors are short, the loops of a group accept one after the other. That lasts until none has been short for 50 ms, and takes
// one delayed call of a loop, however often it is short. A loop that ends is short no more.
func TestGroupShortage(t *testing.T) {
	w := simulatedWorld(t)
	g, p, rs := turned(t, w, nil)
	r := rs[0]
	before, began := r.Stats().Pending, r.Now()
	at := func(after time.Duration, want bool) {
		t.Helper()
		testworld.Until(t, func() bool { return r.Now() >= began+after*time.Millisecond }, r)
		if got := reactor.Scarce(g); got != want {
			t.Errorf("TCP-22: after %d ms: %v", after, got)
		}
	}
	r.CallLater(30*time.Millisecond, func() { reactor.Shortage(p, 0) })
	for _, ms := range []time.Duration{20, 40, 60, 90} { // so that time does not jump
		r.CallLater(ms*time.Millisecond, func() {})
	}
	others := r.Stats().Pending
	reactor.Shortage(p, 0)
	reactor.Shortage(p, 0)
	if n := r.Stats().Pending; n != others+1 {
		t.Errorf("TCP-22: %d delayed calls, not %d; at first %d", n, others+1, before)
	}
	at(20, true)
	at(40, true)
	at(60, true) // 30 ms after the last one
	at(90, false)
	reactor.Shortage(p, 0)
	g.Replace(0, w.New(t, reactor.Config{}))
	if reactor.Scarce(g) {
		t.Error("TCP-22: the loop that was short is lost, and the others take turns for ever")
	}
}

// TCP-98: a port of a group that is stopped while another loop has the last place of a limit, and has no connection for it, accepts who waits
// when that place is given back.
func TestGroupStopsWithPlaceAway(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		_, p, rs := turned(t, w, &reactor.ListenConfig{PortLimits: reactor.PortLimits{MaxConnections: 1}})
		f := p.Factory().(*greeters)
		p.PauseAccepting()
		cli := w.New(t, reactor.Config{})
		c := new(caller)
		cli.Dial(p.Addr(), reactor.One(c), nil, nil)
		testworld.Until(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.made }, cli)
		loop := -1 // the one at whose listener it waits
		testworld.Until(t, func() bool {
			for i := range rs {
				if p.StatsOf(i).WaitedPaused > 0 {
					loop = i
				}
			}
			return loop >= 0
		}, rs[0], rs[1], cli)
		give := reactor.HoldPlace(p, 1-loop)
		stopped := false
		p.ResumeAccepting()
		p.StopListening(func(error) { stopped = true })
		for range 5 {
			_, _ = rs[0].Turn(0), rs[1].Turn(0)
		}
		if stopped {
			t.Error("TCP-98: stopped, and there may be room")
		}
		give()
		testworld.Until(t, func() bool { return stopped && c.received() != "" || c.lost() != nil }, rs[0], rs[1], cli)
		if _, _, made, _ := f.counts(); made != 1 || c.lost() != nil {
			t.Errorf("TCP-98: %d served: %v", made, c.lost())
		}
	})
}

// GROUP-15: a loop that takes all it can of MaxBufferedTotal leaves each of the others a piece, also one that is started anew; all together
// have no more than the total.
func TestGroupBudgetFloor(t *testing.T) {
	w := simulatedWorld(t)
	const chunk, total = 16 << 10, 640
	g := newGroup(t, w, 4, reactor.GroupConfig{Reactor: reactor.Config{MaxBufferedTotal: total * chunk}})
	floor := reactor.BudgetOf(g.Loop(1))
	if n := reactor.TakeBudget(g.Loop(0)); floor < 1 || n != total-3*floor || n < total*3/4 {
		t.Errorf("GROUP-15: one loop has %d of %d, another one %d", n, total, floor)
	}
	if n := reactor.TakeBudget(g.Loop(1)); n != floor {
		t.Errorf("GROUP-15: it has %d, and could have %d", n, floor)
	}
	small := newGroup(t, w, 4, reactor.GroupConfig{Reactor: reactor.Config{MaxBufferedTotal: 1}})
	for i := range 4 {
		if reactor.TakeBudget(small.Loop(i)) != 1 {
			t.Errorf("GROUP-15: loop %d of a small budget has %d", i, reactor.BudgetOf(small.Loop(i)))
		}
	}
}

// GROUP-15: a loop that is started anew while another one has all that was to be had can buffer.
func TestGroupBudgetAnew(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		const chunk, total = 16 << 10, 640
		x := newGated(2)
		anew := make(chan int, 3)
		g := newGroup(t, w, 2, reactor.GroupConfig{
			Restarts: 1, Kernel: x.kernels(t, w), Reactor: reactor.Config{MaxBufferedTotal: total * chunk},
			Setup: func(r *reactor.Reactor) error { anew <- reactor.BudgetOf(r); return nil },
		})
		g.run()
		floor := recv(t, anew)
		recv(t, anew)
		lose(t, g, 1)
		taken := make(chan int)
		g.PostTo(0, func(r *reactor.Reactor) { taken <- reactor.TakeBudget(r) })
		if n := recv(t, taken); n != total-floor {
			t.Errorf("GROUP-15: one loop takes %d of %d", n, total)
		}
		x.open(1)
		if n := recv(t, anew); n != floor {
			t.Errorf("GROUP-15: the other one is started anew with %d, not %d", n, floor)
		}
	})
}

// TCP-22: when one loop begins a shortage while that of another one ends, the loops take turns in accepting.
func TestGroupShortageWhileOneEnds(t *testing.T) {
	for _, w := range testworld.Native() {
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		p, err := g.Listen(loopback, new(greeters), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2000 { // the three come to the lock in any order
			reactor.Shortage(p, 0)
			free, ended := reactor.HoldShortage(p, 0), make(chan bool)
			go func() { reactor.ShortageOver(g.Group, 0); close(ended) }()
			go func() { runtime.Gosched(); free() }()
			reactor.Shortage(p, 1)
			if <-ended; !reactor.Scarce(g.Group) {
				t.Fatal("TCP-22: loop 1 has no descriptor, and the other one does not know")
			}
		}
		return // the kernel has no part in it
	}
}
