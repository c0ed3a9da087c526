//go:build unix

package reactor_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// neverDone is a trigger and a piece of work that never end by themselves.
func neverDone(func()) {}

// runs calls Run and returns its error, which must come before Limit.
func runs(t *testing.T, r *reactor.Reactor) error {
	t.Helper()
	guard := time.AfterFunc(testworld.Limit, func() { panic("the reactor did not end") })
	defer guard.Stop()
	return r.Run(context.Background())
}

// unfinished fails the test if err is not ErrUnfinished, or does not name what was given up.
func unfinished(t *testing.T, err error, name string) {
	t.Helper()
	if !errors.Is(err, reactor.ErrUnfinished) || !strings.Contains(err.Error(), name) {
		t.Errorf("CORE-50: %v; want ErrUnfinished with %s", err, name)
	}
}

func TestShutdownTimeoutOfTriggers(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ShutdownTimeout: 50 * ms})
		var s steps
		began := time.Duration(0)
		r.AddWaitTrigger(reactor.Shutdown, neverDone)
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
			began = r.Now()
			s.add("another")
			done()
		})
		r.AddTrigger(reactor.During, reactor.Shutdown, func() {
			s.add("during")
			if d := r.Now() - began; d < 50*ms || w.Simulated() && d > 51*ms {
				t.Errorf("CORE-50: it waited for %v", d)
			}
		})
		r.AddTrigger(reactor.After, reactor.Shutdown, s.adds("after"))
		r.CallWhenRunning(func() { r.Stop() })
		unfinished(t, runs(t, r), "reactor_test.neverDone")
		same(t, s, "another", "during", "after")
	})
}

// The default is a minute, and the log tells every five seconds what is awaited.
func TestShutdownTimeoutByDefault(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if !w.Simulated() {
			t.Skip("a minute of real time")
		}
		var log journal
		r := w.New(t, reactor.Config{Logger: slog.New(&log)})
		r.AddWaitTrigger(reactor.Shutdown, neverDone)
		began := r.Now()
		r.CallWhenRunning(func() { r.Stop() })
		unfinished(t, runs(t, r), "reactor_test.neverDone")
		if d := r.Now() - began; d < time.Minute || d > time.Minute+ms {
			t.Errorf("CORE-50: it waited for %v", d)
		}
		if n := len(log.with("WARN the shutdown waits", "reactor_test.neverDone")); n < 11 || n > 12 {
			t.Errorf("CORE-50: %d records in a minute: %q", n, log.lines)
		}
		if n := len(log.with("WARN the shutdown no longer waits", "reactor_test.neverDone")); n != 1 {
			t.Errorf("CORE-50: %d records of the end: %q", n, log.lines)
		}
	})
}

// A Stop during a startup that waits for ever ends that too.
func TestShutdownTimeoutOfStartup(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ShutdownTimeout: 20 * ms})
		var s steps
		r.AddWaitTrigger(reactor.Startup, neverDone)
		r.AddTrigger(reactor.After, reactor.Startup, s.adds("started"))
		r.AddTrigger(reactor.After, reactor.Shutdown, s.adds("stopped"))
		r.Post(func() { r.Stop() })
		unfinished(t, runs(t, r), "reactor_test.neverDone")
		same(t, s, "started", "stopped")
	})
}

func TestShutdownTimeoutOfWork(t *testing.T) {
	nativeWorlds(t, "a simulated kernel does the work itself", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ShutdownTimeout: 50 * ms, PoolSize: 1})
		release, ended := make(chan struct{}), make(chan struct{})
		dropped := true
		work := func() (int, error) { defer close(ended); <-release; return 0, nil }
		r.CallWhenRunning(func() {
			reactor.InThread(r, work, func(int, error) { t.Error("CORE-50: called after the end") })
			r.CallInThread(func() { dropped = false })
			r.Stop()
		})
		unfinished(t, runs(t, r), "reactor_test.TestShutdownTimeoutOfWork")
		close(release)
		<-ended
		r.Pool().Stop()
		if !dropped {
			t.Error("CORE-50: work began after the end")
		}
	})
}

