package reactor_test

import (
	"runtime"
	"sync"
	"testing"
	"weak"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// GROUP-12: a factory is started once and stopped once, also if all loops are lost at a time and started anew. GROUP-10: the port
// is served again.
func TestGroupFactoryWithoutLoops(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for _, n := range groupSizes {
			x := newGated(n)
			f := new(greeters)
			g := newGroup(t, w, n, reactor.GroupConfig{Restarts: 1, Kernel: x.kernels(t, w)})
			tcp, err := g.Listen(loopback, f, nil)
			if err != nil {
				t.Fatal(err)
			}
			unix, err := g.Listen(socketName(t), f, nil)
			if err != nil {
				t.Fatal(err)
			}
			g.run()
			for i := range n {
				lose(t, g, i)
			}
			if s, e, _, _ := f.counts(); s != 1 || e != 0 {
				t.Errorf("GROUP-12: %d loops: started %d times, stopped %d, and the loops come again", n, s, e)
			}
			for i := n - 1; i >= 0; i-- { // the first is another one than before
				x.open(i)
				if i == n-1 {
					c := newClients(t, w)
					for c.dial(unix.Addr()).received() == "" { // until it listens
						runtime.Gosched()
					}
				}
			}
			eventually(t, "all run again", func() bool {
				for i := range n {
					if !g.Loop(i).Running() {
						return false
					}
				}
				return true
			})
			c := newClients(t, w)
			if c.dial(tcp.Addr()).received() == "" || c.dial(unix.Addr()).received() == "" {
				t.Errorf("GROUP-10: %d loops: it does not listen again", n)
			}
			if err := g.stop(); err != nil {
				t.Error(err)
			}
			if s, e, _, _ := f.counts(); s != 1 || e != 1 {
				t.Errorf("GROUP-12: %d loops: started %d times, stopped %d", n, s, e)
			}
		}
	})
}

// GROUP-12: if the loops are lost for good, the factory is stopped.
func TestGroupFactoryAfterAll(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for _, n := range groupSizes {
			f := new(greeters)
			g := newGroup(t, w, n, reactor.GroupConfig{})
			for range 2 {
				if _, err := g.Listen(loopback, f, nil); err != nil {
					t.Fatal(err)
				}
			}
			g.run()
			g.PostAll(func(*reactor.Reactor) { runtime.Goexit() })
			_ = g.result()
			if s, e, _, _ := f.counts(); s != 1 || e != 1 {
				t.Errorf("GROUP-12: %d loops: started %d times, stopped %d", n, s, e)
			}
		}
	})
}

// GROUP-12: a port that ends while the loop of its factory is lost does not stop the factory of another one, which moves as well.
func TestGroupFactoryMovesTogether(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		f := new(greeters)
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		var ports [2]*reactor.GroupPort
		for i := range ports {
			p, err := g.Listen(socketName(t), f, nil)
			if err != nil {
				t.Fatal(err)
			}
			ports[i] = p
		}
		g.run()
		holds, goes := make(chan bool), make(chan bool)
		g.Loop(0).Post(func() {
			close(holds)
			<-goes
			runtime.Goexit()
		})
		recv(t, holds)
		stopped := make(chan error, 1)
		ports[0].StopListening(func(err error) { stopped <- err })
		for range 3 { // the other loop is done with that port
			if _, err := reactor.Ask(g.Loop(1), func() (struct{}, error) { return struct{}{}, nil }); err != nil {
				t.Fatal(err)
			}
		}
		close(goes)
		if err := recv(t, stopped); err != nil {
			t.Error(err)
		}
		if s, e, _, _ := f.counts(); s != 1 || e != 0 {
			t.Errorf("GROUP-12: started %d times, stopped %d, and one port listens", s, e)
		}
		_ = g.stop()
		if s, e, _, _ := f.counts(); s != 1 || e != 1 {
			t.Errorf("GROUP-12: started %d times, stopped %d", s, e)
		}
	})
}

