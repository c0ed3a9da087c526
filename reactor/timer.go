package reactor

import (
	"fmt"
	"math"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// DelayedCall is a function to be called later on the loop's goroutine. It is
// for that goroutine only (TIME-26). The zero value needs [DelayedCall.Init];
// embedded in its owner and reset for ever it never allocates.
type DelayedCall struct {
	r     *Reactor
	fn    func()
	due   time.Duration // by the reactor's clock; unless postponed
	delay time.Duration // while postponed: what due will be, from the turn's end
	seq   uint64        // order among equals
	pos   int32         // its place in the heap, plus one; 0: not there
	state callState
	noted bool // stands in Reactor.postponed
}

type callState uint8

const (
	callIdle      callState = iota
	callPending             // due holds
	callPostponed           // was moved later in this turn; delay holds
	callDone
	callCancelled
)

// Init makes d a call of fn by r, not yet scheduled. It must not be pending.
func (d *DelayedCall) Init(r *Reactor, fn func()) {
	if d.Active() {
		panic("reactor: Init of a pending DelayedCall")
	}
	d.r, d.fn, d.state = r, fn, callIdle
}

// CallLater schedules fn to be called once, after delay: never inside CallLater,
// never early, earlier ones first and equals in the order they were scheduled
// (TIME-9, TIME-10, TIME-19). A delay of zero or less means the next chance, which is
// never in the same round of delayed calls (TIME-8). A panic in fn is logged
// and the other calls go on (TIME-11).
func (r *Reactor) CallLater(delay time.Duration, fn func()) *DelayedCall {
	d := &DelayedCall{r: r, fn: fn}
	d.Reset(delay)
	return d
}

// Reset schedules d for delay from now, whatever it was before: pending, called
// or cancelled. Zero or less means the next chance. Postponing costs a store;
// anything else O(log n).
func (d *DelayedCall) Reset(delay time.Duration) {
	r := d.r
	delay = max(delay, 0)
	r.timers.seq++
	d.seq = r.timers.seq
	if d.pos != 0 && r.inTurn && r.turnTime+delay >= d.due && delay < farAway {
		// It can only move later. When exactly is settled once, at the end of
		// the turn, for all that were postponed in it: no clock reading here,
		// and never early.
		d.delay, d.state = delay, callPostponed
		if !d.noted {
			d.noted = true
			r.timers.postponed = append(r.timers.postponed, d)
		}
		return
	}
	d.schedule(after(r.k.Now(), delay))
}

// farAway is where adding to a clock reading might overflow.
const farAway = math.MaxInt64 / 2

// after is t+delay without overflow (TIME-4).
func after(t, delay time.Duration) time.Duration {
	if delay > math.MaxInt64-1-t {
		return math.MaxInt64 - 1
	}
	return t + delay
}

func (d *DelayedCall) schedule(due time.Duration) {
	d.due, d.state = due, callPending
	if d.pos == 0 {
		d.r.timers.push(d)
	} else {
		d.r.timers.fix(d)
	}
}

// Delay moves a pending call by so much, later or, if negative, sooner
// (TIME-18). It returns false, and does nothing, if d is not pending.
func (d *DelayedCall) Delay(by time.Duration) bool {
	if !d.Active() {
		return false
	}
	due := d.Due()
	d.r.timers.seq++
	d.seq = d.r.timers.seq
	if by > 0 {
		d.schedule(after(due, by))
	} else {
		// In the past is as good as now, and keeps its place behind what is due.
		d.schedule(max(due+by, d.r.turnTime))
	}
	return true
}

// Cancel prevents the call. It returns true if d was pending; a cancelled call
// never runs, also when it was due in this very turn (TIME-14).
func (d *DelayedCall) Cancel() bool {
	if !d.Active() {
		return false
	}
	d.r.timers.remove(d)
	d.state = callCancelled
	return true
}

// Active tells whether the call is still to come.
func (d *DelayedCall) Active() bool { return d.pos != 0 }

// Due is when a pending call will be made, by the reactor's clock, with every
// postponement counted (TIME-17); zero if it is not pending.
func (d *DelayedCall) Due() time.Duration {
	switch {
	case !d.Active():
		return 0
	case d.state == callPostponed:
		return after(d.r.k.Now(), d.delay)
	}
	return d.due
}

// String tells the state, and the time left if d is pending. It never fails
// (TIME-25).
func (d *DelayedCall) String() string {
	switch d.state {
	case callPending, callPostponed:
		return fmt.Sprintf("DelayedCall(in %v)", d.Due()-d.r.k.Now())
	case callDone:
		return "DelayedCall(called)"
	case callCancelled:
		return "DelayedCall(cancelled)"
	}
	return "DelayedCall(idle)"
}

// DelayedCalls is every pending call, in no promised order (TIME-16).
func (r *Reactor) DelayedCalls() []*DelayedCall {
	calls := make([]*DelayedCall, len(r.timers.heap))
	for i, e := range r.timers.heap {
		calls[i] = e.d
	}
	return calls
}

// timers is a heap of four children, ordered by due time and then by order of
// scheduling. An entry may stand earlier than its call is due, never later.
type timers struct {
	heap      []timerEntry
	seq       uint64
	postponed []*DelayedCall
}

type timerEntry struct {
	at  time.Duration
	seq uint64
	d   *DelayedCall
}

func (e *timerEntry) before(o *timerEntry) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

func (t *timers) push(d *DelayedCall) {
	t.heap = append(t.heap, timerEntry{})
	t.up(len(t.heap)-1, timerEntry{d.due, d.seq, d})
}

func (t *timers) remove(d *DelayedCall) {
	i, last := int(d.pos-1), len(t.heap)-1
	e := t.heap[last]
	t.heap[last] = timerEntry{}
	t.heap = t.heap[:last]
	d.pos = 0
	if i < last {
		t.place(i, e)
	}
}

func (t *timers) fix(d *DelayedCall) {
	t.place(int(d.pos-1), timerEntry{d.due, d.seq, d})
}

func (t *timers) place(i int, e timerEntry) {
	if i > 0 && e.before(&t.heap[(i-1)/4]) {
		t.up(i, e)
	} else {
		t.down(i, e)
	}
}

func (t *timers) up(i int, e timerEntry) {
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&t.heap[parent]) {
			break
		}
		t.set(i, t.heap[parent])
		i = parent
	}
	t.set(i, e)
}

