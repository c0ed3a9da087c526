package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// runToEnd runs r until it ends. One that does not end is stopped, and the test
// fails; that guard is no timer of the reactor's, so it does not shorten a wait.
func runToEnd(t *testing.T, r *reactor.Reactor) {
	t.Helper()
	guard := time.AfterFunc(testworld.Limit, func() {
		t.Error("the reactor did not end")
		r.Post(r.Crash)
		r.Kernel().Wake() // in case that wake-up is lost
	})
	defer guard.Stop()
	if err := r.Run(context.Background()); err != nil {
		t.Fatalf("Run: %v", err)
	}
}

// same fails the test if the two lists differ.
func same[T comparable](t *testing.T, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// steps is what happened, in order.
type steps []string

func (s *steps) add(what string)         { *s = append(*s, what) }
func (s *steps) adds(what string) func() { return func() { s.add(what) } }

// coreLog is a log kept in memory.
type coreLog struct {
	mu      sync.Mutex
	records []slog.Record
}

func (j *coreLog) Enabled(context.Context, slog.Level) bool { return true }
func (j *coreLog) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *coreLog) WithGroup(string) slog.Handler            { return j }
func (j *coreLog) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, r)
	return nil
}

// count is how many records of that level and message there are.
func (j *coreLog) count(level slog.Level, msg string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, r := range j.records {
		if r.Level == level && r.Message == msg {
			n++
		}
	}
	return n
}

// spyKernel notes what a reactor asks of its kernel.
type spyKernel struct {
	kernel.Kernel
	wakes  atomic.Int64
	waits  []time.Duration           // the until of each Wait
	asleep func(until time.Duration) // called, if not nil, as each Wait begins
	brief  bool                      // Wait looks, and never blocks
	notify func()                    // called, if not nil, as Notify begins
	stops  int                       // how often what Notify returned was called
	heard  func(os.Signal)           // called, if not nil, after each delivery
}

func spyOn(t *testing.T, w testworld.World) *spyKernel { return &spyKernel{Kernel: w.Open(t)} }

func (k *spyKernel) Unwrap() kernel.Kernel { return k.Kernel }

func (k *spyKernel) Wake() {
	k.wakes.Add(1)
	k.Kernel.Wake()
}

func (k *spyKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	k.waits = append(k.waits, until)
	if k.asleep != nil {
		k.asleep(until)
	}
	if k.brief {
		until = 0
	}
	return k.Kernel.Wait(ev, until)
}

func (k *spyKernel) Notify(fn func(os.Signal), sigs ...os.Signal) (stop func()) {
	if k.notify != nil {
		k.notify()
	}
	giveBack := must(kernel.As[kernel.Signals](k.Kernel)).Notify(func(s os.Signal) {
		fn(s)
		if k.heard != nil {
			k.heard(s)
		}
	}, sigs...)
	return func() { k.stops++; giveBack() }
}

// lastWait is the until of the latest Wait.
func (k *spyKernel) lastWait() time.Duration { return k.waits[len(k.waits)-1] }

// pipeReader is a descriptor with something to read for ever.
type pipeReader struct {
	fd   int
	read func()
	lost func(error)
}

