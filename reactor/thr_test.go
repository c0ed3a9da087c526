package reactor_test

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// goroutineName names the calling goroutine.
func goroutineName() string {
	buf := make([]byte, 64)
	name, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), " [")
	return name
}

func TestPostOrder(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const posters, each = 4, 100
		r := w.New(t, reactor.Config{})
		loop := goroutineName()
		next := [posters]int{} // no lock: it belongs to the loop
		left := posters * each
		for p := range posters {
			go func() {
				for i := range each {
					r.Post(func() {
						if g := goroutineName(); g != loop {
							t.Errorf("THR-1: called on %s, not %s", g, loop)
						}
						if next[p] != i {
							t.Errorf("THR-1: call %d came when %d was next", i, next[p])
						}
						next[p]++
						if left--; left == 0 {
							r.Stop()
						}
					})
				}
			}()
		}
		runToEnd(t, r)
		same(t, next[:], each, each, each, each) // THR-1: a hundred at once
	})
}

func TestPostNeverCalls(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		// THR-9: nothing comes back of what the function does.
		var post func(func()) bool = r.Post
		var s steps
		post(func() {
			s.add("before run")
			post(func() { s.add("inner"); r.Stop() })
			s.add("posted")
		})
		if len(s) != 0 {
			t.Error("THR-2: Post called its function")
		}
		runToEnd(t, r)
		same(t, s, "before run", "posted", "inner") // THR-2
	})
}

func TestPostBatches(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, bytewise)
		timer, io, rounds := false, false, 0
		p := newInput(t, w, r)
		p.read = func() { io = true; p.off() }
		p.on()
		turns := r.Stats().Turns
		r.CallLater(ms, func() { timer = true })
		k.asleep = func(until time.Duration) {
			if until != 0 && rounds > 0 {
				t.Errorf("THR-5: with a function posted it waits until %v", until)
			}
		}
		var again func()
		again = func() {
			rounds++
			if n := r.Stats().Turns; n != turns+1 {
				t.Errorf("THR-3: round %d in turn %d", rounds, n-turns)
			}
			turns = r.Stats().Turns
			if timer && io {
				k.asleep = nil
				r.Stop()
				return
			}
			r.Post(again) // it cannot starve timers and I/O
		}
		r.Post(again)
		runToEnd(t, r)
	})
}

func TestPostFromDelayedCall(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{})
		ran := false
		r.CallLater(0, func() { r.Post(func() { ran = true; r.Stop() }) })
		k.asleep = func(until time.Duration) {
			if until != 0 && !ran && len(r.DelayedCalls()) == 0 {
				t.Errorf("THR-4: with a function posted and no timer it waits until %v", until)
			}
		}
		runToEnd(t, r)
		if !ran || k.wakes.Load() != 0 {
			t.Errorf("THR-4: called: %v, with %d wake-ups", ran, k.wakes.Load())
		}
	})
}

func TestPostWhileBusy(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const posts = 100_000
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{})
		n := 0
		count := func() {
			if n++; n == posts {
				r.Stop()
			}
		}
		r.Post(func() {
			posted := make(chan struct{})
			go func() {
				for range posts {
					r.Post(count)
				}
				close(posted)
			}()
			<-posted // the loop is busy
		})
		runToEnd(t, r)
		if n != posts {
			t.Errorf("THR-6: %d calls of %d", n, posts)
		}
		if got := k.wakes.Load(); got != 0 {
			t.Errorf("THR-6: %d system calls to wake a loop that was not asleep", got)
		}
	})
}

func TestOneWakeUpForManyPosts(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const posters, each, rounds = 4, 25, 50
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{})
		n, sleeps := 0, 0
		k.asleep = func(until time.Duration) {
			if until != kernel.Forever {
				return
			}
			sleeps++
			before := k.wakes.Load()
			var all sync.WaitGroup
			for range posters {
				all.Go(func() {
					for range each {
						r.Post(func() { n++ })
					}
				})
			}
			all.Wait()
			// All posts while the loop sleeps make one system call. It may come before
			// the wait, which must not miss it (WAKE-3, WAKE-4).
			if got := k.wakes.Load() - before; got != 1 {
				t.Errorf("THR-6: %d wake-ups for %d posts", got, posters*each)
			}
			if sleeps == rounds {
				r.Post(func() { r.Stop() })
			}
		}
		runToEnd(t, r)
		if n != rounds*posters*each || sleeps != rounds {
			t.Errorf("%d calls, %d sleeps", n, sleeps)
		}
	})
}

