package deferred

import "github.com/whorl-go/whorl/reactor"

// Deferred is one result, a value or an error, that is there now or comes later. All its methods but Wait are for the goroutine of
// its reactor's loop. Functions of this package make one; the zero value is of no use.
type Deferred[T any] struct {
	r         *reactor.Reactor
	canceller func(*Deferred[T])
	// peer is, in state pending, the result whose outcome gives this one, or nil; in state running, the result whose steps go on when
	// those of this one have run, or nil.
	peer  node
	value T
	err   error
	first link[T] // the steps: first, and then more
	more  []link[T]
	added int32 // places of steps since the last time all had run
	next  int32 // the next step to run
	live  int32 // steps that were added before the outcome, wait for it and have not been taken away
	pause int32 // pauses that have not ended
	made  uintptr
	state state
	late  bool  // one outcome that is too late will be swallowed (DEF-10)
	heard bool  // a step was added, or the failure was taken as handled
	gone  bool  // was given up inside the step that gives it
	dead  int32 // places, before the outcome, whose steps have been taken away
}

// None is the value of a result that has none, and only comes or fails.
type None = struct{}

// state is what a Deferred is doing.
type state uint8

const (
	pending    state = iota // no outcome
	cancelling              // no outcome, and the canceller is running
	there                   // the outcome is there; steps that have not run wait for the end of a pause
	running                 // the outcome is there, and steps are running
)

// New returns a result of r that is to be given by Give, Succeed or Fail.
//
// cancel is the canceller. [Deferred.Cancel] calls it once, with the result, to end what would give it. It may give an outcome; otherwise
// the outcome is then reactor.ErrCancelled (DEF-9). A nil cancel means that nothing can be ended. After a Cancel one outcome that comes
// nevertheless is swallowed then; with a canceller it is one too many, and panics (DEF-10).
func New[T any](r *reactor.Reactor, cancel func(d *Deferred[T])) *Deferred[T] {
	if r == nil {
		panic("deferred: New without a Reactor")
	}
	return &Deferred[T]{r: r, canceller: cancel}
}

// Of returns a result that is there, with the value v (DEF-14).
func Of[T any](r *reactor.Reactor, v T) *Deferred[T] {
	d := New[T](r, nil)
	d.state, d.value = there, v
	return d
}

// Failed returns a result that is there and has failed with err (DEF-14). It panics if err is nil.
func Failed[T any](r *reactor.Reactor, err error) *Deferred[T] {
	d := New[T](r, nil)
	d.Fail(err)
	return d
}

// Call calls fn and returns a result that is there, with what fn has returned (DEF-14). If fn panics, that is reported, and the result fails with
// the [*reactor.PanicError].
func Call[T any](r *reactor.Reactor, fn func() (T, error)) *Deferred[T] {
	d := New[T](r, nil)
	d.Give(guarded(r, fn))
	return d
}

// guarded returns what fn returns, or its panic, which is reported.
func guarded[T any](r *reactor.Reactor, fn func() (T, error)) (v T, err error) {
	if e := r.Guard(stepName, func() { v, err = fn() }); e != nil {
		err = e
	}
	return v, err
}

// Reactor is the reactor on whose loop the result lives.
func (d *Deferred[T]) Reactor() *reactor.Reactor { return d.r }

// Succeed is Give of a value.
func (d *Deferred[T]) Succeed(v T) { d.Give(v, nil) }

// Fail is Give of an error. It panics if err is nil.
func (d *Deferred[T]) Fail(err error) {
	if err == nil {
		panic("deferred: Fail with a nil error")
	}
	var none T
	d.Give(none, err)
}

// Give gives the outcome: the value v if err is nil, and else the error. The steps run inside the call, if there are any and the result is not
// paused.
//
// Only who has made d by New may give it, once: a second outcome panics (DEF-1), unless it is the one that a Cancel has swallowed
// (DEF-10). So does an outcome for a result that a step or another result gives.
func (d *Deferred[T]) Give(v T, err error) {
	switch {
	case d.late:
		d.late = false
	case d.state >= there:
		panic("deferred: a second outcome for one result (DEF-1)")
	case d.peer != nil:
		panic("deferred: Give of a result that a step or another result gives")
	default:
		deliver(d.r, d.settle(v, err))
	}
}

// Follow has d, which New has made, take over the outcome of other when that is there. A failure of other counts as heard. Follow is Give,
// once and for all: d must not be given besides. While d waits, giving it up gives up other, and its own canceller is not
// called. It panics if d is other, if other waits for d, by way of up to a hundred results, or if other belongs to another reactor; nothing has changed then.
func (d *Deferred[T]) Follow(other *Deferred[T]) {
	switch {
	case d.late:
		d.late, other.heard = false, true
		return
	case d.state != pending || d.peer != nil:
		panic("deferred: Follow of a result that has an outcome, or that something else gives")
	}
	deliver(d.r, d.follow(other))
}

// Outcome is what a result has come to.
type Outcome[T any] struct {
	Value T     // the zero value if Err is not nil
	Err   error // nil after a success
}

// Outcome returns the outcome of d. The second result is false if there is none yet, or if d is paused. A failure that was returned counts as
// heard.
func (d *Deferred[T]) Outcome() (Outcome[T], bool) {
	if d.state < there || d.pause > 0 {
		return Outcome[T]{}, false
	}
	d.heard = true
	return Outcome[T]{d.value, d.err}, true
}

// Ignore has a failure of d count as heard, also one that comes later.
func (d *Deferred[T]) Ignore() { d.heard = true }

// Pause has steps wait, those that are added later too, until each Pause was followed by a Resume (DEF-8). A pause inside a step holds back
// the next one.
func (d *Deferred[T]) Pause() { d.pause++ }

// Resume ends a Pause. If it was the last one and the outcome is there, the steps that have waited run inside the call. Resume without a
// Pause panics.
func (d *Deferred[T]) Resume() {
	if d.pause == 0 {
		panic("deferred: Resume without a Pause")
	}
	d.pause--
	if d.state == there {
		deliver(d.r, d.begin())
	}
}

// Names in a PanicError.
const (
	stepName      = "step of a deferred result"
	cancellerName = "canceller of a deferred result"
)
