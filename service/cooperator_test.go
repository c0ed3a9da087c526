package service_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/testworld"
)

// slices of a work of n steps, which says each.
func work(said *[]string, name string, n int) service.Step {
	return func() (*deferred.Deferred[service.None], bool) {
		*said = append(*said, name)
		n--
		return nil, n > 0
	}
}

// COOP-1: tasks take turns, one step each. A round lasts until its limit, and the next one comes through the reactor. Without tasks nothing is scheduled.
func TestTurns(t *testing.T) {
	r := simulated(t, reactor.Config{})
	c := service.NewCooperator(r)
	c.Steps = 4
	var said []string
	a, b := c.Add(work(&said, "a", 4)), c.Add(work(&said, "b", 2))
	if c.Running() || r.Stats().Pending != 0 {
		t.Error("COOP-5: it runs before its start")
	}
	if c.Start(); !c.Running() || len(said) != 0 || r.Stats().Pending != 1 {
		t.Error("COOP-1: a step before the first round")
	}
	testworld.Turns(t, r, 1)
	if got := strings.Join(said, ""); got != "abab" || failure(b.Done()) != nil || failure(a.Done()) != errPending {
		t.Errorf("COOP-1: the first round: %s", got)
	}
	testworld.Turns(t, r, 1)
	if got := strings.Join(said, ""); got != "ababaa" || failure(a.Done()) != nil || r.Stats().Pending != 0 {
		t.Errorf("COOP-1: %s, %d timers", got, r.Stats().Pending)
	}
	// By default a round has a limit in simulation too.
	c = service.NewCooperator(r)
	c.Start()
	steps := 0
	forever := c.Add(func() (*deferred.Deferred[service.None], bool) { steps++; return nil, true })
	testworld.Turns(t, r, 3)
	if steps != 3*service.DefaultSteps {
		t.Errorf("COOP-1: %d steps in 3 turns", steps)
	}
	if forever.Stop(); r.Stats().Pending != 0 {
		t.Error("COOP-1: a round is scheduled without tasks")
	}
	panics(t, func() { c.Add(nil) })
}

// COOP-1: the limit of a round is 10 ms by default.
func TestRound(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			c := service.NewCooperator(r)
			c.Steps = 1 << 30
			c.Start()
			rounds, begin := 0, time.Duration(0)
			longest := time.Duration(0)
			var turn uint64
			task := c.Add(func() (*deferred.Deferred[service.None], bool) {
				if n := r.Stats().Turns; n != turn {
					turn, begin = n, r.Now()
					rounds++
				}
				longest = max(longest, r.Now()-begin)
				return nil, rounds < 3 || longest < service.DefaultRound/2 && rounds < 1000 // on a busy machine others have the processor meanwhile
			})
			d := task.Done()
			until(t, r, func() bool { return failure(d) == nil })
			if longest > 20*time.Second || longest < service.DefaultRound/2 {
				t.Errorf("COOP-1: %d rounds, the longest of %v", rounds, longest)
			}
		})
	}
}

// COOP-2: a task that waits for a result is suspended, and no other is. The failure of what it waits for, or of its own step, is its failure.
func TestTaskWaits(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger(), Panicked: func(*reactor.PanicError) {}})
	c := service.NewCooperator(r)
	c.Steps = 2
	c.Start()
	wait := deferred.New[service.None](r, nil)
	n, others := 0, 0
	a := c.Add(func() (*deferred.Deferred[service.None], bool) {
		if n++; n == 1 {
			return wait, true
		}
		return deferred.Of(r, service.None{}), n < 4
	})
	b := c.Add(func() (*deferred.Deferred[service.None], bool) { others++; return nil, true })
	testworld.Turns(t, r, 5)
	if n != 1 || others < 5 || failure(a.Done()) != errPending {
		t.Errorf("COOP-2: %d steps, and %d of the other", n, others)
	}
	wait.Succeed(service.None{})
	testworld.Turns(t, r, 10)
	if n != 4 || failure(a.Done()) != nil {
		t.Errorf("COOP-2: %d steps, %v", n, failure(a.Done()))
	}
	bad := c.Add(func() (*deferred.Deferred[service.None], bool) {
		return deferred.Failed[service.None](r, errTest), true
	})
	panicking := c.Add(func() (*deferred.Deferred[service.None], bool) { panic("no") })
	badEnd, panicEnd := bad.Done(), panicking.Done()
	badEnd.Ignore()
	panicEnd.Ignore()
	testworld.Turns(t, r, 5)
	if failure(badEnd) != errTest {
		t.Error("COOP-2:", failure(badEnd))
	}
	if _, ok := errors.AsType[*reactor.PanicError](failure(panicEnd)); !ok {
		t.Error("COOP-2:", failure(panicEnd))
	}
	log.all = nil
	c.Add(func() (*deferred.Deferred[service.None], bool) {
		return deferred.Failed[service.None](r, errTest), true
	})
	testworld.Turns(t, r, 5)
	if len(log.all) != 1 || !strings.Contains(log.all[0], "nobody has handled err=test") {
		t.Errorf("a failure that nobody waits for: %q", log.all)
	}
	b.Stop()
}

