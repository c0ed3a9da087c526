package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// start starts r.
func start(t *testing.T, r *reactor.Reactor) {
	t.Helper()
	if err := r.Start(); err != nil {
		t.Fatalf("Start: %v", err)
	}
}

// turnToEnd turns r, which was started, until it says that it is over.
func turnToEnd(t *testing.T, r *reactor.Reactor) {
	t.Helper()
	for range 1000 {
		if err := r.Turn(0); err != nil {
			if err != reactor.ErrNotRestartable {
				t.Errorf("the last turn: %v", err)
			}
			return
		}
	}
	t.Fatal("the reactor did not end")
}

// panics tells whether fn does.
func panics(fn func()) (did bool) {
	defer func() { did = recover() != nil }()
	fn()
	return
}

// The phases that r goes through, and whether it runs in each.
func notePhases(r *reactor.Reactor, s *steps) {
	for _, name := range []string{reactor.Startup, reactor.Shutdown} {
		for _, p := range []reactor.Phase{reactor.Before, reactor.During, reactor.After} {
			r.AddTrigger(p, name, func() { s.add(fmt.Sprintf("%v %s %v", p, name, r.Running())) })
		}
	}
}

// A life by Start and Turn is one by Run.
func TestStart(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		notePhases(r, &s)
		start(t, r)
		// CORE-7, CORE-9: as in Run.
		same(t, s, "before startup false", "during startup true", "after startup true")
		var srv, cli end
		srv.onData = func(p []byte) { srv.s.Write(p) }
		connect(t, r, &srv, &cli)
		cli.s.Write([]byte("echo"))
		until(t, r, func() bool { return string(cli.got) == "echo" })
		s = nil
		if err := r.Stop(); err != nil || !r.Running() || len(s) != 0 || srv.err != nil {
			t.Errorf("CORE-22: Stop only asks: %v, %v", err, s)
		}
		if err := r.Stop(); err != reactor.ErrNotRunning {
			t.Errorf("CORE-3: second Stop: %v", err)
		}
		if err := r.Turn(-1); err != nil { // nothing waits, so it does not either
			t.Errorf("the turn in which it ends: %v", err)
		}
		// CORE-8, CORE-13: all three phases are over, and everything is lost.
		same(t, s, "before shutdown true", "during shutdown false", "after shutdown false")
		if !errors.Is(srv.err, reactor.ErrStopped) || !errors.Is(cli.err, reactor.ErrStopped) || r.Running() {
			t.Errorf("CORE-25: lost %v and %v, running %v", srv.err, cli.err, r.Running())
		}
		for what, err := range map[string]error{
			"Turn": r.Turn(0), "Start": r.Start(), "Run": r.Run(context.Background()),
		} {
			if err != reactor.ErrNotRestartable {
				t.Errorf("CORE-5: %s after the end: %v", what, err)
			}
		}
		if err := r.Stop(); err != reactor.ErrNotRunning {
			t.Errorf("CORE-2: Stop after the end: %v", err)
		}
		r.Close() // does nothing
	})
}

// Start and Run on a reactor that was started or runs return an error, and the reactor
// goes on.
func TestStartTwice(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		again := func(when string) {
			if err := r.Start(); err != reactor.ErrAlreadyRunning {
				t.Errorf("CORE-4: Start %s: %v", when, err)
			}
			if err := r.Run(context.Background()); err != reactor.ErrAlreadyRunning {
				t.Errorf("CORE-4: Run %s: %v", when, err)
			}
		}
		r.AddTrigger(reactor.Before, reactor.Startup, func() { again("in startup") })
		start(t, r)
		again("after Start")
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() { again("in shutdown") })
		r.Post(func() { again("in a callback"); r.Stop() })
		turnToEnd(t, r)

		r = w.New(t, reactor.Config{})
		r.Post(func() { again("during Run"); r.Stop() })
		runToEnd(t, r)

		r = w.New(t, reactor.Config{})
		r.Post(func() {
			if !panics(func() { r.Start() }) || !panics(func() { r.Run(context.Background()) }) {
				t.Error("Start or Run in a callback of Turn did not panic")
			}
		})
		testworld.Turns(t, r, 1)
	})
}

// Another goroutine stops it, and wakes the turn that waits.
func TestStartThenStopFromElsewhere(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		start(t, r)
		asked := make(chan error, 1)
		go func() { asked <- r.Stop() }()
		for r.Turn(-1) == nil {
		}
		if err := <-asked; err != nil || r.Running() {
			t.Errorf("Stop: %v, running %v", err, r.Running())
		}
	})
}

