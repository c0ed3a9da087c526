package reactor_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// GROUP-1: Run runs each loop on a goroutine of its own until Stop, and returns nil. Then the group is over.
func TestGroupRun(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		g := newGroup(t, w, n, reactor.GroupConfig{})
		if g.Len() != n || g.Running() || g.Stop() != reactor.ErrNotRunning {
			t.Error("GROUP-1: a new group runs")
		}
		g.run()
		if err := g.Run(context.Background()); err != reactor.ErrAlreadyRunning {
			t.Errorf("GROUP-1: a second Run: %v", err)
		}
		all := make(chan *reactor.Reactor, n)
		if err := g.Each(func(r *reactor.Reactor) error {
			if !reactor.OnLoop(r) || r.Group() != g.Group || g.Loop(r.Index()) != r {
				t.Error("GROUP-1: called elsewhere")
			}
			all <- r
			return nil
		}); err != nil || len(all) != n {
			t.Errorf("GROUP-4: Each was called on %d loops of %d: %v", len(all), n, err)
		}
		if err := g.stop(); err != nil {
			t.Errorf("GROUP-1: Run returns %v", err)
		}
		if g.Stop() != reactor.ErrNotRunning || g.Run(context.Background()) != reactor.ErrNotRestartable {
			t.Error("GROUP-1: the group can be used again")
		}
		if err := g.Each(func(*reactor.Reactor) error { return nil }); !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("GROUP-4: Each on a stopped group: %v", err)
		}
	})
}

// GROUP-1: the end of the context stops the group. GROUP-8: so does Stop of one of its reactors.
func TestGroupEnds(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		g := newGroup(t, w, n, reactor.GroupConfig{})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		cancel()
		if err := recv(t, ended); err != nil {
			t.Errorf("GROUP-1: %v", err)
		}
		g = newGroup(t, w, n, reactor.GroupConfig{})
		g.run()
		g.PostTo(n-1, func(r *reactor.Reactor) { _ = r.Stop() })
		if err := g.result(); err != nil {
			t.Errorf("GROUP-8: %v", err)
		}
	})
}

// GROUP-4: Each collects errors and panics by loop. Before Run it is called on the caller's goroutine, in the order of
// the loops. In a callback of a loop it panics, and so it does on a goroutine that stands in for one, as a coroutine's does. EachLater serves.
func TestGroupEach(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		var panics atomic.Int32
		g := newGroup(t, w, n, reactor.GroupConfig{Reactor: reactor.Config{Panicked: func(*reactor.PanicError) { panics.Add(1) }}})
		var order []int
		if err := g.Each(func(r *reactor.Reactor) error { order = append(order, r.Index()); return nil }); err != nil || len(order) != n || order[n-1] != n-1 {
			t.Errorf("GROUP-4: before Run: %v, %v", order, err)
		}
		g.run()
		errLoop := errors.New("no")
		err := g.Each(func(r *reactor.Reactor) error {
			if r.Index() == n-1 {
				panic("oh")
			}
			return errLoop
		})
		one, _ := errors.AsType[*reactor.PanicError](err)
		if one == nil || one.Value != "oh" || panics.Load() != 1 || n > 1 && !errors.Is(err, errLoop) || strings.Count(err.Error(), "loop ") != n {
			t.Errorf("GROUP-4: the errors are %v", err)
		}
		later, refused := make(chan error, 1), make(chan any, 2)
		each := func() {
			defer func() { refused <- recover() }()
			_ = g.Each(func(*reactor.Reactor) error { return nil })
		}
		g.PostTo(n-1, func(r *reactor.Reactor) {
			each()
			done := make(chan struct{})
			go func() { r.StandIn(each); close(done) }()
			<-done
			g.EachLater(func(*reactor.Reactor) error { return errLoop }, func(err error) { later <- err })
		})
		for _, where := range []string{"a callback", "a coroutine"} {
			if recv(t, refused) == nil {
				t.Errorf("GROUP-4: Each waits in %s", where)
			}
		}
		if err := recv(t, later); !errors.Is(err, errLoop) {
			t.Errorf("GROUP-4: EachLater: %v", err)
		}
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	})
}

