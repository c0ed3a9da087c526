package service

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// LoopingCall calls a function again and again, on the grid of its start and whole intervals, and never a second time before the first is done: it does not drift, and
// calls do not pile up. It is for the goroutine of its reactor's loop. [NewLoopingCall] makes one. A function that takes no time and cannot fail needs only
// [reactor.Reactor.Every].
type LoopingCall struct {
	r        *reactor.Reactor
	fn       func(count int) *deferred.Deferred[None]
	interval time.Duration
	timer    reactor.DelayedCall
	run      *loop // the run in progress; nil: it does not run
	busy     *loop // the run whose call is in progress; nil: none is. After a stop it is another one than run
}

// loop is what lies between a start and its stop.
type loop struct {
	end      *deferred.Deferred[None] // nil: it was told, or given up
	start    time.Duration            // the place of the grid that has number 0
	place    int64                    // the number of the place of the last call, or of the start; below 0 after a Reset: minus the places that were missed before
	interval time.Duration            // of the grid
	now      bool                     // the first call is made by the start
	begun    bool                     // the grid has begun
}

// NewLoopingCall makes a looping call of fn, which does not run.
//
// fn gets how many places of the grid have passed since the last call: 1 as a rule, more if the loop was late by whole intervals or if a call took its time, and
// never 0. The counts of a run add up exactly. With interval 0 it is always 1 (LC-7). fn returns nil, or a result: the next call then waits until that is there
// (LC-3).
func NewLoopingCall(r *reactor.Reactor, fn func(count int) *deferred.Deferred[None]) *LoopingCall {
	if r == nil || fn == nil {
		panic("service: a LoopingCall needs a Reactor and a function")
	}
	l := &LoopingCall{r: r, fn: fn}
	l.timer.Init(r, func() { l.call(l.run) })
	return l
}

// Start begins the calls. The first is made inside Start if now is true, and else after one interval. If a call from before the last Stop is still in progress, the
// first one waits for its end (LC-9). With interval 0 there is one call a turn (LC-6). A negative interval panics, and so does a second Start before a
// Stop (LC-1).
//
// The result comes when the loop has ended: after Stop, or with the error of a call that has failed; the loop does not run any more by then (LC-3, LC-4). Giving
// it up stops the loop (LC-9).
func (l *LoopingCall) Start(interval time.Duration, now bool) *deferred.Deferred[None] {
	switch {
	case interval < 0:
		panic(fmt.Errorf("service: a LoopingCall with an interval of %v: it must be at least 0 (LC-1)", interval))
	case l.run != nil:
		panic("service: Start of a LoopingCall that runs (LC-1)")
	}
	run := &loop{start: l.r.Now(), interval: interval, now: now}
	run.end = deferred.New(l.r, func(*deferred.Deferred[None]) {
		run.end = nil
		if l.run == run {
			l.Stop()
		}
	})
	l.interval, l.run = interval, run
	d := run.end
	if l.busy == nil {
		l.begin(run)
	}
	return d
}

// begin makes the first call of run, or schedules it.
func (l *LoopingCall) begin(run *loop) {
	run.begun = true
	if run.now {
		run.place = -1
		l.call(run)
	} else {
		l.schedule(run)
	}
}

// Stop ends the calls: none comes after it. Whoever waits for the end is told now, or when the call in progress is done (LC-4). It panics if the loop does not
// run (LC-1).
func (l *LoopingCall) Stop() {
	run := l.run
	if run == nil {
		panic("service: Stop of a LoopingCall that does not run (LC-1)")
	}
	l.run = nil
	l.timer.Cancel()
	if l.busy != run {
		run.tell(nil)
	}
}

// tell tells whoever waits for the end of the run.
func (run *loop) tell(err error) {
	if d := run.end; d != nil {
		run.end = nil
		d.Give(None{}, err)
	}
}

// Reset drops the next call and begins the grid anew, from now: the next call comes after one interval, and its count has the places that were missed before too.
// While a call is in progress Reset does nothing (LC-5). It panics if the loop does not run.
func (l *LoopingCall) Reset() {
	run := l.run
	if run == nil {
		panic("service: Reset of a LoopingCall that does not run")
	}
	if l.busy == nil {
		now := l.r.Now()
		run.place -= run.placeAt(now) // below 0: places that were missed, as during a long call, are told by the next call
		run.start, run.interval = now, l.interval
		l.schedule(run)
	}
}

// SetInterval changes the interval. That counts from the next scheduling on: a call that is scheduled already comes when it was to come (LC-8). A negative interval
// panics.
func (l *LoopingCall) SetInterval(interval time.Duration) {
	if interval < 0 {
		panic(fmt.Errorf("service: a LoopingCall with an interval of %v: it must be at least 0", interval))
	}
	l.interval = interval
}

// Running tells whether there will be calls.
func (l *LoopingCall) Running() bool { return l.run != nil }

// Busy tells whether a call is in progress, also after a Stop.
func (l *LoopingCall) Busy() bool { return l.busy != nil }

// call makes a call for run.
func (l *LoopingCall) call(run *loop) {
	count := run.count(l.r.Now())
	l.busy = run
	var d *deferred.Deferred[None]
	if e := l.r.Guard("looping call", func() { d = l.fn(count) }); e != nil {
		l.done(run, e)
	} else if d == nil {
		l.done(run, nil)
	} else {
		d.Done(func(_ None, err error) { l.done(run, err) })
	}
}

// count is how many places have passed since the last call.
func (run *loop) count(now time.Duration) int {
	if run.interval == 0 {
		return 1
	}
	place := run.placeAt(now)
	n := place - run.place
	run.place = place
	return int(n)
}

// placeAt is the number of the last place of the grid at now. With interval 0 there is no grid, and nothing is missed.
func (run *loop) placeAt(now time.Duration) int64 {
	if run.interval == 0 {
		return run.place
	}
	return int64((now - run.start) / run.interval)
}

// done is called when a call of run is done.
func (l *LoopingCall) done(run *loop, err error) {
	l.busy = nil
	switch {
	case err != nil:
		if l.run == run {
			l.run = nil
		}
		run.tell(err)
	case l.run != run:
		run.tell(nil)
	default:
		l.schedule(run)
	}
	if next := l.run; next != nil && !next.begun && l.busy == nil {
		l.begin(next) // it was started meanwhile
	}
}

// schedule sets the timer to the first place of the grid that is after now. A place that is just now counts as missed (LC-2).
func (l *LoopingCall) schedule(run *loop) {
	if run.interval != l.interval { // the new grid begins at the last place of the old one
		run.start += time.Duration(run.place) * run.interval
		run.place, run.interval = 0, l.interval
	}
	if run.interval == 0 {
		run.start = l.r.Now() // where a grid would begin
		l.timer.Reset(0)
		return
	}
	now := l.r.Now()
	next := run.start + ((now-run.start)/run.interval+1)*run.interval
	l.timer.Reset(next - now)
}