// A startup that waits, and a Stop meanwhile.
func TestStartWaits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		notePhases(r, &s)
		var started func()
		r.AddWaitTrigger(reactor.Startup, func(done func()) { started = done })
		start(t, r)
		r.Post(s.adds("post"))
		r.CallLater(0, s.adds("timer"))
		testworld.Turns(t, r, 2)
		if err := r.Stop(); err != nil {
			t.Errorf("CORE-10: Stop before the startup is over: %v", err)
		}
		testworld.Turns(t, r, 2)
		// CORE-10: the loop serves everything meanwhile.
		same(t, s, "before startup false", "post", "timer")
		s = nil
		started()
		turnToEnd(t, r)
		same(t, s, "during startup true", "after startup true", "before shutdown true", "during shutdown false", "after shutdown false")
	})
}

// CORE-24: while a shutdown waits, the loop serves everything.
func TestStartedShutdownWaits(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		k := spyOn(t, w)
		r := testworld.New(t, k, reactor.Config{})
		var stopped func()
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) { stopped = done })
		start(t, r)
		var srv, cli end
		connect(t, r, &srv, &cli)
		testworld.Turns(t, r, 2)
		r.Stop()
		if err := r.Turn(time.Second); err != nil || stopped == nil || k.lastWait() != 0 {
			t.Errorf("the turn that carried out Stop waited until %v, %v", k.lastWait(), err)
		}
		cli.s.Write([]byte("still"))
		until(t, r, func() bool { return string(srv.got) == "still" })
		if srv.err != nil || !r.Running() || stopped == nil {
			t.Fatalf("CORE-24: lost %v, running %v", srv.err, r.Running())
		}
		stopped()
		turnToEnd(t, r)
		if srv.err == nil || r.Running() {
			t.Error("CORE-24: the shutdown does not end")
		}
	})
}

// Close ends a started reactor at once, in any state, but not in a callback.
func TestCloseStarted(t *testing.T) {
	never := func(func()) {}
	for name, arrange := range map[string]func(t *testing.T, r *reactor.Reactor){
		"running":        func(t *testing.T, r *reactor.Reactor) { start(t, r) },
		"asked to stop":  func(t *testing.T, r *reactor.Reactor) { start(t, r); r.Stop() },
		"still starting": func(t *testing.T, r *reactor.Reactor) { r.AddWaitTrigger(reactor.Startup, never); start(t, r) },
		"starting, asked to stop": func(t *testing.T, r *reactor.Reactor) {
			r.AddWaitTrigger(reactor.Startup, never)
			start(t, r)
			r.Stop()
		},
		"stopping": func(t *testing.T, r *reactor.Reactor) {
			r.AddWaitTrigger(reactor.Shutdown, never)
			start(t, r)
			r.Stop()
			testworld.Turns(t, r, 2)
		},
		"Shutdown fired by hand": func(t *testing.T, r *reactor.Reactor) {
			r.AddWaitTrigger(reactor.Shutdown, never)
			r.FireEvent(reactor.Shutdown)
			testworld.Turns(t, r, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				r := w.New(t, reactor.Config{})
				after, asked := 0, 0
				r.AddTrigger(reactor.After, reactor.Shutdown, func() { after++ })
				p := listen(t, r, &service{}, nil)
				arrange(t, r)
				r.AddWaitTrigger(reactor.Shutdown, func(func()) { asked++ })
				r.Close()
				// CORE-39: what is added late is called too, and not awaited.
				if after != 1 || asked != 1 || p.Listening() || r.Running() || r.Turn(0) != reactor.ErrNotRestartable {
					t.Errorf("CORE-39 CORE-42: shutdown ended %d times, asked %d times, listening %v, running %v", after, asked, p.Listening(), r.Running())
				}
				r.Close()
				if after != 1 {
					t.Errorf("CORE-42: the second Close ended it again")
				}
			})
		})
	}
}

// Close and Turn panic in callbacks of a started reactor. Once shutdown has begun, Close
// does nothing.
func TestStartIsNotReentrant(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		wrong := func(when string) {
			if !panics(r.Close) {
				t.Errorf("Close %s did not panic", when)
			}
			if !panics(func() { r.Turn(0) }) {
				t.Errorf("CORE-19: Turn %s did not panic", when)
			}
		}
		for _, p := range []reactor.Phase{reactor.Before, reactor.During, reactor.After} {
			r.AddTrigger(p, reactor.Startup, func() { wrong(fmt.Sprintf("%v startup", p)) })
			r.AddTrigger(p, reactor.Shutdown, func() {
				r.Close()
				if !panics(func() { r.Turn(0) }) {
					t.Errorf("CORE-19: Turn %v shutdown did not panic", p)
				}
			})
		}
		start(t, r)
		r.Post(func() { wrong("in a callback") })
		testworld.Turns(t, r, 1)
		r.Stop()
		turnToEnd(t, r)
	})
}

