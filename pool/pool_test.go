package pool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/whorl-go/whorl/pool"
)

// bubble runs body in a synctest bubble: synctest.Wait returns when every worker waits,
// and a goroutine that is left at the end fails the test.
func bubble(t *testing.T, name string, body func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, body) })
}

func submit(t *testing.T, p *pool.Pool, task func()) {
	t.Helper()
	if err := p.Submit(task); err != nil {
		t.Fatal(err)
	}
}

// stats waits until every goroutine waits, and compares the counters.
func stats(t *testing.T, p *pool.Pool, want pool.Stats) {
	t.Helper()
	synctest.Wait()
	if got := p.Stats(); got != want {
		t.Fatalf("stats %+v, want %+v", got, want)
	}
}

// THR-22: bad sizes are refused. Start starts exactly min workers.
func TestTHR22Sizes(t *testing.T) {
	for _, c := range []struct{ min, max int }{{-1, 3}, {4, 3}, {0, -1}, {1, -1}, {-2, -1}} {
		func() {
			defer func() {
				if err, _ := recover().(error); !errors.Is(err, pool.ErrSize) {
					t.Errorf("min %d, max %d: %v", c.min, c.max, err)
				}
			}()
			pool.New(pool.Config{Min: c.min, Max: c.max})
		}()
		p := pool.New(pool.Config{Min: 1, Max: 2})
		if err := p.Resize(c.min, c.max); !errors.Is(err, pool.ErrSize) {
			t.Errorf("resize to min %d, max %d: %v", c.min, c.max, err)
		}
		p.Stop()
	}
	for _, min := range []int{0, 1, 5, 12} {
		bubble(t, fmt.Sprint("min", min), func(t *testing.T) {
			p := pool.New(pool.Config{Min: min})
			stats(t, p, pool.Stats{})
			p.Start()
			p.Start()
			stats(t, p, pool.Stats{Workers: min, Idle: min})
			p.Stop()
			stats(t, p, pool.Stats{})
		})
	}
}

// THR-23: what was queued before Start runs after it. The pool has min(backlog, max)
// workers at once, or min if that is more.
func TestTHR23Backlog(t *testing.T) {
	for _, c := range []struct{ min, max, backlog, workers int }{
		{0, 3, 2, 2}, {0, 3, 3, 3}, {0, 3, 7, 3}, {0, 0, 20, 10}, {2, 3, 1, 2}, {2, 3, 5, 3},
	} {
		bubble(t, fmt.Sprint(c), func(t *testing.T) {
			p := pool.New(pool.Config{Min: c.min, Max: c.max})
			hold := make(chan struct{})
			var ran atomic.Int32
			for range c.backlog {
				submit(t, p, func() { <-hold; ran.Add(1) })
			}
			stats(t, p, pool.Stats{Queued: c.backlog})
			p.Start()
			if got := p.Stats().Workers; got != c.workers { // at once
				t.Errorf("%d workers, want %d", got, c.workers)
			}
			busy := min(c.backlog, c.workers)
			stats(t, p, pool.Stats{Workers: c.workers, Idle: c.workers - busy, Working: busy, Queued: c.backlog - busy})
			if ran.Load() != 0 {
				t.Error("a task is over before it was let go")
			}
			close(hold)
			p.Stop()
			if int(ran.Load()) != c.backlog {
				t.Errorf("%d tasks ran, want %d", ran.Load(), c.backlog)
			}
		})
	}
}

// THR-24: resizing a pool that does not run only changes the numbers.
func TestTHR24ResizeStopped(t *testing.T) {
	bubble(t, "before", func(t *testing.T) {
		p := pool.New(pool.Config{})
		submit(t, p, func() {})
		if err := p.Resize(3, 4); err != nil {
			t.Fatal(err)
		}
		stats(t, p, pool.Stats{Queued: 1})
		p.Start()
		stats(t, p, pool.Stats{Workers: 3, Idle: 3})
		p.Stop()
		if err := p.Resize(5, 6); err != nil {
			t.Fatal(err)
		}
		stats(t, p, pool.Stats{})
	})
}