// COOP-3: pausing nests, and resuming without a pause is an error. A task that was paused while it waited needs both to go on.
func TestTaskPause(t *testing.T) {
	r := simulated(t, reactor.Config{})
	c := service.NewCooperator(r)
	c.Start()
	n := 0
	var wait *deferred.Deferred[service.None]
	a := c.Add(func() (*deferred.Deferred[service.None], bool) { n++; w := wait; wait = nil; return w, n < 1000 })
	if err := a.Resume(); err != service.ErrNotPaused {
		t.Error("COOP-3:", err)
	}
	c.Steps = 1
	_, _ = a.Pause(), a.Pause()
	testworld.Turns(t, r, 3)
	_ = a.Resume()
	testworld.Turns(t, r, 3)
	if n != 0 || r.Stats().Pending != 0 {
		t.Error("COOP-3: steps of a paused task:", n)
	}
	_ = a.Resume()
	testworld.Turns(t, r, 1)
	if n != 1 {
		t.Error("COOP-3: resumed:", n)
	}
	for _, first := range []string{"result", "resume"} {
		w := deferred.New[service.None](r, nil)
		wait = w
		testworld.Turns(t, r, 2)
		before := n
		_ = a.Pause()
		if first == "result" {
			w.Succeed(service.None{})
		} else {
			_ = a.Resume()
		}
		testworld.Turns(t, r, 2)
		if n != before {
			t.Errorf("COOP-3: it went on after the %s alone", first)
		}
		if first == "result" {
			_ = a.Resume()
		} else {
			w.Succeed(service.None{})
		}
		testworld.Turns(t, r, 2)
		if n == before {
			t.Errorf("COOP-3: it does not go on after both, the %s first", first)
		}
	}
	_ = a.Stop()
}

// COOP-4: stopping a task tells those who wait for its end that it was stopped. Stopping one that has ended is an error that says how it ended. Each who waits gets an
// answer of its own, at once if it has ended.
func TestTaskStop(t *testing.T) {
	r := simulated(t, reactor.Config{})
	c := service.NewCooperator(r)
	c.Start()
	cancelled := 0
	a := c.Add(func() (*deferred.Deferred[service.None], bool) {
		return deferred.New(r, func(*deferred.Deferred[service.None]) { cancelled++ }), true
	})
	one, two, three := a.Done(), a.Done(), a.Done()
	three.Cancel()
	testworld.Turns(t, r, 1)
	if err := a.Stop(); err != nil || failure(one) != service.ErrTaskStopped || failure(two) != service.ErrTaskStopped || failure(three) != reactor.ErrCancelled || cancelled != 1 {
		t.Errorf("COOP-4: %v, %v, %v", err, failure(one), failure(two))
	}
	if failure(a.Done()) != service.ErrTaskStopped {
		t.Error("COOP-4: at once:", failure(a.Done()))
	}
	done := c.Add(func() (*deferred.Deferred[service.None], bool) { return nil, false })
	failed := c.Add(func() (*deferred.Deferred[service.None], bool) {
		return deferred.Failed[service.None](r, errTest), false
	})
	failed.Done().Ignore()
	testworld.Turns(t, r, 2)
	for _, e := range []struct {
		task *service.Task
		want error
	}{{a, service.ErrTaskStopped}, {done, service.ErrTaskDone}, {failed, service.ErrTaskFailed}, {failed, errTest}} {
		for what, err := range map[string]error{"Stop": e.task.Stop(), "Pause": e.task.Pause(), "Resume": e.task.Resume()} {
			if !errors.Is(err, e.want) {
				t.Errorf("COOP-4: %s of one that has ended: %v, want %v", what, err, e.want)
			}
		}
	}
	// A step may stop its own task.
	var self *service.Task
	self = c.Add(func() (*deferred.Deferred[service.None], bool) { _ = self.Stop(); return nil, true })
	testworld.Turns(t, r, 2)
	if failure(self.Done()) != service.ErrTaskStopped || r.Stats().Pending != 0 {
		t.Error("COOP-4: its own step:", failure(self.Done()))
	}
}