// After a crash it is as before Start: CORE-14, CORE-15.
func TestCrashStarted(t *testing.T) {
	for name, crash := range map[string]func(t *testing.T, r *reactor.Reactor){
		"in a callback": func(t *testing.T, r *reactor.Reactor) {
			start(t, r)
			r.Post(r.Crash)
			testworld.Turns(t, r, 1)
		},
		"between turns": func(t *testing.T, r *reactor.Reactor) { start(t, r); r.Crash() },
		"in startup": func(t *testing.T, r *reactor.Reactor) {
			r.AddTrigger(reactor.Before, reactor.Startup, r.Crash)
			start(t, r)
		},
		"while stopping": func(t *testing.T, r *reactor.Reactor) {
			r.AddWaitTrigger(reactor.Shutdown, func(func()) {})
			start(t, r)
			r.Stop()
			testworld.Turns(t, r, 1)
			r.Crash()
		},
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				r := w.New(t, reactor.Config{})
				ended := 0
				r.AddTrigger(reactor.During, reactor.Shutdown, func() { ended++ })
				p := listen(t, r, &service{}, nil)
				srv, cli := &end{}, &end{}
				connect(t, r, srv, cli)
				crash(t, r)
				if r.Running() || ended != 0 || !p.Listening() || r.Stop() != reactor.ErrNotRunning {
					t.Errorf("CORE-14: running %v, shutdown %d times, listening %v", r.Running(), ended, p.Listening())
				}
				// CORE-14: nothing is closed. It is turned as one that was never started.
				cli.s.Write([]byte("still there"))
				until(t, r, func() bool { return string(srv.got) == "still there" || srv.err != nil })
				if srv.err != nil || cli.err != nil {
					t.Errorf("CORE-14: lost with %v and %v", srv.err, cli.err)
				}
				var s steps
				if r.CallWhenRunning(func() { s.add(fmt.Sprint("running ", r.Running())) }) == nil {
					t.Error("CORE-15: a crashed reactor runs")
				}
				start(t, r)
				same(t, s, "running true") // CORE-15
				r.Crash()
				r.Post(func() { r.Stop() })
				runToEnd(t, r)
				if ended != 1 || p.Listening() {
					t.Errorf("CORE-15: shutdown %d times after the last run, listening %v", ended, p.Listening())
				}
			})
		})
	}
}

// CORE-9, WAKE-13: signals are taken in startup, and given back however it ends.
func TestStartSignals(t *testing.T) {
	for name, over := range map[string]func(t *testing.T, r *reactor.Reactor){
		"stop":  func(t *testing.T, r *reactor.Reactor) { r.Stop(); turnToEnd(t, r) },
		"close": func(_ *testing.T, r *reactor.Reactor) { r.Close() },
		"crash": func(_ *testing.T, r *reactor.Reactor) { r.Crash() },
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				k := spyOn(t, w)
				var s steps
				k.notify = s.adds("notify")
				r := testworld.New(t, k, reactor.Config{Signals: []os.Signal{os.Interrupt}})
				r.AddTrigger(reactor.Before, reactor.Startup, s.adds("before"))
				r.AddTrigger(reactor.After, reactor.Startup, s.adds("after"))
				start(t, r)
				same(t, s, "before", "notify", "after")
				if k.stops != 0 {
					t.Error("WAKE-13: the signals are given back while it runs")
				}
				over(t, r)
				if k.stops != 1 {
					t.Errorf("WAKE-13: the signals were given back %d times", k.stops)
				}
			})
		})
	}
}

// A kernel that keeps failing ends a started reactor, and the last turn returns its
// error. A reactor that was never started only goes on failing.
func TestStartedKernelFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := testworld.NewLog(t)
		r, f := faultyWith(t, w, reactor.Config{Logger: log.Logger()})
		f.Wait = func() error { return kernel.ErrNoResources }
		testworld.Turns(t, r, 150)
		start(t, r)
		var err error
		for turns := 0; err == nil && turns < 300; turns++ {
			err = r.Turn(0)
		}
		if err != kernel.ErrNoResources || r.Turn(0) != reactor.ErrNotRestartable {
			t.Errorf("the last turn: %v", err)
		}
		if n := len(log.Take("the kernel cannot wait")); n != 2 {
			t.Errorf("%d failures logged, want the first and the last", n)
		}
	})
}
