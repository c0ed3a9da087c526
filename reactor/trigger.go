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

// AddTrigger has fn called once when the event is fired, in phase p, after those
// added earlier to that phase (CORE-30, CORE-35). One added during a firing runs
// in it if its phase is not over (CORE-39). A panic in fn is logged and the rest
// run (CORE-34). Another Phase than the three panics.
func (r *Reactor) AddTrigger(p Phase, name string, fn func()) *Trigger {
	return r.addTrigger(p, name, func(done func()) { fn(); done() })
}

// AddWaitTrigger is AddTrigger in the phase Before for an fn that takes its
// time: the phase is over only when each fn of it has called its done, on the
// loop's goroutine. All are called first and then awaited together (CORE-31); the
// loop goes on turning meanwhile (CORE-10, CORE-24).
func (r *Reactor) AddWaitTrigger(name string, fn func(done func())) *Trigger {
	return r.addTrigger(Before, name, fn)
}

func (r *Reactor) addTrigger(p Phase, name string, fn func(done func())) *Trigger {
	if p > After {
		panic("reactor: no such phase")
	}
	return &Trigger{r, name, r.event(name).Add(phases.Phase(p), fn)}
}

// Remove prevents a trigger that has not run yet, also in the midst of a firing
// (CORE-37). It fails with ErrTriggerGone if the trigger was removed or has run;
// but for a Before trigger that has run while its phase lasts it only logs a
// warning (CORE-36, CORE-38).
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

// FireEvent runs the triggers of an event: all of Before, then, when they are
// done, During and After. An event without triggers, or one that is being fired
// already, does nothing. Firing Shutdown by hand tears down a reactor that does not
// run (CORE-42), which must not be in a callback of Turn; on one that runs it is
// Stop.
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
