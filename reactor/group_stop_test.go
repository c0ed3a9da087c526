package reactor_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// diary is a list that several loops write.
type diary struct {
	mu  sync.Mutex
	all []string
}

func (j *diary) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, s)
}

func (j *diary) list() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.all)
}

// GROUP-8: a group stops in order. While the functions of AddStopTrigger are awaited, all loops turn. Then all loops but the first are
// shut down, and then that one.
func TestGroupStopOrder(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		var j diary
		g := newGroup(t, w, n, reactor.GroupConfig{Setup: func(r *reactor.Reactor) error {
			r.AddTrigger(reactor.During, reactor.Shutdown, func() { j.add(string(rune('0' + r.Index()))) })
			return nil
		}})
		asked := make(chan func(), 2)
		for range 2 {
			g.AddStopTrigger(func(done func()) { asked <- done })
		}
		g.run()
		g.PostTo(n-1, func(r *reactor.Reactor) { _ = r.Stop() }) // it is held
		first, second := recv(t, asked), recv(t, asked)
		first()
		first()
		if err := g.Each(func(*reactor.Reactor) error { return nil }); err != nil || len(j.list()) != 0 {
			t.Errorf("GROUP-8: while it stops, %v, and %v have ended", err, j.list())
		}
		if g.Running() {
			t.Error("GROUP-8: it says that it was not asked to stop")
		}
		second()
		if err := g.result(); err != nil {
			t.Error(err)
		}
		if got := j.list(); len(got) != n || got[n-1] != "0" {
			t.Errorf("GROUP-8: the loops ended in the order %v", got)
		}
	})
}

// GROUP-8: StopTimeout limits the wait for functions of AddStopTrigger, and StopWaiting ends it. A function that panics
// counts as done.
func TestGroupStopLimit(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		g := newGroup(t, w, n, reactor.GroupConfig{StopTimeout: 20 * time.Millisecond})
		g.AddStopTrigger(func(func()) {})
		g.run()
		if err := g.stop(); !errors.Is(err, reactor.ErrUnfinished) {
			t.Errorf("GROUP-8: after the limit: %v", err)
		}
		g = newGroup(t, w, n, reactor.GroupConfig{StopTimeout: -1})
		g.AddStopTrigger(func(func()) {})
		g.run()
		g.StopWaiting() // nobody waits yet
		_ = g.Stop()
		g.StopWaiting()
		if err := g.result(); !errors.Is(err, reactor.ErrUnfinished) {
			t.Errorf("GROUP-8: after StopWaiting: %v", err)
		}
		g = newGroup(t, w, n, reactor.GroupConfig{Reactor: reactor.Config{Panicked: func(*reactor.PanicError) {}}})
		g.AddStopTrigger(func(func()) { panic("oh") })
		g.run()
		if err := g.stop(); err != nil {
			t.Errorf("GROUP-8: after a panic: %v", err)
		}
	})
}

// comesBack calls try until it finds nothing wrong, with longer and longer times for a loop to come back from a callback. Also one that is not stuck
// needs its time to end, which the machine decides; if ten seconds are too short, that is the group's fault.
func comesBack(t *testing.T, try func(within time.Duration) (wrong error)) {
	t.Helper()
	var wrong error
	for within := 50 * time.Millisecond; within < time.Minute; within *= 6 {
		if wrong = try(within); wrong == nil {
			return
		}
	}
	t.Error(wrong)
}

// GROUP-8: a loop that does not come back from a callback is left behind after StopTimeout.
func TestGroupStuckLoop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		comesBack(t, func(within time.Duration) (wrong error) {
			g := newGroup(t, w, 3, reactor.GroupConfig{StopTimeout: 50 * time.Millisecond})
			reactor.SetComeBack(g.Group, within)
			g.run()
			stuck, entered := make(chan struct{}), make(chan struct{})
			r := g.Loop(1)
			g.PostTo(1, func(*reactor.Reactor) { close(entered); <-stuck })
			<-entered
			err := g.stop()
			if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != 1 || !errors.Is(err, reactor.ErrUnfinished) {
				wrong = fmt.Errorf("GROUP-8: %w", err)
			}
			close(stuck)
			recv(t, r.Done())
			return wrong
		})
	})
}

// losses are the ways in which a loop is lost.
var losses = map[string]func(g *running, k *failing){
	"kernel": func(g *running, k *failing) { k.fail() },
	"goexit": func(g *running, k *failing) { g.PostTo(1, func(*reactor.Reactor) { runtime.Goexit() }) },
	"crash":  func(g *running, k *failing) { g.PostTo(1, func(r *reactor.Reactor) { r.Crash() }) },
	"panic":  func(g *running, k *failing) { k.panic() },
}

// GROUP-9: a loop that is lost is reported, and its connections are; the others go on, and with them their connections.
// GROUP-10: it is started anew as often as Restarts says, and listens again.
func TestGroupLoss(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				for _, restarts := range []int{0, 2} {
					testLoss(t, w, lose, restarts)
				}
			})
		})
	}
}

