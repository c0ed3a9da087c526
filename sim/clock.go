package sim

import (
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// clock converts true time, which is the Net's, to a host's time, and back. It computes in
// integers, so that every machine gets the same result. The way back is exact: a call that
// waits for a time of the host's clock is made at the first nanosecond at which the clock
// shows that time.
type clock struct {
	wrong bool          // it differs from true time
	rate  uint64        // in billionths
	since time.Duration // the true time at which it was set last
	shown time.Duration // what it would have shown then, could it go back, without rest
	rest  uint64        // billionths of a nanosecond that it had gained besides, reckoned from the beginning of time
	least time.Duration // what it has shown already: it never shows less
}

// perfect is the rate of a clock without drift.
const perfect = uint64(time.Second)

// endOfTime is where clocks stop: the last time that is not Forever.
const endOfTime = kernel.Forever - 1

// at is what the clock shows at the true time t.
func (c *clock) at(t time.Duration) time.Duration {
	if !c.wrong {
		return t
	}
	return max(c.unheld(t), c.least)
}

// unheld is what the clock would show at t if it could go back.
func (c *clock) unheld(t time.Duration) time.Duration {
	if !c.wrong {
		return t
	}
	return plus(c.shown, scale(t-c.since, c.rate, perfect, int64(c.rest)))
}

// truth is the first true time at which the clock shows at least d; 0 if it did when it was set,
// or has done so already.
func (c *clock) truth(d time.Duration) time.Duration {
	switch {
	case !c.wrong || d == kernel.Forever:
		return d
	case d <= c.least || d <= c.shown:
		return 0
	case c.shown < 0 && d > endOfTime+c.shown:
		return endOfTime
	}
	return plus(c.since, scale(d-c.shown, perfect, c.rate, int64(c.rate-1)-int64(c.rest)))
}

// plus is a+b, at most endOfTime and at least its negative.
func plus(a, b time.Duration) time.Duration {
	switch {
	case a > 0 && b > endOfTime-a:
		return endOfTime
	case a < 0 && b < -endOfTime-a:
		return -endOfTime
	}
	return a + b
}

// scale is (t*by+add)/of, rounded down, at most endOfTime. t and the sum are not negative.
func scale(t time.Duration, by, of uint64, add int64) time.Duration {
	hi, lo := bits.Mul64(uint64(t), by)
	lo, carry := bits.Add64(lo, uint64(add), 0)
	hi += carry + uint64(add>>63)
	if hi >= of {
		return endOfTime
	}
	q, _ := bits.Div64(hi, lo, of)
	return time.Duration(min(q, uint64(endOfTime)))
}

// SetClock sets the host's clock, which is Now of its kernels. It now shows true time
// (Net.Now) plus skew, and from now on runs 1+drift times as fast as true time. SetClock(0, 0)
// is true time. A drift of 0.01 gains ten milliseconds a second; it must be above -1 and at
// most 1000, and is rounded to billionths.
//
// A clock is always positive and never goes back: if it is set back, it stands still until
// it is right. Delayed calls follow the host's clock: a call is due at the first moment at
// which the clock shows its time, and at once if the clock jumps over it. The network runs in
// true time. Crash, Kill and Restart leave the clock as it is.
func (h *Host) SetClock(skew time.Duration, drift float64) {
	rate := rateOf("SetClock", drift)
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.setClock(plus(h.n.now, skew), rate)
}

// SetDrift has the host's clock run 1+drift times as fast as true time from now on. It does
// not jump: it goes on from what it shows. drift is as in SetClock.
func (h *Host) SetDrift(drift float64) {
	rate := rateOf("SetDrift", drift)
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.setClock(h.clock.at(h.n.now), rate)
}

// JumpClock sets the host's clock forward by d, or back if d is negative, as an operator or a
// time service does. The clock goes on at the rate that it had. A clock that is set back stands
// still for as long, because it never goes back.
func (h *Host) JumpClock(d time.Duration) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	rate := perfect
	if h.clock.wrong {
		rate = h.clock.rate
	}
	h.setClock(plus(h.clock.unheld(h.n.now), d), rate)
}

// rateOf is the rate of a clock that drifts.
func rateOf(method string, drift float64) uint64 {
	if !(drift > -1 && drift <= 1000) {
		panic(fmt.Sprintf("sim: %s: a drift of %v; it must be above -1 and at most 1000", method, drift))
	}
	return max(uint64(math.Round((1+drift)*float64(perfect))), 1)
}

// setClock has the clock show the given time now, and run at rate from now on.
func (h *Host) setClock(shows time.Duration, rate uint64) {
	n := h.n
	n.noteHost(OpClock, h)
	// What it shows is right to the nanosecond. The fraction is reckoned from the beginning of time,
	// as ever, so that seeds keep their runs.
	hi, lo := bits.Mul64(uint64(n.now), rate)
	rest := bits.Rem64(hi, lo, perfect)
	if rest >= perfect/2 {
		shows--
	}
	h.clock = clock{wrong: true, rate: rate, since: n.now, shown: shows, rest: rest, least: max(h.clock.at(n.now), 1)}
	h.k.deadline = h.clock.truth(h.k.until)
	for _, o := range n.children.live { // a machine has one clock; without children, each program has its own
		if o.proc.home == h {
			o.clock = h.clock
			o.k.deadline = o.clock.truth(o.k.until)
		}
	}
	n.rouse()
}
