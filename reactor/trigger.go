package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/internal/phases"
	"github.com/whorl-go/whorl/kernel/probe"
)

// Phase is a part of an event. Each trigger runs in one of them (CORE-29).
type Phase uint8

// The phases of an event, in their order (CORE-30).
const (
	Before = Phase(phases.Before)
	During = Phase(phases.During)
	After  = Phase(phases.After)
)

// String is "before", "during" or "after".
func (p Phase) String() string { return [...]string{"before", "during", "after"}[p] }

// The events that the reactor fires itself. Programs may use any other names for their own.
const (
	Startup  = "startup"
	Shutdown = "shutdown"
)

// Trigger is a function that waits for an event. Remove takes it back.
type Trigger struct {
	r    *Reactor
	name string // of the event
	t    *phases.Trigger
}

// event returns the event of that name, and makes it if there is none.
func (r *Reactor) event(name string) *phases.Event {
	e := r.events[name]
	if e == nil {
		e = &phases.Event{Post: func(fn func()) { r.Post(fn) }, Call: func(p phases.Phase, fn func()) bool {
			r.observe(probe.Note{Kind: probe.NoteTrigger, Name: name, N: int(p)})
			return r.guard(name+" trigger", fn) == nil
		}}
		r.events[name] = e
	}
	return e
}

// AddTrigger has fn called once when the event name is fired, in phase p, after the functions
// that were added earlier to that phase (CORE-30, CORE-35). A trigger that is added during a
// firing runs in it if its phase is not over (CORE-39). A panic in fn is logged, and the
// rest run (CORE-34). AddTrigger panics if p is none of the three phases, or fn is nil. It is for the
// loop's goroutine, as are all functions for triggers.
func (r *Reactor) AddTrigger(p Phase, name string, fn func()) *Trigger {
	mustCall("AddTrigger", fn != nil)
	return r.addTrigger(p, name, func(done func()) { fn(); done() })
}

// AddWaitTrigger is AddTrigger in the phase Before, for an fn that takes time. When fn has
// finished, it must call done, on the loop's goroutine. The phase ends when all of them have
// called their done. All are called first and then awaited together (CORE-31). Meanwhile the
// loop goes on turning (CORE-10, CORE-24). A reactor that is asked to stop waits for them, in
// Startup and in Shutdown, no longer than Config.ShutdownTimeout.
func (r *Reactor) AddWaitTrigger(name string, fn func(done func())) *Trigger {
	mustCall("AddWaitTrigger", fn != nil)
	return r.addTrigger(Before, name, fn)
}

func (r *Reactor) addTrigger(p Phase, name string, fn func(done func())) *Trigger {
	if p > After {
		panic("reactor: no such phase")
	}
	return &Trigger{r, name, r.event(name).Add(phases.Phase(p), fn)}
}

// Remove removes a trigger that has not run yet, also during a firing (CORE-37). It fails
// with ErrTriggerGone if the trigger is nil, was removed or has run. There is one exception:
// for a Before trigger that has run, while its phase lasts, Remove logs a warning and returns
// nil (CORE-36, CORE-38).
func (t *Trigger) Remove() error {
	if t == nil {
		return ErrTriggerGone
	}
	switch t.r.event(t.name).Remove(t.t) {
	case phases.Removed:
		return nil
	case phases.Running:
		t.r.log.Warn("removing a trigger that has run already", slog.String("event", t.name))
		return nil
	}
	return ErrTriggerGone
}

// FireEvent runs the triggers of an event: first those of Before, and when these are done,
// those of During and After. It does nothing for an event that has no triggers or is being
// fired already. It is for the loop's goroutine.
//
// On a reactor that runs, firing Shutdown is Stop. On a reactor that does not run, it shuts
// the reactor down (CORE-42); in a callback of Turn, it then panics.
func (r *Reactor) FireEvent(name string) {
	if name == Shutdown {
		if r.inTurn && r.is(lifeFresh) {
			panic("reactor: Shutdown fired in a callback of Turn")
		}
		if !r.life.CompareAndSwap(int32(lifeFresh), int32(lifeStopping)) {
			// An error means that Stop was called before, or that the reactor has stopped.
			_ = r.Stop()
			return
		}
		r.outOfTurn(func() {
			r.event(name).Fire()
			r.awaitEnd()
		})
		return
	}
	r.event(name).Fire()
}