// GROUP-12: a factory that a lost loop had in use for itself as well is stopped with the port of the group, also if that ends at the moment of the loss.
func TestGroupFactoryOfLostLoop(t *testing.T) {
	w := simulatedWorld(t)
	g, p, rs := turned(t, w, nil)
	f := p.Factory().(*greeters)
	if _, err := rs[0].Listen(socketName(t), f, nil); err != nil {
		t.Fatal(err)
	}
	stopped := false
	p.StopListening(func(error) { stopped = true })
	turns(rs[1], 5)
	rs[1].Crash() // so what it is given is done at once
	g.Replace(0, w.New(t, reactor.Config{}))
	turns(rs[1], 5)
	if s, e, _, _ := f.counts(); !stopped || s != 1 || e != 1 {
		t.Errorf("GROUP-12: stopped %v; started %d times, stopped %d", stopped, s, e)
	}
}

// A loop that was lost, and was started anew, is no longer in memory, whatever it had in use when it was lost.
func TestGroupLostLoopIsFreed(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		g := newGroup(t, w, 1, reactor.GroupConfig{Restarts: 1, Setup: func(r *reactor.Reactor) error {
			_, err := r.Listen(loopback, new(greeters), nil)
			return err
		}})
		if _, err := g.Listen(loopback, new(greeters), nil); err != nil {
			t.Fatal(err)
		}
		g.run()
		was := weak.Make(g.Loop(0))
		lose(t, g, 0)
		eventually(t, "the lost loop is freed", func() bool {
			runtime.GC()
			return was.Value() == nil
		})
	})
}

// GROUP-6: the counters of a port do not go down when another loop accepts for all. A connection that this one has from before counts as open.
func TestGroupCountersMove(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		p, err := g.Listen(socketName(t), new(greeters), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		x := newClients(t, w)
		var stays *caller
		for stays == nil || stays.received() != "1" {
			stays = x.dial(p.Addr())
		}
		before := p.Stats()
		lose(t, g, 0)
		var late *caller
		for late == nil || late.received() == "" {
			late = x.dial(p.Addr())
		}
		if s := p.Stats(); s.Accepted != before.Accepted+1 || s.Open != 2 || p.StatsOf(1).Open != 2 {
			t.Errorf("GROUP-6: before %+v, after %+v", before, s)
		}
		x.say(stays, "still here")
		x.close(stays)
		x.close(late)
		eventually(t, "GROUP-6: none is open", func() bool { return p.Stats().Open == 0 })
	})
}

// GROUP-10: Setup of a loop that is started anew may use the group, as the first Setup may. GROUP-9: so may Lost, whatever has ended the loop.
func TestGroupUsedInSetup(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) { lossy(t, func(t *testing.T, w testworld.World) { testUsedInSetup(t, w, lose) }) })
	}
}

func testUsedInSetup(t *testing.T, w testworld.World, lose func(*running, *failing)) {
	var mu sync.Mutex
	var ports []*reactor.GroupPort
	ks := &failings{}
	var g *running
	told, again := make(chan int, 1), make(chan int, 1)
	use := func() (reached int) {
		_ = g.Each(func(*reactor.Reactor) error { mu.Lock(); reached++; mu.Unlock(); return nil })
		if s := g.Stats(); len(s.Loops) != 2 {
			t.Error("GROUP-6: no counters")
		}
		return reached
	}
	g = newGroup(t, w, 2, reactor.GroupConfig{
		Restarts: 1,
		Kernel:   ks.kernels(t, w),
		Setup: func(r *reactor.Reactor) error {
			if r.Index() == 0 {
				return nil
			}
			p, err := r.Group().Listen(loopback, new(greeters), nil)
			mu.Lock()
			ports = append(ports, p)
			second := len(ports) == 2
			mu.Unlock()
			if second {
				again <- use()
			}
			return err
		},
		Lost: func(*reactor.LoopError) { told <- use() },
	})
	g.run()
	lose(g, ks.of(1))
	if n := recv(t, told); n != 1 {
		t.Errorf("GROUP-9: in Lost, Each reaches %d loops of one", n)
	}
	if n := recv(t, again); n != 2 {
		t.Errorf("GROUP-10: in Setup, Each reaches %d loops of two", n)
	}
	x := newClients(t, w)
	mu.Lock()
	defer mu.Unlock()
	for _, p := range ports {
		seen := map[string]bool{}
		for tries := 0; len(seen) < 2 && tries < 300; tries++ {
			seen[x.dial(p.Addr()).received()] = true
		}
		if !seen["0"] || !seen["1"] {
			t.Errorf("GROUP-2: a port of Setup is served by %v", seen)
		}
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
}
