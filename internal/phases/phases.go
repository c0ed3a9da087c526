// Package phases is the machine behind a reactor's triggers: functions that wait for an
// event and are called, when it is fired, in three phases. It knows no loop; what it needs
// of one it is given as functions. An [Event] and its triggers are for one goroutine.
package phases

import "slices"

// Phase is when, in the course of an event, a trigger runs.
type Phase uint8

// The phases of an event, in their order.
const (
	Before Phase = iota
	During
	After
)

// Event is the triggers of one event, and how far a firing has come. All fields must be
// set before the first call of a method, and Post and Call must not be nil.
type Event struct {
	// Post has fn called later on the same goroutine, never inside Post.
	Post func(fn func())
	// Call calls fn, the function of a trigger of phase p. It returns false if fn
	// panicked.
	Call func(p Phase, fn func()) bool
	// Builtin, unless nil, is called in each firing before the During triggers.
	Builtin func()
	// Ended, unless nil, is called when a firing is over.
	Ended func()

	triggers [3][]*Trigger
	state    state
	waiting  []*Trigger // Before triggers called and not done, in the order of the calls
	round    int        // a done of an earlier round does nothing
}

// state is where a firing is.
type state uint8

const (
	quiet state = iota // there is none
	before
	during
	after
)

// Trigger is a function that waits for an event.
type Trigger struct {
	phase Phase
	fn    func(done func())
	state triggerState
}

type triggerState uint8

const (
	pending triggerState = iota
	ran
	removed
)

// Add has fn called once when the event is fired, in phase p, after those added earlier to
// that phase. One added during a firing runs in it if its phase is not over. In the phase
// Before, the firing goes on only when fn has called done, or has panicked; calls of done
// after the first do nothing. In the other phases done does nothing.
func (e *Event) Add(p Phase, fn func(done func())) *Trigger {
	t := &Trigger{phase: p, fn: fn}
	e.triggers[p] = append(e.triggers[p], t)
	return t
}

// Removal is the result of [Event.Remove].
type Removal uint8

// The results of Remove.
const (
	Removed Removal = iota // it will not run
	Running                // a Before trigger that has run, while its phase lasts
	Gone                   // it has run, or was removed before
)

// Remove prevents a trigger of e that has not run yet, also in the midst of a firing.
func (e *Event) Remove(t *Trigger) Removal {
	switch {
	case t.state == pending:
		list := e.triggers[t.phase]
		for i, x := range list {
			if x == t {
				e.triggers[t.phase] = append(list[:i:i], list[i+1:]...)
			}
		}
		t.state = removed
		return Removed
	case t.state == ran && t.phase == Before && e.state == before:
		return Running
	}
	return Gone
}

// Fire runs all triggers of Before and, when they are done, Builtin and the triggers of
// During and After. If some are not done when they return, the rest is run later, in a
// function given to Post. During a firing, Fire does nothing.
func (e *Event) Fire() {
	if e.state == quiet {
		e.state = before
		e.advance()
	}
}

// FireWithoutWaiting is Fire, but it does not wait for the Before triggers to be done. If a
// firing waits for them, it runs those added meanwhile and then the rest.
func (e *Event) FireWithoutWaiting() {
	e.Fire()
	e.advance()
	if e.state == before {
		e.waiting = nil
		e.round++
		e.finish()
	}
}

// Reset breaks off the firing in progress. The triggers that have not run stay for the
// next one. It may be called by a trigger.
func (e *Event) Reset() {
	if e.state != quiet {
		e.state, e.waiting = quiet, nil
		e.round++
	}
}

// advance runs the triggers of Before and, if none is left to wait for, the rest.
func (e *Event) advance() {
	round := e.round
	for e.state == before && len(e.triggers[Before]) > 0 {
		t := e.take(Before)
		e.waiting = append(e.waiting, t)
		e.run(t, func() {
			i := slices.Index(e.waiting, t)
			if i < 0 || e.round != round {
				return
			}
			e.waiting = slices.Delete(e.waiting, i, i+1)
			if len(e.waiting) == 0 && e.state == before {
				e.Post(e.resume)
			}
		})
	}
	if len(e.waiting) == 0 && e.state == before {
		e.finish()
	}
}

// Waiting returns the functions of the Before triggers that a firing waits for, in the order
// in which they were called.
func (e *Event) Waiting() []func(done func()) {
	all := make([]func(done func()), len(e.waiting))
	for i, t := range e.waiting {
		all[i] = t.fn
	}
	return all
}

// resume goes on after the last done of the phase Before.
func (e *Event) resume() {
	if e.state == before && len(e.waiting) == 0 {
		e.advance()
	}
}

func (e *Event) finish() {
	e.state = during
	if e.Builtin != nil {
		e.Builtin()
	}
	for p := During; p <= After; p++ {
		e.state = during + state(p-During)
		for len(e.triggers[p]) > 0 {
			e.run(e.take(p), func() {})
			if e.state == quiet {
				return // Reset: what has not run stays
			}
		}
	}
	e.state = quiet
	if e.Ended != nil {
		e.Ended()
	}
}

// take removes the first trigger of a phase and marks it run.
func (e *Event) take(p Phase) *Trigger {
	t := e.triggers[p][0]
	e.triggers[p] = e.triggers[p][1:]
	t.state = ran
	return t
}

// run calls a trigger. One that panics counts as done.
func (e *Event) run(t *Trigger, done func()) {
	if !e.Call(t.phase, func() { t.fn(done) }) {
		done()
	}
}
