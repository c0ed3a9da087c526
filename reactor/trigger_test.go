package reactor_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

var phases = [...]reactor.Phase{reactor.Before, reactor.During, reactor.After}

func TestPhases(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		same(t, []string{phases[0].String(), phases[1].String(), phases[2].String()}, "before", "during", "after") // CORE-29
		func() {
			defer func() {
				if recover() == nil {
					t.Error("CORE-29: a fourth phase is accepted")
				}
			}()
			r.AddTrigger(reactor.After+1, "x", func() {})
		}()
		r.FireEvent("nobody cares") // CORE-29: does nothing
		var s steps
		for _, p := range []reactor.Phase{reactor.After, reactor.During, reactor.Before, reactor.During, reactor.Before, reactor.After} {
			r.AddTrigger(p, "x", s.adds(fmt.Sprint(p, len(r.DelayedCalls()))))
			r.CallLater(1<<40, func() {})
		}
		r.AddTrigger(reactor.During, "y", s.adds("other"))
		r.FireEvent("x")
		// CORE-30: by phase, then in order of registration. CORE-33: nothing to wait
		// for, so all is over when FireEvent returns.
		same(t, s, "before 2", "before 4", "during 1", "during 3", "after 0", "after 5")
		r.FireEvent("x") // CORE-35: once
		if len(s) != 6 {
			t.Errorf("CORE-35: repeated: %v", s)
		}
		s = nil
		r.AddTrigger(reactor.During, "x", func() { r.FireEvent("x"); s.add("first") }) // not while it is fired
		r.AddTrigger(reactor.During, "x", s.adds("second"))
		r.FireEvent("x")
		same(t, s, "first", "second") // CORE-30
	})
}

func TestBeforeTriggersWaitTogether(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		var first, third func()
		r.AddWaitTrigger("x", func(done func()) { s.add("one"); first = done })
		r.AddWaitTrigger("x", func(done func()) { s.add("two"); done(); first() }) // CORE-31: a later one answers an earlier one
		r.AddWaitTrigger("x", func(done func()) { s.add("three"); third = done })
		r.AddTrigger(reactor.Before, "x", s.adds("four"))
		r.AddTrigger(reactor.During, "x", s.adds("during"))
		r.FireEvent("x")
		testworld.Turns(t, r, 3)
		same(t, s, "one", "two", "three", "four") // CORE-31: all called, one awaited
		r.AddTrigger(reactor.During, "y", s.adds("y"))
		r.FireEvent("y") // CORE-41: another event does not wait for it
		same(t, s, "one", "two", "three", "four", "y")
		r.FireEvent("x") // it is being fired: nothing
		third()
		third() // more than once is once
		until(t, r, func() bool { return len(s) == 6 })
		same(t, s, "one", "two", "three", "four", "y", "during")
	})
}

func TestTriggersThatPanic(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := testworld.NewLog(t)
		var s steps
		r := w.New(t, reactor.Config{Logger: log.Logger(), Panicked: func(e *reactor.PanicError) { s.add(fmt.Sprint("panic ", e.Value)) }})
		// CORE-32: a trigger that panics counts as finished, even one of
		// AddWaitTrigger.
		r.AddWaitTrigger("x", func(func()) { panic("wait") })
		r.AddWaitTrigger("x", func(done func()) { done(); panic("done") })
		for _, p := range phases {
			r.AddTrigger(p, "x", func() { panic(p.String()) })
			r.AddTrigger(p, "x", s.adds(p.String()))
		}
		r.FireEvent("x")
		// CORE-34: the rest of the phase and the later phases run; it was logged.
		same(t, s, "panic wait", "panic done", "panic before", "before", "panic during", "during", "panic after", "after")
		if n := len(log.Take("ERROR panic ")); n != 5 {
			t.Errorf("CORE-34: %d panics logged", n)
		}
	})
}

func TestRemoveTrigger(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		n := 0
		fn := func() { n++ }
		for _, p := range phases {
			x := r.AddTrigger(p, "x", fn)
			if err := x.Remove(); err != nil {
				t.Errorf("CORE-36: %v: %v", p, err)
			}
			if err := x.Remove(); err != reactor.ErrTriggerGone {
				t.Errorf("CORE-36: %v removed twice: %v", p, err)
			}
		}
		r.FireEvent("x")
		if n != 0 {
			t.Error("CORE-36: a removed trigger has run")
		}
		if err := (*reactor.Trigger)(nil).Remove(); err != reactor.ErrTriggerGone {
			t.Errorf("CORE-36: removing none: %v", err)
		}
		// CORE-40: of two equal triggers, the one whose handle was used is removed.
		var s steps
		first := r.AddTrigger(reactor.During, "x", s.adds("same"))
		r.AddTrigger(reactor.During, "x", s.adds("between"))
		second := r.AddTrigger(reactor.During, "x", s.adds("same"))
		second.Remove()
		r.FireEvent("x")
		same(t, s, "same", "between")
		if first.Remove() != reactor.ErrTriggerGone {
			t.Error("CORE-36: removing one that has run")
		}
	})
}