func newPipeReader(t *testing.T) *pipeReader {
	t.Helper()
	r, w, err := os.Pipe()
	if err == nil {
		_, err = w.Write([]byte("x"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return &pipeReader{fd: int(r.Fd()), read: func() {}, lost: func(error) {}}
}

func (p *pipeReader) Fileno() int              { return p.fd }
func (p *pipeReader) DoRead() error            { p.read(); return nil }
func (p *pipeReader) ConnectionLost(err error) { p.lost(err) }

// input makes I/O events on every kernel. It is a connection on which many bytes have
// arrived. While it is on, each turn reads one byte. It is off at first.
type input struct {
	end
	read func()
}

// newInput turns r, which must have been made with bytewise, until the input is there.
func newInput(t *testing.T, w testworld.World, r *reactor.Reactor) *input {
	t.Helper()
	p := &input{read: func() {}}
	arrived := false
	p.onData = func([]byte) { arrived = true; p.off(); p.onData = func([]byte) { p.read() } }
	port := listen(t, r, one(p), nil)
	w.Peer(t, port.Addr(), r).Send("some input, of which nobody reads the end")
	until(t, r, func() bool { return arrived })
	stopped(t, port)
	return p
}

// bytewise has each read get a byte.
var bytewise = reactor.Config{ReadBuffer: 1}

func (p *input) on()  { p.s.ResumeProducing() }
func (p *input) off() { p.s.PauseProducing() }

func TestStopOnlyWhileRunning(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		if r.Running() || r.Stop() != reactor.ErrNotRunning {
			t.Error("CORE-1: a fresh reactor runs, or can be stopped")
		}
		shutdown := false
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() {
			shutdown = true
			if r.Stop() != reactor.ErrNotRunning {
				t.Error("CORE-3: Stop in a shutdown trigger does not fail")
			}
		})
		r.Post(func() {
			if err := r.Stop(); err != nil {
				t.Errorf("first Stop: %v", err)
			}
			if err := r.Stop(); err != reactor.ErrNotRunning || !r.Running() || shutdown {
				t.Errorf("CORE-3: second Stop: %v, running %v, shutdown fired %v", err, r.Running(), shutdown)
			}
		})
		runToEnd(t, r)
		if err := r.Stop(); err != reactor.ErrNotRunning || r.Running() {
			t.Errorf("CORE-2: Stop after Run: %v", err)
		}
		// CORE-6: three errors, each of its own class; and no reactor is global, so
		// a second one is no error.
		all := []error{reactor.ErrNotRunning, reactor.ErrAlreadyRunning, reactor.ErrNotRestartable}
		for i, a := range all {
			for j, b := range all {
				if errors.Is(a, b) != (i == j) {
					t.Errorf("CORE-6: errors.Is(%v, %v)", a, b)
				}
			}
		}
		a, b := w.New(t, reactor.Config{}), w.New(t, reactor.Config{})
		a.Post(func() { b.Post(func() { b.Stop() }); runToEnd(t, b); a.Stop() })
		runToEnd(t, a)
	})
}

func TestRunTwice(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var got []error
		again := func() { got = append(got, r.Run(context.Background())) }
		r.AddTrigger(reactor.Before, reactor.Startup, again)
		for _, p := range []reactor.Phase{reactor.Before, reactor.During, reactor.After} {
			r.AddTrigger(p, reactor.Shutdown, again)
		}
		r.Post(func() {
			again()
			r.CallLater(time.Millisecond, func() { r.Stop(); again() }) // CORE-4: the outer loop is intact
		})
		runToEnd(t, r)
		again()
		already, gone := reactor.ErrAlreadyRunning, reactor.ErrNotRestartable
		// CORE-4 in a callback; CORE-5 after Stop and in the three phases of shutdown,
		// and ever after.
		same(t, got, already, already, already, already, gone, gone, gone)
		if err := r.Turn(0); err != gone {
			t.Errorf("Turn of a stopped reactor: %v", err)
		}
	})
}

func TestRunningInTriggers(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{Signals: []os.Signal{os.Interrupt}})
		var s steps
		k.notify = s.adds("signals taken")
		for _, ev := range []string{reactor.Startup, reactor.Shutdown} {
			for _, p := range []reactor.Phase{reactor.After, reactor.During, reactor.Before} {
				r.AddTrigger(p, ev, func() { s.add(fmt.Sprintf("%v %s %v", p, ev, r.Running())) })
			}
		}
		r.Post(func() { r.Stop() })
		runToEnd(t, r)
		same(t, s,
			"before startup false", // CORE-7
			"signals taken",        // CORE-9: in the step that switches to running, before the user's
			"during startup true",
			"after startup true",
			"before shutdown true", // CORE-8
			"during shutdown false",
			"after shutdown false")
	})
}