// CORE-50: triggers and work have one limit together. The error names all that was given up, and the log what
// is awaited.
func TestShutdownTimeoutOfBoth(t *testing.T) {
	nativeWorlds(t, "a simulated kernel does the work itself", func(t *testing.T, w testworld.World) {
		for _, answered := range []bool{true, false} {
			var log journal
			k := &aheadKernel{Kernel: w.Open(t), skip: true}
			r := testworld.New(t, k, reactor.Config{Logger: slog.New(&log)})
			begun, release := make(chan struct{}), make(chan struct{})
			names := []string{"reactor_test.TestShutdownTimeoutOfBoth"}
			if answered {
				r.AddWaitTrigger(reactor.Shutdown, func(done func()) { r.CallLater(40*time.Second, done) })
			} else {
				r.AddWaitTrigger(reactor.Shutdown, neverDone)
				names = append(names, "reactor_test.neverDone")
			}
			began := time.Duration(0)
			r.CallWhenRunning(func() {
				r.CallInThread(func() { close(begun); <-release })
				<-begun
				began = r.Now()
				r.Stop()
			})
			err := runs(t, r)
			for _, name := range names {
				unfinished(t, err, name)
				if n := len(log.with("WARN the shutdown no longer waits", name)); n != 1 {
					t.Errorf("CORE-50: %d records of the end with %s: %q", n, name, log.lines)
				}
			}
			if n := len(log.with("WARN the shutdown waits", "blocking work", names[0])); answered && n < 3 {
				t.Errorf("CORE-50: %d records in 20 s of work: %q", n, log.lines)
			}
			if d := r.Now() - began; d < time.Minute || d > time.Minute+10*time.Second {
				t.Errorf("CORE-50: it waited for %v", d)
			}
			close(release)
		}
	})
}

// A worker that waits for an answer that never comes does not keep Run from returning.
func TestUnansweredAtShutdown(t *testing.T) {
	nativeWorlds(t, "a simulated kernel does the work itself", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var first, second error
		r.CallWhenRunning(func() {
			r.CallInThread(func() {
				_, first = reactor.AskLater(r, func(func(int, error)) { r.Stop() })
				// Asked during the join: Ask is answered, and what nobody answers is refused.
				if v, err := reactor.Ask(r, func() (int, error) { return 1, nil }); v != 1 || err != nil {
					t.Errorf("THR-17: %v, %v", v, err)
				}
				_, second = reactor.AskLater(r, func(func(int, error)) {})
			})
		})
		runToEnd(t, r)
		if first != reactor.ErrStopped || second != reactor.ErrStopped {
			t.Errorf("THR-21: %v, %v", first, second)
		}
	})
}

func TestStopWaiting(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ShutdownTimeout: -1})
		release := make(chan struct{})
		defer close(release)
		r.AddWaitTrigger(reactor.Shutdown, func(func()) { r.StopWaiting() })
		r.CallWhenRunning(func() {
			r.StopWaiting() // does nothing on a reactor that runs
			r.CallLater(5*ms, func() {
				if !w.Simulated() {
					r.CallInThread(func() { <-release })
				}
				r.Stop()
			})
		})
		unfinished(t, runs(t, r), "reactor_test.TestStopWaiting")
	})
}

// WAKE-12: a second signal ends the waiting for work too.
func TestSecondSignalDuringWork(t *testing.T) {
	nativeWorlds(t, "a simulated kernel does the work itself", func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Signals: []os.Signal{syscall.SIGUSR1}})
		release := make(chan struct{})
		defer close(release)
		r.CallWhenRunning(func() {
			r.CallInThread(func() {
				raise(t, w, syscall.SIGUSR1)
				for r.Running() {
					time.Sleep(ms)
				}
				raise(t, w, syscall.SIGUSR1)
				<-release
			})
		})
		unfinished(t, runs(t, r), "reactor_test.TestSecondSignalDuringWork")
	})
}

