package reactor

import (
	"fmt"
	"time"
)

// Ticker calls a function again and again, until Stop. [Reactor.Every] makes one. It is for the
// loop's goroutine.
type Ticker struct {
	call   DelayedCall
	period time.Duration
	due    time.Duration // of the next call, by the reactor's clock
	fn     func()
}

// Every calls fn every period, first when one period has passed, on the loop's goroutine. Calls
// stay on the grid of the start and whole periods, however long fn or the loop takes: a call
// that is late does not delay the next one, and places that have been missed altogether are
// skipped (TIME-31). A panic in fn is logged, and the calls go on. A period of zero or less
// panics.
func (r *Reactor) Every(period time.Duration, fn func()) *Ticker {
	mustCall("Every", fn != nil)
	t := &Ticker{fn: fn}
	t.call.Init(r, t.tick)
	t.Reset(period)
	return t
}

// Stop ends the calls: none comes after it. On a Ticker that has stopped it does nothing. It may
// be called in fn.
func (t *Ticker) Stop() { t.call.Cancel() }

// Reset begins anew, from now, with another period, also after Stop. A period of zero or less
// panics, and so does a Ticker that Every has not made.
func (t *Ticker) Reset(period time.Duration) {
	switch {
	case t.fn == nil:
		panic("reactor: Reset of a Ticker that Every has not made")
	case period <= 0:
		panic(fmt.Errorf("reactor: a Ticker with a period of %v: it must be above 0", period))
	}
	t.period = period
	t.due = after(t.call.r.Now(), period)
	t.call.Reset(period)
}

// tick sets the next call before it makes this one, which may stop it, reset it or panic.
func (t *Ticker) tick() {
	now := t.call.r.Now()
	late := now - t.due
	t.due = after(t.due, (late/t.period+1)*t.period)
	t.call.Reset(t.due - now)
	t.fn()
}