func TestStartupWaits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, bytewise)
		var s steps
		note := func(what string) func() { return func() { s.add(fmt.Sprintf("%s %v", what, r.Running())) } }
		p := newInput(t, w, r)
		p.read = func() { p.off(); note("io")() }
		var started func()
		r.AddWaitTrigger(reactor.Startup, func(done func()) { started = done })
		r.AddTrigger(reactor.During, reactor.Startup, note("during"))
		r.AddTrigger(reactor.After, reactor.Startup, note("after"))
		r.AddTrigger(reactor.Before, reactor.Shutdown, note("shutdown"))
		r.Post(func() {
			note("post")()
			p.on()
			var turns uint64
			r.CallLater(2*time.Millisecond, func() {
				note("timer")()
				turns = r.Stats().Turns
			})
			r.CallLater(7*time.Millisecond, func() {
				// CORE-11: nothing to do for five milliseconds, so hardly a turn.
				if n := r.Stats().Turns - turns; n > 20 {
					t.Errorf("CORE-11: %d turns while waiting for the startup", n)
				}
				if err := r.Stop(); err != nil {
					t.Errorf("CORE-10: Stop before the startup is over: %v", err)
				}
				started()
			})
		})
		runToEnd(t, r)
		// CORE-10: the loop serves everything meanwhile, and the rest comes later.
		same(t, s, "post false", "io false", "timer false", "during true", "after true", "shutdown true")
	})
}

func TestStopBeforeStartup(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		r.AddTrigger(reactor.Before, reactor.Startup, func() {
			if err := r.Stop(); err != nil {
				t.Error(err)
			}
		})
		for _, p := range phases {
			r.AddTrigger(p, reactor.Startup, func() { s.add(fmt.Sprintf("%v startup %v", p, r.Running())) })
		}
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() { s.add(fmt.Sprint("shutdown in turn ", r.Stats().Turns)) })
		runToEnd(t, r)
		same(t, s, "before startup false", "during startup true", "after startup true", "shutdown in turn 1") // CORE-12
	})
}

func TestContextStopsRun(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		down := false
		r.AddTrigger(reactor.After, reactor.Shutdown, func() { down = true })
		r.Post(cancel)
		if err := r.Run(ctx); err != nil || !down {
			t.Errorf("Run: %v, shutdown complete: %v", err, down)
		}
	})
}

func TestCrash(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		down := r.AddTrigger(reactor.Before, reactor.Shutdown, s.adds("shutdown"))
		r.CallLater(0, func() {
			r.Crash()
			s.add(fmt.Sprint("crashed ", r.Running()))
			if r.Stop() != reactor.ErrNotRunning {
				t.Error("CORE-17: Stop after Crash does not fail")
			}
			r.CallLater(0, s.adds("due in the next turn"))
		})
		r.CallLater(0, s.adds("due in the same turn"))
		runToEnd(t, r)
		same(t, s, "crashed false", "due in the same turn") // CORE-14
		if r.Stop() != reactor.ErrNotRunning {
			t.Error("CORE-17: Stop after Crash does not fail")
		}
		s = nil
		r.Crash() // CORE-18: outside the loop it does nothing, however often
		r.Crash()
		r.AddTrigger(reactor.During, reactor.Startup, s.adds("during startup"))
		r.CallWhenRunning(func() {
			s.add(fmt.Sprint("running ", r.Running())) // CORE-15
			r.Stop()
		})
		runToEnd(t, r) // CORE-17: it can be run again all the same
		same(t, s, "during startup", "running true", "due in the next turn", "shutdown")
		if down.Remove() != reactor.ErrTriggerGone {
			t.Error("the shutdown trigger has not run")
		}
	})
}

