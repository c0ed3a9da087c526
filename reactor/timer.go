package reactor

import (
	"fmt"
	"math"
	"time"

	"github.com/whorl-go/whorl/internal/timerheap"
	"github.com/whorl-go/whorl/kernel/probe"
)

// DelayedCall is a function to be called later on the loop's goroutine. It may be used on
// that goroutine only (TIME-26). The zero value needs [DelayedCall.Init]. A DelayedCall that
// is embedded in its owner can be reset for ever and never allocates. While it is
// pending it must not be copied.
type DelayedCall struct {
	node timerheap.Node[*DelayedCall]
	r    *Reactor
	fn   func()
}

// Init makes d a call of fn by r, not yet scheduled. It must not be pending.
func (d *DelayedCall) Init(r *Reactor, fn func()) {
	if d.Active() {
		panic("reactor: Init of a pending DelayedCall")
	}
	d.node.Init(d)
	d.r, d.fn = r, fn
}

// CallLater schedules fn to be called once, after delay. fn is never called inside
// CallLater, and never early. Calls are made in the order of their due times, equals in the
// order they were scheduled (TIME-9, TIME-10, TIME-19). A delay of zero or less means the
// next round of delayed calls, never the one in progress (TIME-8). A panic in fn is logged,
// and the other calls go on (TIME-11).
func (r *Reactor) CallLater(delay time.Duration, fn func()) *DelayedCall {
	d := new(DelayedCall)
	d.Init(r, fn)
	d.Reset(delay)
	return d
}

// Reset schedules d for delay from now. d may be pending, called or cancelled before. A
// delay of zero or less means the next round of delayed calls. Postponing costs a store,
// anything else O(log n).
func (d *DelayedCall) Reset(delay time.Duration) {
	r := d.r
	delay = max(delay, 0)
	order := r.timers.next()
	// In a turn, a call that can only move later is postponed. The end of the turn gives
	// all postponed calls their due times, from one clock reading. So this costs no clock
	// reading, and the call is never early.
	if !r.inTurn || !r.timers.Postpone(&d.node, r.turnTime, delay, order) {
		d.node.Value = d // it may be a copy of the one that had Init
		r.timers.Set(&d.node, after(r.k.Now(), delay), order)
	}
}

// after is t+delay without overflow (TIME-4).
func after(t, delay time.Duration) time.Duration {
	if delay > math.MaxInt64-1-t {
		return math.MaxInt64 - 1
	}
	return t + delay
}

// Delay moves a pending call later by so much, or sooner if that is negative (TIME-18). If
// d is not pending, Delay does nothing and returns false.
func (d *DelayedCall) Delay(by time.Duration) bool {
	if !d.Active() {
		return false
	}
	due := d.Due()
	if by > 0 {
		due = after(due, by)
	} else {
		// A due time in the past means now: d must not overtake calls that are due.
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
	d.r.timers.Remove(&d.node)
	return true
}

// Active tells whether the call is still to come.
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

// String tells the state, and the time left if d is pending. It never fails (TIME-25).
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

// next is the order of a call that is scheduled now. It is behind all others.
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

// runDueUpTo makes the due calls that were scheduled up to the one numbered last, until
// one panics.
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
			r.observe(probe.Note{Kind: probe.NoteDelayed, Due: n.When()})
		}
		d.fn()
		if r.forcer != nil && r.forcer.Force(probe.SiteTimersOne) {
			return // the others are a turn late
		}
	}
}