func TestRemoveTriggerWhileFiring(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log coreLog
		r := w.New(t, reactor.Config{Logger: slog.New(&log)})
		ran := func(which string) func() { return func() { t.Error("CORE-37: it ran: " + which) } }
		remove := func(x *reactor.Trigger, want error) {
			t.Helper()
			if err := x.Remove(); err != want {
				t.Errorf("CORE-37: Remove: %v, want %v", err, want)
			}
		}
		var before, during, during2, waiting, early *reactor.Trigger
		var done func()
		early = r.AddTrigger(reactor.Before, "x", func() {})
		r.AddTrigger(reactor.Before, "x", func() {
			remove(before, nil) // CORE-37: before from before
			remove(during, nil) // CORE-37: during from before
			// CORE-38: one that ran, while its phase lasts, only warns.
			remove(early, nil)
			if log.count(slog.LevelWarn, "removing a trigger that has run already") != 1 {
				t.Error("CORE-38: no warning")
			}
		})
		before = r.AddTrigger(reactor.Before, "x", ran("before"))
		r.AddWaitTrigger("x", func(d func()) { done = d })
		during = r.AddTrigger(reactor.During, "x", ran("during"))
		var self *reactor.Trigger
		self = r.AddTrigger(reactor.During, "x", func() {
			remove(during2, nil)                   // CORE-37: during from during
			remove(self, reactor.ErrTriggerGone)   // CORE-38
			remove(early, reactor.ErrTriggerGone)  // CORE-38: its phase is over
			remove(before, reactor.ErrTriggerGone) // removed before
		})
		during2 = r.AddTrigger(reactor.During, "x", ran("second during"))
		waiting = r.AddTrigger(reactor.After, "x", ran("after"))
		over := false
		r.AddTrigger(reactor.After, "x", func() { over = true })
		r.FireEvent("x")
		remove(waiting, nil) // CORE-37: while the event waits
		remove(early, nil)   // CORE-38: still in its phase
		done()
		until(t, r, func() bool { return over })
		remove(self, reactor.ErrTriggerGone)
	})
}

func TestAddTriggerWhileFiring(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		var done func()
		r.AddWaitTrigger("x", func(d func()) {
			done = d
			r.AddTrigger(reactor.Before, "x", s.adds("before, from before"))
			r.AddTrigger(reactor.During, "x", s.adds("during, from before"))
		})
		r.AddTrigger(reactor.During, "x", func() {
			r.AddTrigger(reactor.Before, "x", s.adds("before, from during"))
			r.AddTrigger(reactor.During, "x", s.adds("during, from during"))
			r.AddTrigger(reactor.After, "x", func() {
				r.AddTrigger(reactor.During, "x", s.adds("during, from after"))
				r.AddTrigger(reactor.After, "x", s.adds("after, from after"))
			})
		})
		r.FireEvent("x")
		r.AddTrigger(reactor.Before, "x", s.adds("before, from waiting"))
		done()
		until(t, r, func() bool { return len(s) == 5 })
		// CORE-39: in this firing if the phase is not over, else in the next.
		same(t, s, "before, from before", "before, from waiting", "during, from before", "during, from during", "after, from after")
		s = nil
		r.FireEvent("x")
		same(t, s, "before, from during", "during, from after")
	})
}

func TestShutdownByHand(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := &end{}, &end{}
		p, _ := connect(t, r, srv, cli)
		n := 0
		for _, p := range phases {
			r.AddTrigger(p, reactor.Shutdown, func() { n++ })
		}
		r.AddTrigger(reactor.After, reactor.Shutdown, func() {
			r.FireEvent(reactor.Shutdown) // it is being fired
			if r.Running() {
				t.Error("CORE-42: running, in the After phase")
			}
		})
		r.FireEvent(reactor.Shutdown)
		// CORE-42: everything ends, the pool too.
		if n != 3 || srv.err != reactor.ErrStopped || cli.err != reactor.ErrStopped || p.Listening() || r.Stats().Sources != 0 {
			t.Errorf("CORE-42: %d triggers, %v, %v, %+v", n, srv.err, cli.err, r.Stats())
		}
		if err := r.CallInThread(func() {}); err != pool.ErrStopped {
			t.Errorf("CORE-42: the pool lives: %v", err)
		}
		if _, err := r.Kernel().Wait(make([]kernel.Event, 1), 0); err == nil {
			t.Error("CORE-42: the kernel is open")
		}
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() { t.Error("CORE-42: fired again") })
		r.FireEvent(reactor.Shutdown) // once
		if err := r.Turn(0); err != reactor.ErrNotRestartable {
			t.Errorf("CORE-42: Turn: %v", err)
		}
		r.FireEvent(reactor.Shutdown)
	})
}

func TestShutdownByHandWaits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		over := false
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) { r.CallLater(0, done) })
		r.AddTrigger(reactor.After, reactor.Shutdown, func() { over = true })
		r.FireEvent(reactor.Shutdown)
		if over {
			t.Error("CORE-42: it did not wait")
		}
		until(t, r, func() bool { return over }) // CORE-24 on a reactor that is turned by hand
	})
}