func TestCrashDuringStartup(t *testing.T) {
	for _, p := range []reactor.Phase{reactor.Before, reactor.During, reactor.After} {
		t.Run(p.String(), func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				r := w.New(t, reactor.Config{})
				var s steps
				r.AddTrigger(p, reactor.Startup, func() { s.add("crash"); r.Crash() })
				r.AddTrigger(p, reactor.Startup, func() { s.add(fmt.Sprint("second ", r.Running())) })
				r.Post(s.adds("posted"))
				runToEnd(t, r)
				same(t, s, "crash") // CORE-16: the loop was not entered
				r.Post(func() { r.Stop() })
				runToEnd(t, r) // CORE-15: and what has not run yet runs now
				same(t, s, "crash", fmt.Sprint("second ", p != reactor.Before), "posted")
			})
		})
	}
}

func TestCrashWhileWaiting(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var late func()
		r.AddWaitTrigger(reactor.Startup, func(done func()) { late = done })
		r.Post(r.Crash)
		runToEnd(t, r) // CORE-16, while the startup waits
		started := false
		r.AddWaitTrigger(reactor.Startup, func(done func()) {
			late() // it answers a startup that is no more
			r.Post(func() {
				if r.Running() {
					t.Error("a done of the first startup ended the second")
				}
				done()
			})
		})
		r.CallWhenRunning(func() { started = true; r.Stop() })
		runToEnd(t, r)
		if !started {
			t.Error("CORE-15: not started after a crash")
		}
	})
}

func TestTurn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, bytewise)
		far := r.CallLater(time.Hour, func() { t.Error("an hour has passed") })
		testworld.Turns(t, r, 1)
		if got := k.lastWait(); got != 0 {
			t.Errorf("CORE-19: Turn(0) waits until %v", got)
		}
		start := r.Now()
		if err := r.Turn(time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if got := k.lastWait(); got < start+time.Millisecond || got >= far.Due() {
			t.Errorf("CORE-19: Turn(1ms) at %v waits until %v", start, got)
		}
		for what, ask := range map[string]func(){"post": func() { r.Post(func() {}) }, "delayed call": func() { r.CallLater(0, func() {}) }} {
			ask()
			if err := r.Turn(-1); err != nil || k.lastWait() != 0 {
				t.Errorf("CORE-19: Turn(-1) with a %s to call waits until %v, %v", what, k.lastWait(), err)
			}
		}
		var s steps
		p := newInput(t, w, r)
		p.read = s.adds("io")
		p.on()
		r.CallLater(0, s.adds("timer"))
		r.Post(s.adds("post"))
		testworld.Turns(t, r, 1)
		same(t, s, "post", "timer", "io") // CORE-19: one pass, on a reactor never run
		p.off()
		again := func() {
			defer func() {
				if recover() == nil {
					t.Error("CORE-19: Turn inside a callback did not panic")
				}
			}()
			r.Turn(0)
		}
		r.Post(again)
		testworld.Turns(t, r, 1)
		r.Post(func() { again(); r.Stop() })
		runToEnd(t, r)
	})
}

func TestKernelFailures(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log coreLog
		broken := errors.New("broken kernel")
		left := 3
		f := &testworld.Faults{Wait: func() error {
			if left--; left >= 0 {
				return broken
			}
			return nil
		}}
		r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{Logger: slog.New(&log)})
		var stop func()
		stop = func() {
			if left < 0 {
				r.Stop()
				return
			}
			r.CallLater(time.Millisecond, stop) // it has not waited so often yet
		}
		stop()
		runToEnd(t, r)
		// CORE-20: logged, and the loop goes on. X-8: the first at once, the last at the end, with the
		// number of those between.
		if n := log.count(slog.LevelError, "the kernel cannot wait"); n != 2 || r.Stats().DelayedCalls == 0 {
			t.Errorf("CORE-20: %d failures logged, %d delayed calls", n, r.Stats().DelayedCalls)
		}
		// One that never recovers ends the run, in order.
		f = &testworld.Faults{Wait: func() error { return broken }}
		last := testworld.NewLog(t)
		r = testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{Logger: last.Logger()})
		down := false
		r.AddTrigger(reactor.After, reactor.Shutdown, func() { down = true })
		if err := r.Run(context.Background()); !errors.Is(err, broken) || !down {
			t.Errorf("CORE-20: Run on a dead kernel: %v, shutdown complete: %v", err, down)
		}
		if n := len(last.Take("the kernel cannot wait")); n != 2 {
			t.Errorf("CORE-20: %d failures logged", n)
		}
	})
}

