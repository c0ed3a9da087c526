package reactor_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// hold keeps a loop in a callback until free is called. If lost, the callback then ends the goroutine of the loop.
func hold(t *testing.T, g *running, loop int, lost bool) (free func()) {
	t.Helper()
	busy, gate := make(chan bool), make(chan bool)
	g.PostTo(loop, func(*reactor.Reactor) {
		close(busy)
		<-gate
		if lost {
			runtime.Goexit()
		}
	})
	recv(t, busy)
	return sync.OnceFunc(func() { close(gate) })
}

// gated are kernels of w. Those of loops that are started anew come when their gate is opened.
type gated struct {
	mu    sync.Mutex
	made  map[int]bool
	gates map[int]chan struct{}
}

func newGated(loops int) *gated {
	x := &gated{made: map[int]bool{}, gates: map[int]chan struct{}{}}
	for i := range loops {
		x.gates[i] = make(chan struct{})
	}
	return x
}

func (x *gated) kernels(t *testing.T, w testworld.World) func(int, int) (kernel.Kernel, error) {
	return func(i, _ int) (kernel.Kernel, error) {
		x.mu.Lock()
		first := !x.made[i]
		x.made[i] = true
		x.mu.Unlock()
		if !first {
			<-x.gates[i]
		}
		return w.Open(t), nil
	}
}

func (x *gated) open(loops ...int) {
	for _, i := range loops {
		close(x.gates[i])
	}
}

// GROUP-7: a connection that was under way when all loops were lost is reset, and a later stop of the port does not wait for it.
func TestGroupArrivalsOfNobody(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		x := newGated(2)
		f := new(greeters)
		g := newGroup(t, w, 2, reactor.GroupConfig{Restarts: 1, Kernel: x.kernels(t, w)})
		p, err := g.Listen(socketName(t), f, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		free := hold(t, g, 1, true)
		c := newClients(t, w)
		var all []*caller
		for range 4 {
			all = append(all, c.start(p.Addr()))
		}
		eventually(t, "all are accepted", func() bool { return p.StatsOf(0).Accepted == 4 })
		lose(t, g, 0)
		free()
		for _, one := range all {
			eventually(t, "GROUP-9: it ends", func() bool { return one.lost() != nil })
		}
		x.open(0, 1)
		stopped := make(chan error, 1)
		p.StopListening(func(err error) { stopped <- err })
		if err := recv(t, stopped); err != nil {
			t.Errorf("GROUP-7: %v", err)
		}
		if s, e, _, _ := f.counts(); s != 1 || e != 1 {
			t.Errorf("GROUP-12: started %d times, stopped %d", s, e)
		}
	})
}

// GROUP-7: StopListening is answered although a loop is lost before it has stopped its part, whether that one accepts or not.
func TestGroupStopBesideLoss(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for _, loop := range []int{0, 1} {
			for _, restarts := range []int{0, 1} {
				f := new(greeters)
				g := newGroup(t, w, 2, reactor.GroupConfig{Restarts: restarts})
				p, err := g.Listen(socketName(t), f, nil) // loop 0 accepts
				if err != nil {
					t.Fatal(err)
				}
				g.run()
				free := hold(t, g, loop, true)
				stopped := make(chan error, 1)
				p.StopListening(func(err error) { stopped <- err })
				free()
				if err := recv(t, stopped); err != nil {
					t.Errorf("GROUP-7: without loop %d: %v", loop, err)
				}
				if s, e, _, _ := f.counts(); s != 1 || e != 1 {
					t.Errorf("GROUP-12: started %d times, stopped %d", s, e)
				}
				g.stop()
			}
		}
	})
}

// GROUP-4: the done of EachLater is called although the loop is lost that was to call it.
func TestGroupEachLaterBesideLoss(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		g.run()
		first, second := hold(t, g, 0, false), hold(t, g, 1, false)
		answered := make(chan error, 1)
		g.EachLater(func(*reactor.Reactor) error { return nil }, func(err error) { answered <- err })
		busy, gate := make(chan bool), make(chan bool)
		g.PostTo(0, func(*reactor.Reactor) { close(busy); <-gate; runtime.Goexit() }) // behind the function of Each
		first()
		recv(t, busy)
		second()
		eventually(t, "loop 1 has answered", func() bool { return reactor.Asked(g.Group, 1) == 0 })
		close(gate)
		if err := recv(t, answered); err != nil {
			t.Errorf("GROUP-4: %v", err)
		}
	})
}

// GROUP-4, GROUP-6: Each and Stats answer when a stop has left a loop behind. GROUP-8: it does so whichever loop does not come back, also
// the one that would be stopped last.
func TestGroupEachBesideStuck(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for _, loop := range []int{0, 1} {
			comesBack(t, func(within time.Duration) error { return eachBesideStuck(t, w, loop, within) })
		}
	})
}

func eachBesideStuck(t *testing.T, w testworld.World, loop int, within time.Duration) (wrong error) {
	g := newGroup(t, w, 2, reactor.GroupConfig{StopTimeout: 100 * time.Millisecond})
	reactor.SetComeBack(g.Group, within)
	g.run()
	lost := g.Loop(loop)
	free := hold(t, g, loop, false)
	each, stats := make(chan error, 1), make(chan reactor.GroupStats, 1)
	go func() { each <- g.Each(func(*reactor.Reactor) error { return nil }) }()
	go func() { stats <- g.Stats() }()
	eventually(t, "they were asked", func() bool { return reactor.Asked(g.Group, loop) == 2 })
	err := g.stop()
	if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != loop || !errors.Is(err, reactor.ErrUnfinished) {
		wrong = fmt.Errorf("GROUP-8: without loop %d: %w", loop, err)
	}
	err = recv(t, each)
	if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != loop || !errors.Is(err, reactor.ErrStopped) {
		wrong = errors.Join(wrong, fmt.Errorf("GROUP-4: without loop %d: %w", loop, err))
	}
	if s := recv(t, stats); s.Loops[loop].Turns != 0 || s.Loops[1-loop].Turns == 0 {
		wrong = errors.Join(wrong, fmt.Errorf("GROUP-6: without loop %d: %+v", loop, s))
	}
	free()
	recv(t, lost.Done())
	return wrong
}