// TestNoLostWakeUp has several goroutines post to a loop that sleeps again and again. If
// one wake-up is lost, they all wait for ever.
func TestNoLostWakeUp(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const posters, rounds = 4, 1000
		r := w.New(t, reactor.Config{})
		sum := 0
		var all sync.WaitGroup
		for range posters {
			all.Go(func() {
				for range rounds {
					if _, err := reactor.Ask(r, func() (int, error) { sum++; return sum, nil }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() { all.Wait(); r.Stop() }() // Stop wakes it too
		runToEnd(t, r)
		if sum != posters*rounds {
			t.Errorf("THR-8: %d calls of %d", sum, posters*rounds)
		}
	})
}

func TestPostedPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := testworld.NewLog(t)
		var s steps
		r := w.New(t, reactor.Config{Logger: log.Logger(), Panicked: func(e *reactor.PanicError) { s.add(e.Error()) }})
		r.Post(s.adds("first"))
		r.Post(func() { panic("one") })
		r.Post(func() { panic("two") })
		r.Post(s.adds("last"))
		testworld.Turns(t, r, 1)
		same(t, s, "first", "panic in posted function: one", "panic in posted function: two", "last") // THR-7
		if n := len(log.Take("ERROR panic ")); n != 2 || r.Stats().Panics != 2 {
			t.Errorf("THR-7: %d logged, %d counted", n, r.Stats().Panics)
		}
	})
}

func TestPoolThreadWakesLoop(t *testing.T) {
	nativeWorlds(t, "threads of a pool", func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{})
		asleep := make(chan struct{})
		var once sync.Once
		k.asleep = func(until time.Duration) {
			if until == kernel.Forever {
				once.Do(func() { close(asleep) })
			}
		}
		loop, woken := "", false
		r.CallWhenRunning(func() {
			loop = goroutineName()
			err := r.CallInThread(func() {
				if goroutineName() == loop {
					t.Error("THR-13: called on the loop's goroutine")
				}
				<-asleep
				r.Post(func() {
					if goroutineName() != loop {
						t.Error("THR-13: not called on the loop's goroutine")
					}
					woken = true
					r.Stop()
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
		runToEnd(t, r)
		if !woken || k.wakes.Load() == 0 {
			t.Error("THR-8: the sleeping loop was not woken")
		}
	})
}

func TestPoolLife(t *testing.T) {
	nativeWorlds(t, "threads of a pool", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{PoolSize: 1})
		p := r.Pool()
		var ran, queued atomic.Bool
		looked := make(chan struct{})
		if err := r.CallInThread(func() { <-looked; ran.Store(true) }); err != nil {
			t.Error(err)
		}
		if got := p.Stats(); got != (pool.Stats{Queued: 1}) || ran.Load() {
			t.Errorf("THR-11, THR-12: before the run the pool works: %+v", got)
		}
		release := make(chan struct{})
		r.CallWhenRunning(func() {
			if got := p.Stats(); got.Workers != 1 {
				t.Errorf("THR-11: not started: %+v", got)
			}
			close(looked)
			r.CallInThread(func() { <-release })
			r.CallInThread(func() {
				// It can only finish if somebody waits for it.
				if _, err := reactor.Ask(r, func() (int, error) { return 0, nil }); err != nil {
					t.Errorf("THR-17: asked during the join: %v", err)
				}
				queued.Store(true)
			})
			r.Stop()
		})
		r.AddTrigger(reactor.During, reactor.Shutdown, func() {
			if err := r.CallInThread(func() {}); err != nil || p.Stats().Workers != 1 {
				t.Errorf("THR-11: joined before the end of shutdown: %v", err)
			}
			close(release)
		})
		r.AddTrigger(reactor.After, reactor.Shutdown, func() {
			if !queued.Load() {
				t.Error("THR-16: shutdown went on without waiting for the pool")
			}
		})
		runToEnd(t, r)
		if got := p.Stats(); got != (pool.Stats{}) || !ran.Load() || !queued.Load() {
			t.Errorf("THR-11, THR-16: after the run: %+v, ran %v, queued ran %v", got, ran.Load(), queued.Load())
		}
		// THR-15, THR-18: it is the same pool, and it takes nothing any more.
		if err := r.CallInThread(func() {}); err != pool.ErrStopped || r.Pool() != p {
			t.Errorf("THR-18: after the end: %v", err)
		}
	})
}

func TestPoolOfReactorNeverRun(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := r.Pool()
		if err := r.CallInThread(func() { t.Error("THR-12: executed without a run") }); err != nil {
			t.Error(err)
		}
		r.Close() // THR-15: shutdown without a run
		if got := r.Pool().Stats(); got != (pool.Stats{}) {
			t.Errorf("THR-12: something is left: %+v", got)
		}
		if err := r.CallInThread(func() {}); err != pool.ErrStopped || r.Pool() != p {
			t.Errorf("THR-15: %v, or another pool", err)
		}
	})
}

