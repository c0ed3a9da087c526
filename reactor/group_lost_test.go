package reactor_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// lose ends the goroutine of a loop, without a word to its connections.
func lose(t *testing.T, g *running, loop int) {
	t.Helper()
	r := g.Loop(loop)
	r.Post(runtime.Goexit)
	eventually(t, "the loop is lost", func() bool { return g.Loop(loop) != r || !r.Post(func() {}) })
}

// lossy are the kernels on which a loop's goroutine can be ended beside the others.
func lossy(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// What a lost loop had of MaxConnections and MaxPerPeer is free again.
func TestGroupLimitsAfterLoss(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		for _, limits := range []reactor.PortLimits{{MaxPerPeer: 1}, {MaxConnections: 1}} {
			g := newGroup(t, w, 2, reactor.GroupConfig{Restarts: 3})
			p, err := g.Listen(loopback, &greeters{}, &reactor.ListenConfig{PortLimits: limits})
			if err != nil {
				t.Fatal(err)
			}
			g.run()
			x := newClients(t, w)
			for range 3 {
				lose(t, g, int(x.dial(p.Addr()).received()[0]-'0'))
				eventually(t, "GROUP-5: the place is free", func() bool {
					return p.Stats().Peers == 0 && p.Stats().Open == 0 && g.Loop(0).Running() && g.Loop(1).Running()
				})
			}
			x.dial(p.Addr()).received()
		}
	})
}

// A Setup that fails when a loop is started anew loses that loop, and no other.
func TestGroupSetupFailsAgain(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		calls := 0
		lost := make(chan *reactor.LoopError, 9)
		broken := errors.New("no table")
		g := newGroup(t, w, 2, reactor.GroupConfig{Restarts: 1, Lost: func(e *reactor.LoopError) { lost <- e }, Setup: func(*reactor.Reactor) error {
			if calls++; calls > 2 {
				return broken
			}
			return nil
		}})
		g.run()
		lose(t, g, 1)
		if e := recv(t, lost); !errors.Is(e, reactor.ErrGoroutineEnded) {
			t.Error(e)
		}
		if e := recv(t, lost); !errors.Is(e, broken) || e.Restarted {
			t.Errorf("%+v", e)
		}
		if !g.Running() || !g.PostTo(0, func(*reactor.Reactor) {}) {
			t.Error("GROUP-10: the other loop has ended too")
		}
	})
}

// A stop of a port waits for what one loop has accepted for another that is busy: no protocol is built after StopFactory, and after done.
func TestGroupStopWaitsForArrivals(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		f := &greeters{}
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		p, err := g.Listen(socketName(t), f, nil) // one loop accepts for both
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		x := newClients(t, w)
		first := hold(t, g, 0, false)
		var all []*caller
		for range 6 {
			all = append(all, x.start(p.Addr()))
		}
		for _, c := range all {
			eventually(t, "all are in the queue", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.made })
		}
		stopped := make(chan error, 1)
		p.StopListening(func(err error) { stopped <- err })
		eventually(t, "loop 1 has stopped its part", func() bool { return reactor.PartClosed(p, 1) })
		second := hold(t, g, 1, false)
		first()
		eventually(t, "all are accepted", func() bool { return p.StatsOf(0).Accepted == 6 })
		eventually(t, "both have stopped their parts", func() bool { return reactor.PartClosed(p, 0) && reactor.PartClosed(p, 1) })
		select {
		case <-stopped:
			t.Error("GROUP-7: stopped, and connections are under way")
		default:
		}
		second()
		if err := recv(t, stopped); err != nil {
			t.Error(err)
		}
		if _, ended, made, _ := f.counts(); ended != 1 || made != 6 {
			t.Errorf("GROUP-7: the factory was stopped %d times when %d protocols were made", ended, made)
		}
		for _, c := range all {
			eventually(t, "GROUP-3: each client is served", func() bool { return c.received() != "" })
		}
	})
}
