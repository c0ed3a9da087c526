package netconn

import (
	"sync"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// gate is where the calls in one direction of a Conn wait, one at a time.
type gate struct {
	turn    sync.Mutex    // of the call that may wait; the others queue here
	mu      sync.Mutex    // guards everything else of the direction
	wake    chan struct{} // holds one; made by the first call that waits
	waiting bool          // somebody waits for wake, which is empty

	deadline time.Time // zero: there is none, or it has passed
	expired  bool      // the deadline has passed
	changed  bool      // the loop is to set the timer
	timer    *timer    // made by the first deadline in the future
}

// timer tells a gate that its deadline has passed. A deadline that moves to later leaves it as it is:
// when it is called, it waits for the rest.
type timer struct {
	call reactor.DelayedCall
	set  bool      // it is pending
	at   time.Time // for this deadline
}

// begin has the call be the one that may wait, and waits itself while another one is.
func (g *gate) begin(c *Conn) {
	if !g.turn.TryLock() {
		c.mustNotBeLoop()
		g.turn.Lock()
	}
}

// check panics where wait would wait for ever. g.mu must be held, and is not after a panic.
func (g *gate) check(c *Conn) {
	if c.hub.onLoop() {
		g.mu.Unlock()
		panic(onLoopText)
	}
}

const onLoopText = "netconn: a call of a Conn or Listener would wait on the goroutine of its loop, which could then never serve it"

// mustNotBeLoop panics where a call would wait for ever.
func (c *Conn) mustNotBeLoop() {
	if c.hub.onLoop() {
		panic(onLoopText)
	}
}

// wait returns when open was called, or sometimes earlier. g.mu must be held, and is released meanwhile.
func (g *gate) wait() {
	if g.wake == nil {
		g.wake = make(chan struct{}, 1)
	}
	g.waiting = true
	g.mu.Unlock()
	<-g.wake
	g.mu.Lock()
}

// take tells whether somebody waits, and if so, that the caller wakes him, by a send to g.wake.
// g.mu must be held; the send needs no lock and never blocks.
func (g *gate) take() bool {
	w := g.waiting
	g.waiting = false
	return w
}

// setDeadline is SetReadDeadline or SetWriteDeadline. It returns whether the loop is to set the timer.
// virtual tells that time of the loop passes otherwise than that of the system, so that two deadlines
// cannot be compared without it.
func (g *gate) setDeadline(t time.Time, virtual bool) (change bool) {
	g.mu.Lock()
	wake := false
	if !t.IsZero() { // from here on by the monotonic clock: t may have none, and that of the system may be set
		now := time.Now()
		t = now.Add(t.Sub(now))
	}
	switch {
	case t.IsZero():
		g.deadline, g.expired = t, false
	case time.Until(t) <= 0:
		g.deadline, g.expired = time.Time{}, true
		wake = g.take()
	default:
		g.deadline, g.expired = t, false
		if change = virtual || g.timer == nil || !g.timer.set || t.Before(g.timer.at); change {
			g.changed = true
		}
	}
	g.mu.Unlock()
	if wake {
		g.wake <- struct{}{}
	}
	return change
}

// settle sets the timer, on the loop.
func (g *gate) settle(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.changed {
		return
	}
	g.changed = false
	if g.deadline.IsZero() {
		return
	}
	if g.timer == nil {
		g.timer = &timer{}
		g.timer.call.Init(c.hub.r, func() { g.due(c) })
	}
	g.timer.set, g.timer.at = true, g.deadline
	g.timer.call.Reset(time.Until(g.deadline))
}

// due is called by the timer, on the loop.
func (g *gate) due(c *Conn) {
	g.mu.Lock()
	t := g.timer
	t.set = false
	wake := false
	switch rest := g.deadline.Sub(t.at); {
	case g.deadline.IsZero():
	case rest > 0:
		t.set, t.at = true, g.deadline
		t.call.Reset(rest)
	default:
		g.deadline, g.expired = time.Time{}, true
		wake = g.take()
	}
	g.mu.Unlock()
	if wake {
		g.wake <- struct{}{}
		c.hub.wakes()
	}
}

// stop ends the timer, on the loop. No call waits any more.
func (g *gate) stop() {
	if g.timer != nil {
		g.timer.call.Cancel()
	}
}