// occupy gives r's pool n tasks that wait, turns until they work, and returns the
// way to end them.
func occupy(t *testing.T, r *reactor.Reactor, n int) (release func()) {
	t.Helper()
	c := make(chan struct{})
	for range n {
		if err := r.CallInThread(func() { <-c }); err != nil {
			t.Fatal(err)
		}
	}
	return func() { close(c) }
}

func TestPoolSize(t *testing.T) {
	nativeWorlds(t, "threads of a pool", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		if p := r.Pool(); p == nil || p != r.Pool() {
			t.Error("THR-10: none, or two pools")
		}
		if got := r.Pool().Stats().Workers; got != 0 {
			t.Errorf("THR-10: a minimum of %d workers", got)
		}
		release := occupy(t, r, 12)
		workers := func(what string, want int) {
			t.Helper()
			testworld.Turns(t, r, 1)
			if got := r.Pool().Stats(); got.Workers != want {
				t.Errorf("%s: %+v", what, got)
			}
		}
		workers("THR-10: ten by default", 10)
		if err := r.SuggestPoolSize(11); err != nil {
			t.Error(err)
		}
		workers("THR-14: up", 11)
		for _, n := range []int{0, -1} {
			if err := r.SuggestPoolSize(n); !errors.Is(err, pool.ErrSize) {
				t.Errorf("THR-14: size %d: %v", n, err)
			}
		}
		if err := r.SuggestPoolSize(2); err != nil {
			t.Error(err)
		}
		release()
		for r.Pool().Stats().Workers > 0 {
			runtime.Gosched() // they end by themselves
		}
		release = occupy(t, r, 3)
		workers("THR-14: down", 2)
		release()
		before := w.New(t, reactor.Config{PoolSize: 3})
		if err := before.SuggestPoolSize(1); err != nil { // THR-14: before the run
			t.Error(err)
		}
		release = occupy(t, before, 3)
		testworld.Turns(t, before, 1)
		if got := before.Pool().Stats().Workers; got != 1 {
			t.Errorf("THR-14: suggested before the run: %d workers", got)
		}
		release()
	})
}

func TestResultsDuringShutdown(t *testing.T) {
	nativeWorlds(t, "threads of a pool", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{PoolSize: 2})
		var s steps
		release := make(chan struct{})
		reactor.InThread(r, func() (int, error) { <-release; return 7, nil }, func(n int, err error) {
			s.add(fmt.Sprint("result ", n, err))
			r.Post(s.adds("posted by it"))
		})
		asked := make(chan error, 1)
		r.CallInThread(func() {
			<-release
			v, err := reactor.Ask(r, func() (int, error) { return 1, nil })
			if v != 1 {
				err = errors.Join(err, errors.New("no answer"))
			}
			asked <- err
		})
		r.AddTrigger(reactor.During, reactor.Shutdown, func() { close(release) })
		r.AddTrigger(reactor.After, reactor.Shutdown, func() { r.Post(s.adds("posted after it")) })
		r.CallWhenRunning(func() { r.Stop() })
		runToEnd(t, r)
		same(t, s, "result 7 <nil>", "posted by it", "posted after it") // THR-17: delivered during the join, and to the end
		if err := <-asked; err != nil {
			t.Errorf("THR-17: asked during the join: %v", err)
		}
		if _, err := reactor.Ask(r, func() (int, error) { return 1, nil }); err != reactor.ErrStopped {
			t.Errorf("THR-21: asked after the end: %v", err)
		}
		var refused error
		reactor.InThread(r, func() (int, error) { t.Error("THR-18: called after the end"); return 0, nil }, func(_ int, err error) { refused = err })
		if !errors.Is(refused, pool.ErrStopped) {
			t.Errorf("THR-18, THR-32: work after the end: %v", refused)
		}
	})
}

// TestBatchAroundShutdown ends the shutdown inside a posted function, while more
// functions of the same batch wait.
func TestBatchAroundShutdown(t *testing.T) {
	nativeWorlds(t, "threads of a pool", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		asked := make(chan error, 1)
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
			r.Post(func() {
				done() // posts the rest of the shutdown
				r.Post(s.adds("behind it"))
				posted := make(chan struct{})
				r.CallInThread(func() {
					close(posted)
					_, err := reactor.Ask(r, func() (int, error) { s.add("asked"); return 0, nil })
					asked <- err
				})
				<-posted
				r.Post(s.adds("last"))
			})
		})
		r.CallWhenRunning(func() { r.Stop() })
		runToEnd(t, r)
		if err := <-asked; err != nil {
			t.Errorf("THR-17: %v", err)
		}
		if len(s) != 3 || s[0] != "behind it" {
			t.Errorf("THR-17: of the batch that ended the shutdown only %v ran", s)
		}
	})
}