// GROUP-11: PostLead reaches the first loop, or if that is lost meanwhile, the next one. After the end nothing is called.
func TestGroupPostLead(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		g := newGroup(t, w, n, reactor.GroupConfig{})
		reached := make(chan int, 10)
		call := func(r *reactor.Reactor) { reached <- r.Index() }
		g.PostLead(call)
		select {
		case <-reached:
		default:
			t.Error("GROUP-11: PostLead before Run does not call the function")
		}
		g.run()
		on := reactor.Loops(g.Group)
		on.PostLead(call)
		if i := recv(t, reached); i != 0 {
			t.Errorf("GROUP-11: PostLead reaches loop %d", i)
		}
		if n == 1 {
			return
		}
		die := hold(t, g, 0, true)
		on.PostLead(call)
		die()
		if i := recv(t, reached); i != 1 {
			t.Errorf("GROUP-11: after the loss of loop 0, PostLead reaches loop %d", i)
		}
		_ = g.stop()
		on.PostLead(func(*reactor.Reactor) { t.Error("GROUP-11: called after the end") })
	})
}

// GROUP-11: functions that one goroutine posts to one loop are called in order; PostAll reaches each loop once; PostLeast the one
// with the fewest connections. After the end nothing is posted.
func TestGroupPost(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		g := newGroup(t, w, n, reactor.GroupConfig{})
		g.run()
		got := make([][]int, n) // each loop's own
		for i := range 100 * n {
			if !g.PostTo(i%n, func(r *reactor.Reactor) { got[r.Index()] = append(got[r.Index()], i) }) {
				t.Fatal("GROUP-11: not posted")
			}
		}
		var mu sync.Mutex
		reached := map[*reactor.Reactor]int{}
		if m := g.PostAll(func(r *reactor.Reactor) { mu.Lock(); reached[r]++; mu.Unlock() }); m != n {
			t.Errorf("GROUP-11: posted to %d of %d", m, n)
		}
		if err := g.Each(func(r *reactor.Reactor) error {
			for i, v := range got[r.Index()] {
				if v != i*n+r.Index() {
					t.Errorf("GROUP-11: loop %d was called out of order", r.Index())
					break
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		for _, times := range reached {
			if times != 1 || len(reached) != n {
				t.Errorf("GROUP-11: PostAll reached %v", reached)
			}
		}
		mu.Unlock()
		least := make(chan int, n)
		for range n {
			g.PostLeast(func(r *reactor.Reactor) { least <- r.Index() })
		}
		seen := map[int]bool{}
		for range n {
			seen[recv(t, least)] = true
		}
		if len(seen) != n {
			t.Errorf("GROUP-11: of loops with as many connections PostLeast chose %v", seen)
		}
		if err := g.stop(); err != nil {
			t.Fatal(err)
		}
		none := func(*reactor.Reactor) { t.Error("called after the end") }
		if g.PostTo(0, none) || g.PostLeast(none) || g.PostAll(none) != 0 {
			t.Error("GROUP-11: posted after the end")
		}
	})
}

// A group whose kernels or Setup fail is not made, and nothing is left open.
func TestGroupNotMade(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if _, err := reactor.NewGroup(reactor.GroupConfig{}); !errors.Is(err, reactor.ErrNoKernel) {
			t.Errorf("without kernels: %v", err)
		}
		open := func(i, n int) (kernel.Kernel, error) {
			if n != 3 {
				t.Errorf("of %d loops", n)
			}
			if i == 2 {
				return nil, errBroken
			}
			return w.Open(t), nil
		}
		_, err := reactor.NewGroup(reactor.GroupConfig{Loops: 3, Kernel: open})
		if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != 2 || !errors.Is(err, errBroken) {
			t.Errorf("GROUP-1: %v", err)
		}
		var rs []*reactor.Reactor
		_, err = reactor.NewGroup(reactor.GroupConfig{
			Loops: 3, Kernel: func(int, int) (kernel.Kernel, error) { return w.Open(t), nil },
			Setup: func(r *reactor.Reactor) error {
				if rs = append(rs, r); r.Index() == 1 {
					return errBroken
				}
				return nil
			},
		})
		if !errors.Is(err, errBroken) || len(rs) != 2 {
			t.Fatalf("GROUP-1: %v", err)
		}
		for _, r := range rs {
			recv(t, r.Done())
		}
	})
}
