package reactor

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/internal/timerheap"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// DelayedCall is a function to be called later on the loop's goroutine. It may be used on
// that goroutine only (TIME-26). The zero value needs [DelayedCall.Init]: without it Reset
// panics, and the other methods say that no call is pending (TIME-28). A DelayedCall can be a
// field of its owner and be reset any number of times; it then never allocates. It must not be
// copied: go vet finds a copy, and changing a copy of a pending call panics (TIME-29).
type DelayedCall struct {
	_    noCopy
	node timerheap.Node[*DelayedCall]
	r    *Reactor
	fn   func()
}

// noCopy is a field of what must not be copied. go vet (copylocks) reports a copy, because
// noCopy has the methods of a lock.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Init makes d a call of fn by r. It does not schedule it. It panics if d is pending, or if r
// or fn is nil (TIME-28).
func (d *DelayedCall) Init(r *Reactor, fn func()) {
	switch {
	case d.Active():
		panic("reactor: Init of a pending DelayedCall")
	case r == nil:
		panic("reactor: Init of a DelayedCall without a Reactor")
	case fn == nil:
		panic("reactor: Init of a DelayedCall without a function")
	}
	d.node.Init(d)
	d.r, d.fn = r, fn
}

// CallLater schedules fn to be called once, after delay. fn is never called inside
// CallLater, and never early. Calls are made in the order of their due times. Calls with
// equal due times are made in the order in which they were scheduled (TIME-9, TIME-10,
// TIME-19). A delay of zero or less means the next round of delayed calls, never the one in
// progress (TIME-8). A panic in fn is logged, and the other calls go on (TIME-11).
func (r *Reactor) CallLater(delay time.Duration, fn func()) *DelayedCall {
	d := new(DelayedCall)
	d.Init(r, fn)
	d.Reset(delay)
	return d
}

// Reset schedules d for delay from now. d may be pending, or have been called or cancelled. A
// delay of zero or less means the next round of delayed calls. Inside a turn, postponing a
// pending call costs one store; everything else costs O(log n). Reset panics if Init was not
// called (TIME-28).
func (d *DelayedCall) Reset(delay time.Duration) {
	r := d.r
	if r == nil {
		panic("reactor: Reset of a DelayedCall without Init")
	}
	d.own()
	delay = max(delay, 0)
	order := r.timers.next()
	// In a turn, a call that can only move later is postponed. The end of the turn gives
	// all postponed calls their due times, from one clock reading. So this costs no clock
	// reading, and the call is never early.
	if !r.inTurn || !r.timers.Postpone(&d.node, r.turnTime, delay, order) {
		d.node.Value = d // d may be a copy of the DelayedCall that Init was called on
		r.timers.Set(&d.node, after(r.k.Now(), delay), order)
	}
}

// own panics if d is a copy of a call that was pending: the queue has the original.
func (d *DelayedCall) own() {
	if d.node.Value != d && d.Active() {
		panic("reactor: this DelayedCall is a copy of a pending one")
	}
}

// after is t+delay without overflow (TIME-4): a time at which something is due comes, so it is not kernel.Forever.
func after(t, delay time.Duration) time.Duration {
	return min(kernel.After(t, delay), kernel.Forever-1)
}

// Delay adds by to the due time of a pending call; a negative by makes it earlier (TIME-18).
// If d is not pending, Delay does nothing and returns false.
func (d *DelayedCall) Delay(by time.Duration) bool {
	if !d.Active() {
		return false
	}
	d.own()
	due := d.Due()
	if by > 0 {
		due = after(due, by)
	} else {
		// A due time in the past means now, because d must not overtake calls that are due.
		due = max(due+by, d.r.turnTime)
	}
	d.r.timers.Set(&d.node, due, d.r.timers.next())
	return true
}

// Cancel prevents the call, and returns true if d was pending. A cancelled call never runs,
// even if it is due in the turn in progress (TIME-14).
func (d *DelayedCall) Cancel() bool {
	if !d.Active() {
		return false
	}
	d.own()
	d.r.timers.Remove(&d.node)
	return true
}

// Active tells whether the call is pending.
func (d *DelayedCall) Active() bool { return d.node.Active() }

// Due is when a pending call is due, by the reactor's clock and with every postponement
// counted (TIME-17). It is zero if d is not pending.
func (d *DelayedCall) Due() time.Duration {
	switch d.node.State() {
	case timerheap.Waiting:
		return d.node.When()
	case timerheap.Postponed:
		return after(d.r.k.Now(), d.node.When())
	}
	return 0
}

// String has the state, and the time left if d is pending. It never fails (TIME-25).
func (d *DelayedCall) String() string {
	switch d.node.State() {
	case timerheap.Waiting, timerheap.Postponed:
		return fmt.Sprintf("DelayedCall(in %v)", d.Due()-d.r.k.Now())
	case timerheap.Taken:
		return "DelayedCall(called)"
	case timerheap.Removed:
		return "DelayedCall(cancelled)"
	}
	return "DelayedCall(idle)"
}

// DelayedCalls returns all pending calls, in no promised order (TIME-16).
func (r *Reactor) DelayedCalls() []*DelayedCall {
	calls := make([]*DelayedCall, 0, r.timers.Len())
	for n := range r.timers.All() {
		calls = append(calls, n.Value)
	}
	return calls
}

// timers is the queue of delayed calls.
type timers struct {
	timerheap.Heap[*DelayedCall]
	seq uint64 // order of the last call scheduled
}

// next returns the order of a call that is scheduled now. It comes after all others.
func (t *timers) next() uint64 {
	t.seq++
	return t.seq
}

// runDue makes the calls that are due at one reading of the clock. Calls that are
// scheduled meanwhile wait for the next turn.
func (r *Reactor) runDue() {
	if r.timers.Len() == 0 {
		return
	}
	r.turnTime = r.k.Now()
	r.timers.Settle(r.turnTime)
	last := r.timers.seq
	for r.guard("delayed call", func() { r.runDueUpTo(last) }) != nil {
	}
}

// runDueUpTo makes the due calls whose order is at most last. A panic leaves it before the
// end.
func (r *Reactor) runDueUpTo(last uint64) {
	t := &r.timers
	for {
		if t.Unsettled() {
			t.Settle(r.k.Now()) // one call may have postponed another that is due
		}
		n := t.Due(r.turnTime)
		if n == nil || n.Order() > last {
			return
		}
		t.Take(n) // before the call: it may reset itself (TIME-12)
		d := n.Value
		r.stats.DelayedCalls++
		if r.observer != nil {
			r.observe(probe.Note{Kind: probe.NoteDelayed, Due: n.When(), Call: d.fn})
		}
		d.fn()
		r.slow.returned(r, d.fn)
		if r.forcer != nil && r.forcer.Force(probe.SiteTimersOne) {
			return // the other calls wait for the next turn
		}
	}
}
