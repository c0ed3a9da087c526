package reactor_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// GROUP-7: of calls of PauseAccepting and ResumeAccepting, the last one holds on all loops, also if the errands of the first come to a loop last.
func TestGroupPauseOrder(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for _, want := range []bool{false, true} {
			for _, at := range []kernel.Addr{loopback, socketName(t)} {
				testPauseOrder(t, w, at, want)
			}
		}
	})
}

func testPauseOrder(t *testing.T, w testworld.World, at kernel.Addr, want bool) {
	g := newGroup(t, w, 2, reactor.GroupConfig{})
	p, err := g.Listen(at, new(greeters), nil)
	if err != nil {
		t.Fatal(err)
	}
	first, last := p.PauseAccepting, p.ResumeAccepting
	if want {
		first, last = last, first
	}
	g.run()
	one, both := make(chan bool), make(chan bool)
	g.PostTo(1, func(*reactor.Reactor) { <-one; last(); close(both) })
	g.PostTo(0, func(*reactor.Reactor) { first(); close(one) })
	recv(t, both)
	if err := g.Each(func(r *reactor.Reactor) error { // behind the errands of both
		if got := reactor.PartPaused(p, r.Index()); got != want {
			t.Errorf("GROUP-7: loop %d of %v pauses: %v, want %v as the last call says", r.Index(), at, got, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// deafUntil is a Control that fails, but for the first calls and when it may succeed, and counts.
type deafUntil struct {
	first, calls atomic.Int32
	may          atomic.Bool
}

func (d *deafUntil) control(uintptr) error {
	if d.calls.Add(1) > d.first.Load() && !d.may.Load() {
		return errors.New("short of something for now")
	}
	return nil
}

// GROUP-2: a loop that is to accept for all in place of a lost one, and cannot listen at first, tries again until it can. Listening says that
// nobody listens meanwhile.
func TestGroupListensAgainAfterFailure(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		var d deafUntil
		d.first.Store(1)
		o := new(reactor.ListenConfig)
		o.Control = d.control
		g := newGroup(t, w, 3, reactor.GroupConfig{})
		p, err := g.Listen(socketName(t), new(greeters), o)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		if !p.Listening() {
			t.Error("GROUP-2: it does not listen")
		}
		lose(t, g, 0)
		eventually(t, "GROUP-2: it tries again", func() bool { return d.calls.Load() >= 3 })
		if p.Listening() {
			t.Error("GROUP-2: it says that it listens, and nobody does")
		}
		d.may.Store(true)
		eventually(t, "GROUP-2: it listens in the end", p.Listening)
		if c := newClients(t, w).dial(p.Addr()); c.received() == "" {
			t.Errorf("GROUP-2: nobody serves: %v", c.lost())
		}
	})
}

// GROUP-10: a loop that was started anew, and cannot listen at the ports of the group at first, tries again until it can: the only loop, and one
// of those that a port is spread over.
func TestGroupRestartedListensLater(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for n := 1; n <= 2; n++ {
			testRestartedListens(t, w, n)
		}
	})
}

func testRestartedListens(t *testing.T, w testworld.World, n int) {
	var d deafUntil
	d.first.Store(9)
	o := new(reactor.ListenConfig)
	o.Control = d.control
	g := newGroup(t, w, n, reactor.GroupConfig{Restarts: 1})
	p, err := g.Listen(loopback, new(greeters), o)
	if err != nil {
		t.Fatal(err)
	}
	d.first.Store(d.calls.Load())
	g.run()
	lose(t, g, n-1)
	others := p.Spread() || n > 1 // one listens all the time
	if n == 1 || p.Spread() {
		eventually(t, "GROUP-10: it tries again", func() bool { return d.calls.Load() > d.first.Load()+1 })
	}
	if p.Listening() != others {
		t.Errorf("GROUP-10: %d loops: Listening is %v", n, p.Listening())
	}
	d.may.Store(true)
	eventually(t, "GROUP-10: all listen again", func() bool {
		return reactor.PartListens(p, 0) && (!p.Spread() || reactor.PartListens(p, n-1))
	})
}

// GROUP-7: StopListening ends a port for which a loop tries to listen again: done is called once, and nothing is tried afterwards. GROUP-12: the
// factory is stopped once.
func TestGroupStopListeningWhileDeaf(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		var d deafUntil
		d.first.Store(1)
		o := new(reactor.ListenConfig)
		o.Control = d.control
		f := new(greeters)
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		p, err := g.Listen(socketName(t), f, o)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		lose(t, g, 0)
		eventually(t, "it has tried", func() bool { return d.calls.Load() >= 2 })
		stopped := make(chan error, 9)
		p.StopListening(func(err error) { stopped <- err })
		if err := recv(t, stopped); err != nil {
			t.Errorf("GROUP-7: %v", err)
		}
		if err := g.Each(func(r *reactor.Reactor) error {
			if n := len(r.DelayedCalls()); n != 0 {
				t.Errorf("GROUP-7: %d calls are pending on loop %d after the end", n, r.Index())
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if s, e, _, _ := f.counts(); s != 1 || e != 1 || len(stopped) != 0 {
			t.Errorf("GROUP-12: started %d times, stopped %d; done was called %d times more", s, e, len(stopped))
		}
	})
}

// GROUP-7: StopListening ends a port whose socket a loop is opening, too: it may be called by the Control of that socket.
func TestGroupStopListeningInControl(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		var p *reactor.GroupPort
		stopped := make(chan error, 9)
		calls := 0
		o := new(reactor.ListenConfig)
		o.Control = func(uintptr) error {
			if calls++; calls == 2 {
				p.StopListening(func(err error) { stopped <- err })
			}
			return nil
		}
		f := new(greeters)
		at := socketName(t)
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		var err error
		if p, err = g.Listen(at, f, o); err != nil {
			t.Fatal(err)
		}
		g.run()
		lose(t, g, 0)
		if err := recv(t, stopped); err != nil {
			t.Errorf("GROUP-7: %v", err)
		}
		if err := g.Each(func(*reactor.Reactor) error { return nil }); err != nil { // behind what is left to do
			t.Error(err)
		}
		if p.Listening() || reactor.PartListens(p, 1) {
			t.Error("GROUP-7: it listens after its end")
		}
		if got := newClients(t, w).dial(at).received(); got != "" {
			t.Errorf("GROUP-7: a client got %q after its end", got)
		}
		if s, e, _, _ := f.counts(); s != 1 || e != 1 || len(stopped) != 0 {
			t.Errorf("GROUP-12: started %d times, stopped %d; done was called %d times more", s, e, len(stopped))
		}
	})
}