// COOP-5: stopping the scheduler fails its tasks, those that are added later too, and those that wait when they would go on. Stopping it inside such an answer is
// safe.
func TestCooperatorStop(t *testing.T) {
	r := simulated(t, reactor.Config{})
	c := service.NewCooperator(r)
	s := service.Named(r, "c", c)
	s.Start()
	wait := deferred.New[service.None](r, nil)
	waiting := c.Add(func() (*deferred.Deferred[service.None], bool) { return wait, true })
	testworld.Turns(t, r, 1)
	paused := c.Add(func() (*deferred.Deferred[service.None], bool) { return nil, true })
	_ = paused.Pause()
	var ends []error
	for range 3 {
		c.Add(func() (*deferred.Deferred[service.None], bool) { return nil, true }).Done().Done(func(_ service.None, err error) {
			ends = append(ends, err)
			c.Stop()
		})
	}
	if s.Stop(); len(ends) != 3 || ends[0] != service.ErrCooperatorStopped || ends[2] != service.ErrCooperatorStopped || c.Running() {
		t.Error("COOP-5:", ends)
	}
	if err := failure(c.Add(func() (*deferred.Deferred[service.None], bool) { return nil, true }).Done()); err != service.ErrCooperatorStopped {
		t.Error("COOP-5: added later:", err)
	}
	one, other := waiting.Done(), paused.Done()
	one.Ignore()
	other.Ignore()
	if failure(one) != errPending || failure(other) != errPending {
		t.Error("COOP-5: those that wait have ended")
	}
	wait.Succeed(service.None{})
	_ = paused.Resume()
	if failure(waiting.Done()) != service.ErrCooperatorStopped || failure(paused.Done()) != service.ErrCooperatorStopped {
		t.Error("COOP-5: when they would go on:", failure(waiting.Done()), failure(paused.Done()))
	}
	testworld.Turns(t, r, 2)
	// It can be started again. A step may stop it.
	s.Start()
	n := 0
	var end error
	c.Add(func() (*deferred.Deferred[service.None], bool) { n++; c.Stop(); return nil, true }).Done().Done(func(_ service.None, err error) { end = err })
	c.Add(func() (*deferred.Deferred[service.None], bool) { n++; return nil, true })
	testworld.Turns(t, r, 3)
	if n != 1 || end != service.ErrCooperatorStopped || r.Stats().Pending != 0 {
		t.Error("COOP-5: inside a step:", n, end)
	}
}

// COOP-4, COOP-5: what a step returns after it has stopped its task, or the cooperator, is given up.
func TestTaskStopsAndWaits(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for _, whole := range []bool{false, true} {
		c := service.NewCooperator(r)
		gaveUp := 0
		var task *service.Task
		task = c.Add(func() (*deferred.Deferred[service.None], bool) {
			if whole {
				c.Stop()
			} else {
				_ = task.Stop()
			}
			return deferred.New(r, func(*deferred.Deferred[service.None]) { gaveUp++ }), true
		})
		task.Done().Ignore()
		c.Start()
		testworld.Turns(t, r, 3)
		if gaveUp != 1 {
			t.Errorf("COOP-4, COOP-5: given up %d times", gaveUp)
		}
	}
}