func (t *timers) down(i int, e timerEntry) {
	for {
		first := 4*i + 1
		if first >= len(t.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(t.heap)); c++ {
			if t.heap[c].before(&t.heap[least]) {
				least = c
			}
		}
		if !t.heap[least].before(&e) {
			break
		}
		t.set(i, t.heap[least])
		i = least
	}
	t.set(i, e)
}

func (t *timers) set(i int, e timerEntry) {
	t.heap[i] = e
	e.d.pos = int32(i + 1)
}

// settle gives the calls that were postponed in this turn their due time.
func (t *timers) settle(now time.Duration) {
	for i, d := range t.postponed {
		d.noted = false
		if d.state == callPostponed && d.Active() {
			d.due, d.state = now+d.delay, callPending
		}
		t.postponed[i] = nil
	}
	t.postponed = t.postponed[:0]
}

// first is when the first entry stands; its call may be due later (TIME-19).
func (t *timers) first() time.Duration {
	if len(t.heap) == 0 {
		return kernel.Forever
	}
	return t.heap[0].at
}

// due is the first call that is due at now and numbered up to last, or nil.
// Entries that stood too early sink to where their calls are due: only now, so
// that a call that is postponed again and again costs one sinking for each time
// its entry comes up.
func (t *timers) due(now time.Duration, last uint64) *DelayedCall {
	for t.first() <= now {
		e := &t.heap[0]
		if e.d.due == e.at && e.d.seq == e.seq {
			if e.seq > last {
				return nil
			}
			return e.d
		}
		t.fix(e.d)
	}
	return nil
}

// runDue makes the calls that are due at one reading of the clock. Those that
// are scheduled meanwhile wait for the next turn.
func (r *Reactor) runDue() {
	if len(r.timers.heap) == 0 {
		return
	}
	r.turnTime = r.k.Now()
	r.timers.settle(r.turnTime)
	for last := r.timers.seq; r.runDueUpTo(last); {
	}
}

// runDueUpTo makes due calls scheduled up to the one numbered last, and returns
// true if a panic cut it short.
func (r *Reactor) runDueUpTo(last uint64) (again bool) {
	defer func() {
		if v := recover(); v != nil {
			r.caught(v, "delayed call")
			again = true
		}
	}()
	t := &r.timers
	for {
		if len(t.postponed) > 0 {
			t.settle(r.k.Now()) // one call may have postponed another that is due
		}
		d := t.due(r.turnTime, last)
		if d == nil {
			return false
		}
		t.remove(d)
		d.state = callDone // before the call: it may reset itself (TIME-12)
		r.stats.DelayedCalls++
		if r.observer != nil {
			r.observe(probe.Note{Kind: probe.NoteDelayed, Due: d.due})
		}
		d.fn()
		if r.forcer != nil && r.forcer.Force(probe.SiteTimersOne) {
			return false // the others are a turn late
		}
	}
}