// goroutine returns the number of the goroutine it runs on.
func goroutine() string {
	b := make([]byte, 64)
	return string(bytes.Fields(b[:runtime.Stack(b, false)])[1])
}

// THR-25: done gets the value or the failure, on the goroutine of fn. Panics of tasks and
// of done are reported, and no worker is lost.
func TestTHR25Call(t *testing.T) {
	bubble(t, "results", func(t *testing.T) {
		var heard []string
		p := pool.New(pool.Config{Min: 1, Max: 1, Panicked: func(e *pool.PanicError) {
			heard = append(heard, fmt.Sprint(e.Value))
			if !strings.Contains(string(e.Stack), "pool_test.go") || e.In != "pool" {
				t.Errorf("the stack does not show where, in %s:\n%s", e.In, e.Stack)
			}
		}})
		p.Start()
		var got []string
		call := func(fn func() (int, error)) {
			var where string
			err := pool.Call(p, func() (int, error) {
				where = goroutine()
				return fn()
			}, func(n int, err error) {
				if here := goroutine(); here != where {
					t.Errorf("done on goroutine %s, fn on %s", here, where)
				}
				got = append(got, fmt.Sprint(n, " ", err))
				if errors.Is(err, fs.ErrClosed) {
					got = append(got, "closed")
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		call(func() (int, error) { return 42, nil })
		call(func() (int, error) { return 0, errors.New("failed") })
		call(func() (int, error) { panic("fn") })
		call(func() (int, error) { panic(fs.ErrClosed) })
		if err := pool.Call(p, func() (int, error) { return 0, nil }, func(int, error) { panic("done") }); err != nil {
			t.Fatal(err)
		}
		submit(t, p, func() { panic("task") })
		call(func() (int, error) { return 43, nil })
		p.Stop()
		want := []string{"42 <nil>", "0 failed", "0 panic in pool: fn", "0 panic in pool: file already closed", "closed", "43 <nil>"}
		if !slices.Equal(got, want) {
			t.Errorf("results %q\nwant    %q", got, want)
		}
		if want := []string{"done", "task"}; !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
	bubble(t, "nobody hears", func(t *testing.T) {
		p := pool.New(pool.Config{Min: 1, Max: 1})
		p.Start()
		submit(t, p, func() { panic("task") })
		stats(t, p, pool.Stats{Workers: 1, Idle: 1})
		p.Stop()
	})
	bubble(t, "goexit", func(t *testing.T) {
		p := pool.New(pool.Config{Max: 1})
		p.Start()
		ran := false
		submit(t, p, runtime.Goexit)
		submit(t, p, func() { ran = true })
		p.Stop()
		if !ran {
			t.Error("the task after it did not run")
		}
	})
}

// THR-26: after completion the pool holds nothing of the function, its arguments, the
// callback or the result, although its worker is waiting.
func TestTHR26NoReferences(t *testing.T) {
	p := pool.New(pool.Config{Min: 1, Max: 1})
	p.Start()
	defer p.Stop()
	type big [1 << 16]byte
	var refs []weak.Pointer[big]
	watched := func() *big {
		b := new(big)
		refs = append(refs, weak.Make(b))
		return b
	}
	func() {
		argument, callback, result := watched(), watched(), watched()
		if err := pool.Call(p, func() (*big, error) {
			argument[0]++
			return result, nil
		}, func(r *big, _ error) { callback[0] = r[0] }); err != nil {
			t.Fatal(err)
		}
		plain := watched()
		submit(t, p, func() { plain[0]++ })
	}()
	over := make(chan struct{})
	submit(t, p, func() { close(over) }) // one worker: the others are over then
	<-over
	runtime.GC()
	for i, r := range refs {
		if r.Value() != nil {
			t.Errorf("object %d is still held", i)
		}
	}
}

// THR-26: the queue does not hold tasks that have run, although others wait in it.
func TestTHR26Queue(t *testing.T) {
	p := pool.New(pool.Config{Max: 1})
	type big [1 << 16]byte
	var ref weak.Pointer[big]
	func() {
		b := new(big)
		ref = weak.Make(b)
		submit(t, p, func() { b[0]++ })
	}()
	over, hold := make(chan struct{}), make(chan struct{})
	submit(t, p, func() { close(over); <-hold })
	submit(t, p, func() {})
	p.Start()
	<-over
	runtime.GC()
	if ref.Value() != nil {
		t.Error("a task that has run is still held")
	}
	close(hold)
	p.Stop()
}

// THR-27: if the pool has fewer than max busy workers, blocked workers never delay a new
// task.
func TestTHR27Spare(t *testing.T) {
	for _, min := range []int{0, 1, 3} {
		bubble(t, fmt.Sprint("min", min), func(t *testing.T) {
			const max = 20
			p := pool.New(pool.Config{Min: min, Max: max})
			p.Start()
			hold := make(chan struct{})
			for blocked := range max - 1 {
				submit(t, p, func() { <-hold })
				for range 3 { // quick ones, one after the other, beside the blocked
					over := make(chan struct{})
					submit(t, p, func() { close(over) })
					<-over // or else: deadlock, which the bubble reports
				}
				synctest.Wait()
				if got := p.Stats().Working; got != blocked+1 {
					t.Fatalf("%d working, want %d", got, blocked+1)
				}
			}
			close(hold)
			p.Stop()
		})
	}
	bubble(t, "burst", func(t *testing.T) { // all at once, as many as there is room for
		p := pool.New(pool.Config{Max: 50})
		p.Start()
		var all sync.WaitGroup
		all.Add(50)
		for range 50 {
			submit(t, p, func() { all.Done(); all.Wait() }) // over only if all run at a time
		}
		all.Wait()
		p.Stop()
	})
}

// THR-28: the counters follow idle, busy, idle.
func TestTHR28Stats(t *testing.T) {
	bubble(t, "stats", func(t *testing.T) {
		p := pool.New(pool.Config{Min: 1, Max: 2})
		p.Start()
		stats(t, p, pool.Stats{Workers: 1, Idle: 1})
		hold := make(chan struct{})
		work := func() { <-hold }
		submit(t, p, work)
		stats(t, p, pool.Stats{Workers: 1, Working: 1})
		submit(t, p, work)
		stats(t, p, pool.Stats{Workers: 2, Working: 2})
		submit(t, p, work)
		stats(t, p, pool.Stats{Workers: 2, Working: 2, Queued: 1})
		hold <- struct{}{}
		stats(t, p, pool.Stats{Workers: 2, Working: 2})
		hold <- struct{}{}
		stats(t, p, pool.Stats{Workers: 1, Working: 1}) // the one above min has gone
		hold <- struct{}{}
		stats(t, p, pool.Stats{Workers: 1, Idle: 1})
		p.Stop()
		stats(t, p, pool.Stats{})
	})
}

// THR-29: Stop lets running and queued tasks finish, and waits for the workers. Later
// tasks are refused, where Twisted drops them silently.
func TestTHR29Stop(t *testing.T) {
	bubble(t, "stop", func(t *testing.T) {
		p := pool.New(pool.Config{Max: 2})
		p.Start()
		hold := make(chan struct{})
		var ran []int
		var mu sync.Mutex
		for i := range 5 {
			submit(t, p, func() {
				<-hold
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, i)
			})
		}
		submit(t, p, func() { panic("the last one") }) // joins all the same
		p.Quit()
		p.Quit()
		stats(t, p, pool.Stats{Workers: 2, Working: 2, Queued: 4})
		select {
		case <-p.Done():
			t.Fatal("done with tasks running")
		default:
		}
		if err := p.Submit(func() { t.Error("ran after Quit") }); err != pool.ErrStopped {
			t.Errorf("submit after Quit: %v", err)
		}
		if err := pool.Call(p, func() (int, error) { return 0, nil }, func(int, error) { t.Error("done after Quit") }); err != pool.ErrStopped {
			t.Errorf("call after Quit: %v", err)
		}
		var joined sync.WaitGroup
		for range 3 { // whoever stops waits
			joined.Go(func() {
				p.Stop()
				if len(ran) != 5 {
					t.Errorf("joined when %v had run", ran)
				}
			})
		}
		close(hold)
		joined.Wait()
		<-p.Done()
		p.Start()
		stats(t, p, pool.Stats{})
	})
}

// THR-12: a pool that never starts runs nothing. It can be abandoned or stopped.
func TestTHR12NeverStarted(t *testing.T) {
	bubble(t, "stopped", func(t *testing.T) {
		p := pool.New(pool.Config{Min: 2})
		submit(t, p, func() { t.Error("ran") })
		p.Stop()
		p.Start()
		stats(t, p, pool.Stats{})
	})
	bubble(t, "left", func(t *testing.T) {
		p := pool.New(pool.Config{Min: 2})
		submit(t, p, func() { t.Error("ran") })
		stats(t, p, pool.Stats{Queued: 1})
	})
}

// THR-30: the pool does what Twisted's Team does. It grows to the limit and later serves
// tasks that found no worker. Shrinking ends idle workers now and busy ones after their
// task. After quitting it refuses work.
func TestTHR30Team(t *testing.T) {
	bubble(t, "grow and shrink", func(t *testing.T) {
		p := pool.New(pool.Config{Max: 2})
		p.Start()
		hold := make(chan struct{})
		for range 6 {
			submit(t, p, func() { <-hold })
		}
		stats(t, p, pool.Stats{Workers: 2, Working: 2, Queued: 4})
		resize := func(min, max int) {
			t.Helper()
			if err := p.Resize(min, max); err != nil {
				t.Fatal(err)
			}
		}
		resize(0, 4) // grow: the backlog is served
		stats(t, p, pool.Stats{Workers: 4, Working: 4, Queued: 2})
		resize(0, 1) // shrink waits for busy workers
		stats(t, p, pool.Stats{Workers: 4, Working: 4, Queued: 2})
		for left := 3; left >= 1; left-- {
			hold <- struct{}{}
			stats(t, p, pool.Stats{Workers: left, Working: left, Queued: 2})
		}
		hold <- struct{}{}
		stats(t, p, pool.Stats{Workers: 1, Working: 1, Queued: 1})
		resize(3, 5)
		stats(t, p, pool.Stats{Workers: 3, Idle: 1, Working: 2})
		close(hold)
		stats(t, p, pool.Stats{Workers: 3, Idle: 3})
		resize(1, 5) // some idle ones go
		stats(t, p, pool.Stats{Workers: 1, Idle: 1})
		resize(0, 5) // all go
		stats(t, p, pool.Stats{})
		p.Stop()
	})
	bubble(t, "quit", func(t *testing.T) {
		p := pool.New(pool.Config{Min: 3})
		p.Start()
		hold := make(chan struct{})
		submit(t, p, func() { <-hold })
		stats(t, p, pool.Stats{Workers: 3, Idle: 2, Working: 1})
		p.Quit()
		stats(t, p, pool.Stats{Workers: 1, Working: 1}) // idle ones now
		if err := p.Submit(func() {}); !errors.Is(err, pool.ErrStopped) {
			t.Errorf("submit: %v", err)
		}
		close(hold) // the busy one when done
		stats(t, p, pool.Stats{})
		<-p.Done()
	})
}

// An idle pool without a minimum holds no goroutine.
func TestIdleHoldsNoGoroutine(t *testing.T) {
	bubble(t, "idle", func(t *testing.T) {
		p := pool.New(pool.Config{})
		p.Start()
		for range 100 {
			submit(t, p, func() {})
		}
		stats(t, p, pool.Stats{})
		// No Stop: the bubble would tell of a worker left.
	})
}

// Tasks start in order. Each runs once.
func TestOrder(t *testing.T) {
	bubble(t, "one worker", func(t *testing.T) {
		p := pool.New(pool.Config{Max: 1})
		var got []int
		for i := range 1000 {
			submit(t, p, func() { got = append(got, i) })
			if i == 500 {
				p.Start()
			}
		}
		p.Stop()
		if len(got) != 1000 || !slices.IsSorted(got) {
			t.Errorf("%d ran, in order: %v", len(got), slices.IsSorted(got))
		}
	})
}

func TestQueueLimit(t *testing.T) {
	p := pool.New(pool.Config{MaxQueue: 2})
	submit(t, p, func() {})
	submit(t, p, func() {})
	if err := p.Submit(func() {}); err != pool.ErrFull {
		t.Errorf("third of two: %v", err)
	}
	p = pool.New(pool.Config{MaxQueue: -1})
	for range pool.DefaultMaxQueue + 1 {
		if err := p.Submit(func() {}); err != nil {
			t.Fatal(err)
		}
	}
}

// Many goroutines submit and resize, and one quits. Every task that was accepted runs,
// and none that was refused.
func TestStress(t *testing.T) {
	for range 20 {
		p := pool.New(pool.Config{Min: 1, Max: 3})
		p.Start()
		var accepted, ran atomic.Int64
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for j := range 500 {
					switch err := p.Submit(func() { ran.Add(1) }); {
					case err == nil:
						accepted.Add(1)
					case err != pool.ErrStopped:
						t.Error(err)
					}
					if j%50 == 0 {
						if err := p.Resize(j/50%3, 2+i); err != nil {
							t.Error(err)
						}
					}
					if i == 0 && j == 400 {
						p.Quit()
					}
				}
			})
		}
		all.Wait()
		p.Stop()
		if accepted.Load() != ran.Load() {
			t.Fatalf("%d accepted, %d ran", accepted.Load(), ran.Load())
		}
		if got := p.Stats(); got != (pool.Stats{}) {
			t.Fatalf("after Stop: %+v", got)
		}
	}
}

func TestMisuse(t *testing.T) {
	p := pool.New(pool.Config{})
	for name, f := range map[string]func(){
		"nil task": func() { p.Submit(nil) },
		"nil fn":   func() { pool.Call(p, nil, func(int, error) {}) },
		"nil done": func() { pool.Call(p, func() (int, error) { return 0, nil }, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func ExampleCall() {
	p := pool.New(pool.Config{Max: 1})
	p.Start()
	defer p.Stop()
	over := make(chan struct{})
	err := pool.Call(p, func() (int, error) { return 6 * 7, nil }, func(n int, err error) {
		fmt.Println(n, err)
		close(over)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-over
	// Output: 42 <nil>
}

func TestCatch(t *testing.T) {
	if e := pool.Catch(func() {}); e != nil {
		t.Errorf("no panic: %v", e)
	}
	e := pool.Catch(func() { panic(fs.ErrClosed) })
	if e == nil || e.Value != fs.ErrClosed || !strings.Contains(string(e.Stack), "TestCatch") {
		t.Fatalf("%+v", e)
	}
	if e.In = "a test"; e.Error() != "panic in a test: file already closed" || !errors.Is(e, fs.ErrClosed) {
		t.Errorf("%v", e)
	}
	if e := pool.Catch(func() { panic("no error") }); errors.Unwrap(e) != nil {
		t.Errorf("%v", errors.Unwrap(e))
	}
	if again := pool.Catch(func() { panic(e) }); again != e {
		t.Errorf("caught a second time it is %+v", again)
	}
	if n := testing.AllocsPerRun(100, func() { pool.Catch(func() { t.Helper() }) }); n != 0 {
		t.Errorf("%v allocations without a panic", n)
	}
}