func TestAskInCallback(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		other := w.New(t, reactor.Config{})
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) {
			panics++
			if text, _ := e.Value.(string); !strings.Contains(text, "callback of the same reactor") {
				t.Errorf("THR-21: %v", e.Value)
			}
		}})
		one := func() (int, error) { return 1, nil }
		later := func(func(int, error)) {}
		limited, release := context.WithTimeout(context.Background(), 5*time.Second)
		defer release()
		r.CallLater(0, func() { reactor.Ask(r, one) })
		r.Post(func() { reactor.AskLater(r, later) })
		r.CallLater(0, func() { reactor.AskContext(limited, r, one) })
		r.Post(func() { reactor.AskLaterContext(limited, r, later) })
		until(t, r, func() bool { return panics == 4 })
		// Another reactor's loop may be asked in a callback, and this one between two turns.
		answered := 0
		ctx, cancel := context.WithCancel(context.Background())
		r.Post(func() {
			cancel()
			if _, err := reactor.AskContext(ctx, other, one); err != context.Canceled {
				t.Errorf("THR-21: %v", err)
			}
			answered++
		})
		until(t, r, func() bool { return answered == 1 })
		if _, err := reactor.AskContext(ctx, r, one); err != context.Canceled {
			t.Errorf("THR-21: %v", err)
		}
	})
}

// An ask waits no longer than its context, and is not carried out afterwards.
func TestAskContext(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(context.Background())
		var errs []error
		go func() {
			defer r.Stop()
			_, err := reactor.AskLaterContext(ctx, r, func(func(int, error)) { cancel(why) })
			errs = append(errs, err)
			_, err = reactor.AskContext(ctx, r, func() (int, error) { t.Error("THR-21: called, though nobody waits"); return 0, nil })
			errs = append(errs, err)
		}()
		runToEnd(t, r)
		same(t, errs, why, why) // THR-21
	})
}

func TestPostTellsAndDone(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		if !r.Post(func() {}) {
			t.Error("THR-9: not taken before Run")
		}
		r.CallWhenRunning(func() { r.Stop() })
		select {
		case <-r.Done():
			t.Error("CORE-51: done before it ran")
		default:
		}
		runToEnd(t, r)
		if r.Post(func() { t.Error("called after the end") }) {
			t.Error("THR-9: taken after the end")
		}
		<-r.Done() // CORE-51
	})
}

// A trigger that is added while the last one is done is limited too, and so is StopWaiting not lost
// in that moment.
func TestShutdownTimeoutOfLateTriggers(t *testing.T) {
	for name, wait := range map[string]func(r *reactor.Reactor, w testworld.World, done func()){
		"the limit comes with done": func(r *reactor.Reactor, w testworld.World, done func()) {
			r.CallLater(40*ms, func() {
				if !w.Simulated() {
					time.Sleep(30 * ms) // both are due at once
				}
			})
			r.CallLater(50*ms, done)
		},
		"StopWaiting comes with done": func(r *reactor.Reactor, _ testworld.World, done func()) {
			r.CallLater(5*ms, func() {
				r.Post(func() { r.Post(done) })
				r.StopWaiting()
			})
		},
	} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{ShutdownTimeout: 50 * ms})
			r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
				wait(r, w, done)
				r.CallLater(ms, func() { r.AddWaitTrigger(reactor.Shutdown, neverDone) })
			})
			r.CallWhenRunning(func() { r.Stop() })
			if err := runs(t, r); !errors.Is(err, reactor.ErrUnfinished) {
				t.Errorf("CORE-50: %s: %v", name, err)
			}
		})
	}
}

// A shutdown that ends in a crash leaves the next one all its time.
func TestShutdownTimeoutAfterCrash(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{ShutdownTimeout: 50 * ms})
		r.AddWaitTrigger(reactor.Shutdown, func(func()) { r.CallLater(ms, r.Crash) })
		r.CallWhenRunning(func() { r.Stop() })
		runToEnd(t, r)
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) { r.CallLater(20*ms, done) })
		r.CallWhenRunning(func() { r.CallLater(100*ms, func() { r.Stop() }) })
		runToEnd(t, r) // CORE-50: without ErrUnfinished
	})
}

// THR-21: a callback of a Shutdown that was fired on a reactor that never ran is one, too.
func TestAskInClose(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() {
			reactor.Ask(r, func() (int, error) { return 1, nil })
		})
		r.Close()
		if panics != 1 {
			t.Errorf("THR-21: %d panics", panics)
		}
	})
}