func testLoss(t *testing.T, w testworld.World, lose func(*running, *failing), restarts int) {
	var mu sync.Mutex
	ks := map[int]*failing{}
	told := make(chan *reactor.LoopError, 5)
	setups := make(chan int, 10)
	g := newGroup(t, w, 2, reactor.GroupConfig{
		Restarts: restarts,
		Kernel: func(i, _ int) (kernel.Kernel, error) {
			mu.Lock()
			defer mu.Unlock()
			ks[i] = &failing{Kernel: w.Open(t)}
			return ks[i], nil
		},
		Setup: func(r *reactor.Reactor) error { setups <- r.Index(); return nil },
		Lost:  func(e *reactor.LoopError) { told <- e },
	})
	f := new(greeters)
	port, err := g.Listen(loopback, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.run()
	x := newClients(t, w)
	of := make([]*caller, 2) // a connection of each loop
	for tries := 0; of[0] == nil || of[1] == nil; tries++ {
		if tries == 200 {
			t.Fatal("GROUP-2: one loop gets nobody")
		}
		c := x.dial(port.Addr())
		of[c.received()[0]-'0'] = c
	}
	for n := 1; n <= restarts+1; n++ {
		mu.Lock()
		k := ks[1]
		mu.Unlock()
		lost := g.Loop(1)
		lose(g, k)
		e := recv(t, told)
		if e.Loop != 1 || e.Restarted != (n <= restarts) || e.Err == nil {
			t.Errorf("GROUP-9: reported %+v", e)
		}
		recv(t, lost.Done())
		eventually(t, "the connections of the lost loop end", func() bool { return of[1].lost() != nil })
		x.say(of[0], "still here")
		if n <= restarts {
			eventually(t, "GROUP-10: the loop starts again", func() bool { return g.Loop(1) != lost && g.Loop(1).Running() })
			for tries := 0; ; tries++ {
				if tries == 500 {
					t.Fatal("GROUP-10: it does not listen again")
				}
				c := x.dial(port.Addr())
				if strings := c.received(); strings != "" && strings[0] == '1' {
					of[1] = c
					break
				}
			}
		}
	}
	// One loop is left, and all new connections come to it.
	for range 5 {
		if c := x.dial(port.Addr()); c.received() != "0" {
			t.Errorf("GROUP-9: %q from the loop that is left: %v", c.received(), c.lost())
		}
	}
	if got := g.PostTo(1, func(*reactor.Reactor) {}); got {
		t.Error("GROUP-9: posted to a loop that is lost")
	}
	err = g.stop()
	if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != 1 {
		t.Errorf("GROUP-9: Run returns %v", err)
	}
	if s, e, _, _ := f.counts(); s != 1 || e != 1 || len(setups) != 2+restarts {
		t.Errorf("GROUP-10, GROUP-12: started %d times, stopped %d, Setup called %d times", s, e, len(setups))
	}
	if s := port.Stats(); int(s.Accepted) < 7 || s.Open != 0 {
		t.Errorf("GROUP-6: %+v", s)
	}
}

// GROUP-9: if all loops are lost, Run returns.
func TestGroupAllLost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGroup(t, w, 3, reactor.GroupConfig{})
		g.run()
		g.PostAll(func(*reactor.Reactor) { runtime.Goexit() })
		if err := g.result(); !errors.Is(err, reactor.ErrGoroutineEnded) {
			t.Errorf("GROUP-9: %v", err)
		}
	})
}

// GROUP-12: the loss of the loop that has started the factory neither starts nor stops it again. GROUP-7: a loop that is started
// anew while the port is paused accepts nobody.
func TestGroupLosesItsFirstLoop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGroup(t, w, 2, reactor.GroupConfig{Restarts: 1})
		f := new(greeters)
		port, err := g.Listen(loopback, f, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.PauseAccepting()
		g.run()
		lost := g.Loop(0)
		g.PostTo(0, func(*reactor.Reactor) { runtime.Goexit() })
		eventually(t, "GROUP-10: it starts again", func() bool { return g.Loop(0) != lost && g.Loop(0).Running() })
		x := newClients(t, w)
		var all []*caller
		for range 40 { // some of them at the new loop: the system draws by the port of the client
			all = append(all, x.start(port.Addr()))
		}
		eventually(t, "clients wait", func() bool { return port.StatsOf(0).WaitedPaused > 0 || port.StatsOf(0).Accepted > 0 })
		if n := port.Stats().Accepted; n != 0 {
			t.Errorf("GROUP-7: %d accepted", n)
		}
		port.ResumeAccepting()
		for _, c := range all {
			eventually(t, "it is served", func() bool { return c.received() != "" })
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		if started, ended, _, _ := f.counts(); started != 1 || ended != 1 {
			t.Errorf("GROUP-12: started %d times, stopped %d", started, ended)
		}
	})
}
