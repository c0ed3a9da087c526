package reactor_test

import (
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