func TestInThread(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		loop := goroutineName()
		broken := errors.New("broken")
		for _, c := range []struct {
			what string
			fn   func() (string, error)
			want func(string, error) bool
		}{
			{"a result", func() (string, error) { return goroutineName(), nil }, func(s string, err error) bool { return err == nil && s != "" && (s == loop) == w.Simulated() }},
			{"an error", func() (string, error) { return "", broken }, func(_ string, err error) bool { return err == broken }},
			{"a panic", func() (string, error) { panic(broken) }, func(_ string, err error) bool {
				var p *reactor.PanicError
				return errors.As(err, &p) && errors.Is(err, broken) && len(p.Stack) > 0
			}},
		} {
			calls := 0
			reactor.InThread(r, c.fn, func(s string, err error) {
				calls++
				if goroutineName() != loop || !c.want(s, err) {
					t.Errorf("THR-19: %s: %q, %v", c.what, s, err)
				}
			})
			if calls != 0 {
				t.Error("THR-19: delivered before it was begun")
			}
			until(t, r, func() bool { return calls == 1 })
			if testworld.Turns(t, r, 3); calls != 1 {
				t.Errorf("THR-19: %s: delivered %d times", c.what, calls)
			}
		}
	})
}

func TestCallInThread(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log coreLog
		panics := 0
		r := w.New(t, reactor.Config{Logger: slog.New(&log), Panicked: func(e *reactor.PanicError) {
			panics++
			if e.Value != "in the pool" || e.In != "pool" || len(e.Stack) == 0 {
				t.Errorf("%+v", e)
			}
		}})
		var who []string
		note := func(n int) func() {
			return func() { who = append(who, fmt.Sprint(n, " on ", goroutineName())) } // no lock: one goroutine
		}
		done := false
		fns := []func(){note(0), note(1), note(2), func() { r.Post(func() { done = true }) }}
		r.CallInThread(fns...)
		for i := range fns { // THR-20: the slice is the caller's again, also if the work has not begun
			fns[i] = func() { t.Error("THR-20: called what was put into the slice later") }
		}
		until(t, r, func() bool { return done })
		_, on, _ := strings.Cut(who[0], " on ")
		same(t, who, "0 on "+on, "1 on "+on, "2 on "+on) // THR-20
		r.CallInThread(func() { panic("in the pool") }, func() { t.Error("THR-20: called after a panic") })
		until(t, r, func() bool { return panics == 1 })
		if n := log.count(slog.LevelError, "panic"); n != 1 {
			t.Errorf("%d panics logged", n)
		}
	})
}

func TestAsk(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		broken := errors.New("broken")
		go func() {
			defer r.Stop()
			if v, err := reactor.Ask(r, func() (int, error) { return 1, nil }); v != 1 || err != nil {
				t.Errorf("THR-21: %v, %v", v, err)
			}
			if _, err := reactor.Ask(r, func() (int, error) { return 0, broken }); err != broken {
				t.Errorf("THR-21: %v", err)
			}
			var p *reactor.PanicError
			if _, err := reactor.Ask(r, func() (int, error) { panic(broken) }); !errors.As(err, &p) || !errors.Is(err, broken) {
				t.Errorf("THR-21: %v", err)
			}
			if _, err := reactor.AskLater(r, func(func(int, error)) { panic(broken) }); !errors.As(err, &p) {
				t.Errorf("THR-21: %v", err)
			}
			v, err := reactor.AskLater(r, func(done func(int, error)) {
				r.CallLater(ms, func() { done(2, nil); done(3, broken) })
			})
			if v != 2 || err != nil {
				t.Errorf("THR-21: later: %v, %v", v, err)
			}
			if _, err := reactor.AskLater(r, func(done func(int, error)) { done(0, broken) }); err != broken {
				t.Errorf("THR-21: at once: %v", err)
			}
			r.Post(func() { r.Stop() })
			if _, err := reactor.AskLater(r, func(func(int, error)) {}); err != reactor.ErrStopped {
				t.Errorf("THR-21: never answered: %v", err)
			}
		}()
		runToEnd(t, r)
		if panics != 2 {
			t.Errorf("%d panics reported", panics)
		}
	})
}

func TestPostAllocs(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		n := 0
		fn := func() { n++ }
		both := func() { r.Post(fn); r.Post(fn); r.Turn(0) }
		both()
		if a := testing.AllocsPerRun(100, both); a != 0 || n == 0 {
			t.Errorf("%v allocations in %d calls", a, n)
		}
	})
}
