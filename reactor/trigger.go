package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/internal/phases"
	"github.com/whorl-go/whorl/kernel/probe"
)

// Phase is when, in the course of an event, a trigger runs (CORE-29).
type Phase uint8

// The phases of an event, in their order (CORE-30).
const (
	Before = Phase(phases.Before)
	During = Phase(phases.During)
	After  = Phase(phases.After)
)

// String is "before", "during" or "after".
func (p Phase) String() string { return [...]string{"before", "during", "after"}[p] }

// The events that the reactor fires itself. Others may be named freely.
const (
	Startup  = "startup"
	Shutdown = "shutdown"
)

// Trigger is a function waiting for an event. It is the handle to remove it by.
type Trigger struct {
	r    *Reactor
	name string // of the event
	t    *phases.Trigger
}

// event is the machine of the event of that name.
func (r *Reactor) event(name string) *phases.Event {
	e := r.events[name]
	if e == nil {
		e = &phases.Event{Post: r.Post, Call: func(p phases.Phase, fn func()) bool {
			r.observe(probe.Note{Kind: probe.NoteTrigger, Name: name, N: int(p)})
			return r.guard(name+" trigger", fn) == nil
		}}
		r.events[name] = e
	}
	return e
}

// AddTrigger has fn called once when the event is fired, in phase p, after the functions
// added earlier to that phase (CORE-30, CORE-35). A trigger that is added during a firing
// runs in it if its phase is not over (CORE-39). A panic in fn is logged, and the rest run
// (CORE-34). AddTrigger panics if p is none of the three phases.
func (r *Reactor) AddTrigger(p Phase, name string, fn func()) *Trigger {
	return r.addTrigger(p, name, func(done func()) { fn(); done() })
}

// AddWaitTrigger is AddTrigger in the phase Before, for an fn that takes time. The phase is
// over only when every such fn has called its done, on the loop's goroutine. All are called
// first and then awaited together (CORE-31). Meanwhile the loop goes on turning (CORE-10,
// CORE-24).
func (r *Reactor) AddWaitTrigger(name string, fn func(done func())) *Trigger {
	return r.addTrigger(Before, name, fn)
}

func (r *Reactor) addTrigger(p Phase, name string, fn func(done func())) *Trigger {
	if p > After {
		panic("reactor: no such phase")
	}
	return &Trigger{r, name, r.event(name).Add(phases.Phase(p), fn)}
}

// Remove prevents a trigger that has not run yet, also during a firing (CORE-37). It fails
// with ErrTriggerGone if the trigger was removed or has run. There is one exception: for a
// Before trigger that has run, while its phase lasts, it only logs a warning (CORE-36,
// CORE-38).
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

// FireEvent runs the triggers of an event: all of Before and, when they are done, During and
// After. It does nothing for an event that has no triggers or is being fired already. Firing
// Shutdown on a reactor that runs is Stop. On one that does not run, it shuts the reactor
// down (CORE-42); in a callback of Turn that panics.
func (r *Reactor) FireEvent(name string) {
	if name == Shutdown {
		if r.inTurn && r.is(lifeFresh) {
			panic("reactor: Shutdown fired in a callback of Turn")
		}
		if !r.life.CompareAndSwap(int32(lifeFresh), int32(lifeStopping)) {
			// It may have been asked for before: then it comes, and once is enough.
			_ = r.Stop()
			return
		}
		r.outOfTurn(r.event(name).Fire)
		return
	}
	r.event(name).Fire()
}
