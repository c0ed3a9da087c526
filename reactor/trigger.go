package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/kernel/probe"
)

// Phase is when, in the course of an event, a trigger runs (CORE-29).
type Phase uint8

// The phases of an event, in their order (CORE-30).
const (
	Before Phase = iota
	During
	After
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
	ev    *event
	phase Phase
	fn    func(done func())
	state triggerState
}

type triggerState uint8

const (
	triggerPending triggerState = iota
	triggerRan
	triggerRemoved
)

// event is the triggers of one event type and how far a firing has come.
type event struct {
	r       *Reactor
	name    string
	phases  [3][]*Trigger
	state   eventState
	waiting int    // before triggers called and not done
	broken  int    // firings that a crash broke off
	builtin func() // first of the during phase
	ended   func() // when all phases are over
}

type eventState uint8

const (
	eventQuiet eventState = iota
	eventBefore
	eventDuring
	eventAfter
)

func (r *Reactor) event(name string) *event {
	e := r.events[name]
	if e == nil {
		e = &event{r: r, name: name}
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
	e := r.event(name)
	t := &Trigger{ev: e, phase: p, fn: fn}
	e.phases[p] = append(e.phases[p], t)
	return t
}

// Remove prevents a trigger that has not run yet, also in the midst of a firing
// (CORE-37). It fails with ErrTriggerGone if the trigger was removed or has run;
// but for a Before trigger that has run while its phase lasts it only logs a
// warning (CORE-36, CORE-38).
func (t *Trigger) Remove() error {
	if t == nil {
		return ErrTriggerGone
	}
	switch {
	case t.state == triggerPending:
		list := t.ev.phases[t.phase]
		for i, x := range list {
			if x == t {
				t.ev.phases[t.phase] = append(list[:i:i], list[i+1:]...)
			}
		}
		t.state = triggerRemoved
		return nil
	case t.state == triggerRan && t.phase == Before && t.ev.state == eventBefore:
		t.ev.r.log.Warn("removing a trigger that has run already", slog.String("event", t.ev.name))
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
		r.outOfTurn(r.event(name).fire)
		return
	}
	r.event(name).fire()
}

func (e *event) fire() {
	if e.state != eventQuiet {
		return
	}
	e.state = eventBefore
	e.advance()
}

// advance runs the before phase and, if nothing is left to wait for, the rest.
func (e *event) advance() {
	broken := e.broken
	for e.state == eventBefore && len(e.phases[Before]) > 0 {
		e.waiting++
		finished := false
		e.run(e.take(Before), func() {
			if finished || e.broken != broken {
				return
			}
			finished = true
			e.waiting--
			if e.waiting == 0 && e.state == eventBefore {
				e.r.Post(e.resume)
			}
		})
	}
	if e.waiting == 0 && e.state == eventBefore {
		e.finish()
	}
}

// resume goes on after the last done of the before phase.
func (e *event) resume() {
	if e.state == eventBefore && e.waiting == 0 {
		e.advance()
	}
}

func (e *event) finish() {
	e.state = eventDuring
	if e.builtin != nil {
		e.builtin()
	}
	for p := During; p <= After; p++ {
		e.state = eventDuring + eventState(p-During)
		for len(e.phases[p]) > 0 {
			e.run(e.take(p), func() {})
			if e.state == eventQuiet {
				return // a crash: what has not run stays
			}
		}
	}
	e.state = eventQuiet
	if e.ended != nil {
		e.ended()
	}
}

// take removes the first trigger of a phase and marks it run.
func (e *event) take(p Phase) *Trigger {
	t := e.phases[p][0]
	e.phases[p] = e.phases[p][1:]
	t.state = triggerRan
	return t
}

// run calls a trigger; one that panics counts as finished (CORE-32).
func (e *event) run(t *Trigger, done func()) {
	e.r.observe(probe.Note{Kind: probe.NoteTrigger, Name: e.name, N: int(t.phase)})
	if e.r.guard(e.name+" trigger", func() { t.fn(done) }) != nil {
		done()
	}
}