func TestOrderOfOneTurn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, bytewise)
		p := newInput(t, w, r)
		var s steps
		before := r.Stats().Turns
		turn := func(what string) { s.add(fmt.Sprintf("%s %d", what, r.Stats().Turns-before)) }
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) { turn("shutdown"); r.Post(done) })
		p.read = func() {
			turn("io")
			if r.Stop() == nil {
				r.CallLater(0, func() { turn("timer") })
				r.Post(func() { turn("post") })
				turn("stopped") // CORE-22: before any trigger
			} else {
				p.off()
			}
		}
		p.on()
		runToEnd(t, r)
		// CORE-21: the steps of one pass; CORE-23: after a stop from an I/O handler
		// the shutdown is in the next one.
		same(t, s, "io 1", "stopped 1", "post 2", "timer 2", "shutdown 2", "io 2")
	})
}

func TestStopWithinTurn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, from := range []string{"timer", "post"} {
			r := w.New(t, reactor.Config{})
			var s steps
			turn := func(what string) { s.add(fmt.Sprintf("%s %d", what, r.Stats().Turns)) }
			r.AddTrigger(reactor.Before, reactor.Shutdown, func() { turn("shutdown") })
			stop := func() { r.Stop(); turn("stop") }
			if from == "post" {
				r.Post(stop)
			} else {
				r.CallLater(0, stop)
			}
			r.CallLater(0, func() { turn("timer") })
			runToEnd(t, r)
			same(t, s, "stop 1", "timer 1", "shutdown 1") // CORE-22, CORE-23: the same pass, after the due calls
		}
	})
}

func TestStopBeforeWait(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := &end{}, &end{}
		srv.onMade = func() { srv.s.PauseProducing() } // it will not see the end, so nothing wakes the loop
		connect(t, r, srv, cli)
		turn := uint64(0)
		cli.onLost = func(err error) {
			if err == reactor.ErrAborted {
				turn = r.Stats().Turns
				r.Stop()
			}
		}
		down := uint64(0)
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() { down = r.Stats().Turns })
		r.Post(func() { cli.s.Abort() }) // lost when the turn settles, just before it waits
		runToEnd(t, r)
		if turn == 0 || down != turn+1 {
			t.Errorf("CORE-23: stopped in turn %d, shutdown in turn %d", turn, down)
		}
	})
}

func TestShutdownWaits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, bytewise)
		var s steps
		p := newInput(t, w, r)
		p.read = func() { p.off(); s.add("io") }
		var first, second func()
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) { first = done })
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
			second = done
			r.Post(func() {
				s.add("post")
				p.on()
				first()
			})
			r.CallLater(2*time.Millisecond, func() {
				s.add("timer")
				second()
				second() // more than once is once
			})
		})
		r.AddTrigger(reactor.During, reactor.Shutdown, s.adds("during"))
		r.AddTrigger(reactor.After, reactor.Shutdown, s.adds("after"))
		r.Post(func() { r.Stop() })
		runToEnd(t, r)
		s.add("returned")
		// CORE-24: everything is served until all have answered; CORE-13: Run returns
		// after all three phases.
		same(t, s, "post", "io", "timer", "during", "after", "returned")
	})
}
