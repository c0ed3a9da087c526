package coro

import (
	"errors"
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
)

// Coroutine is a function that runs on the loop and may wait there, without blocking it: while it waits, the loop goes on, and
// resumes it when what it waits for has come. It runs on a stack of its own, but only while the loop waits for it, so it
// shares the loop's world without locks, as a callback does (CORO-1).
//
// Its methods are for the loop's goroutine, which includes other coroutines of the same reactor. Those that wait are for the
// coroutine itself; called elsewhere they panic.
type Coroutine struct {
	l         *loop
	stack     Stack
	session   *Session                // of Protocol
	links     linked.Links[Coroutine] // in loop
	rare      *rare
	failures  int16 // calls in a row that have failed at once
	state     state
	doomed    bool // all waits end from now on, for the reason
	cancelled bool // the next wait ends, once
	timedOut  bool // the limit of the wait in progress has passed
	panicked  bool
	givenUp   bool // it has ended because its waits have failed
}

// rare is what an idle connection does not need.
type rare struct {
	body   func(*Coroutine) error // of Go
	timer  reactor.DelayedCall    // of the wait in progress, if it has a limit
	ended  func(error)            // of OnEnd
	reason error                  // why all waits end from now on; once it is over, its result
}

type state uint8

const (
	fresh   state = iota // it waits for the loop to run
	running              // also while it waits inside a call, for a coroutine that this call has resumed
	suspended
	over
)

// maxFailures is how many calls in a row may fail at once. A body that goes on after that would block the loop.
const maxFailures = 1000

// Go starts body as a coroutine of r. In a callback of a running reactor it begins at once, inside Go; otherwise when the loop
// has come to it. When the reactor stops, each of its waits fails with reactor.ErrStopped from then on, so that it ends. On a
// reactor that is ending, body is not called, and the result is reactor.ErrStopped. Go is for the loop's goroutine.
//
// The error that body returns is told to [Coroutine.OnEnd], or logged if nobody asks for it. A panic in body is reported as one
// of a callback, and is the error then. A runtime.Goexit in body, such as that of t.FailNow, ends the loop's goroutine,
// as in a callback (CORE-49), and the error is pool.ErrGoexit, which is told when the loop ends.
func Go(r *reactor.Reactor, body func(*Coroutine) error) *Coroutine {
	if body == nil {
		panic("coro: Go without a function")
	}
	c := &Coroutine{l: loopOf(r)}
	c.needRare().body = body
	switch {
	case r.Ending():
		c.state, c.rare.reason = over, reactor.ErrStopped
	case r.Running():
		c.begin()
	default:
		r.Post(c.begin)
	}
	return c
}

// begin runs the body until its first wait. It does nothing if the coroutine was given up before.
func (c *Coroutine) begin() {
	if c.state != fresh {
		return
	}
	if c.l.gone != nil {
		c.never(c.l.gone)
		return
	}
	c.state = suspended
	c.l.live.Add(c)
	c.stack.begin(c.main)
	c.resume()
}

// never ends a coroutine that has not begun.
func (c *Coroutine) never(reason error) {
	c.state = over
	c.because(reason)
	c.tell()
}

// main is the function of the stack.
func (c *Coroutine) main(yield func(struct{}) bool) {
	c.stack.yield = yield
	returned := false
	defer func() {
		c.end()
		if !returned {
			c.because(pool.ErrGoexit)
			c.l.exited = append(c.l.exited, c)
		}
	}()
	if e := pool.Catch(c.run); e != nil {
		c.panicked = true
		c.because(e)
	}
	returned = true
}

func (c *Coroutine) run() { c.l.r.StandIn(c.call) }

func (c *Coroutine) call() {
	var err error
	if c.session != nil {
		err = c.session.body(c.session)
	} else {
		err = c.rare.body(c)
	}
	c.givenUp = c.doomed
	c.because(err)
}

// because notes why the waits end, or the result.
func (c *Coroutine) because(err error) {
	if err != nil || c.rare != nil {
		c.needRare().reason = err
	}
}

// reason is what because has noted.
func (c *Coroutine) reason() error {
	if c.rare == nil {
		return nil
	}
	return c.rare.reason
}

// end follows the body, also if it has called runtime.Goexit. It runs on the coroutine's stack.
func (c *Coroutine) end() {
	c.state = over
	c.l.live.Remove(c)
	c.stopTimer()
}

// resume lets the coroutine run until it waits again or ends. It does nothing if the coroutine does not wait.
func (c *Coroutine) resume() {
	if c.state != suspended {
		return
	}
	l, outer := c.l, c.l.current
	c.state = running
	l.current = c
	more := c.stack.Resume()
	l.current = outer
	if !more {
		c.finish()
	}
}

// finish follows the end, on the loop.
func (c *Coroutine) finish() {
	c.stack.Forget()
	if c.rare != nil {
		c.rare.body = nil
	}
	if c.panicked {
		c.l.r.Guard(c.name(), func() { panic(c.reason()) })
	}
	switch {
	case c.session != nil:
		c.session.bodyEnded(c.reason())
	case c.rare.ended == nil:
		c.logError()
	}
	c.tell()
}

// tell tells the result to who asked for it.
func (c *Coroutine) tell() {
	if c.rare == nil || c.rare.ended == nil {
		return
	}
	fn := c.rare.ended
	c.rare.ended = nil
	c.l.r.Guard(c.name(), func() { fn(c.rare.reason) })
}

// logError logs an error that nobody asks for. That somebody has given the coroutine up is none.
func (c *Coroutine) logError() {
	err := c.reason()
	if err == nil || c.reported() || errors.Is(err, reactor.ErrCancelled) {
		return
	}
	l := c.l
	l.errors.Log(l.r, l.r.Logger(), slog.LevelWarn, "a coroutine has failed", slog.Any("err", err))
}

// reported tells whether the reactor has reported the end, or whoever has given the coroutine up knows of it.
func (c *Coroutine) reported() bool { return c.panicked || c.givenUp || c.reason() == pool.ErrGoexit }

// name is that of the body, for the log.
func (c *Coroutine) name() string {
	if c.session != nil {
		return (*end)(c.session).LogPrefix()
	}
	return "coroutine"
}

// OnEnd has fn called with the result of the body when it has really ended, once, on the loop's goroutine (DEF-23). If it has ended
// already, fn is called at once. A second OnEnd replaces the first. The error is then not logged.
func (c *Coroutine) OnEnd(fn func(err error)) {
	if c.state == over {
		fn(c.reason())
		return
	}
	c.needRare().ended = fn
}

func (c *Coroutine) needRare() *rare {
	if c.rare == nil {
		c.rare = new(rare)
		c.rare.timer.Init(c.l.r, c.expire)
	}
	return c.rare
}

// Ended tells whether the body has ended.
func (c *Coroutine) Ended() bool { return c.state == over }

// Reactor is the loop of the coroutine.
func (c *Coroutine) Reactor() *reactor.Reactor { return c.l.r }

// Cancel gives up what the coroutine waits for now: the wait returns [ErrCancelled], inside Cancel. The body may handle that and
// go on; its next wait is a wait like any other, which another Cancel ends (DEF-23). If it does not wait now, the next wait fails.
// After the end, and of one that has not begun, see the table:
//
//	the coroutine    Cancel
//	has not begun    the body is not called; the result is ErrCancelled
//	waits            that wait fails
//	runs             the next wait fails
//	has ended        nothing
func (c *Coroutine) Cancel() {
	switch c.state {
	case fresh:
		c.never(ErrCancelled)
	case running, suspended:
		c.cancelled = true
		c.resume()
	}
}

// giveUp ends the wait in progress and all that follow, so that the body ends now. If it runs at the moment, it
// ends at its next wait.
func (c *Coroutine) giveUp(reason error) {
	if c.state != over && !c.doomed {
		c.doomed = true
		c.because(reason)
	}
	c.resume()
}

// Sleep waits for d, by the reactor's clock. Zero and less let the loop turn once, and [NoDeadline] is until the coroutine is
// given up. The error is nil if the time has passed; otherwise
// the reason why the coroutine was given up.
func (c *Coroutine) Sleep(d time.Duration) error {
	c.mustRun("Sleep")
	until := kernel.Forever
	if d < NoDeadline {
		until = kernel.After(c.l.r.Now(), max(d, 0))
	}
	for {
		switch err := c.suspend(until); err {
		case nil: // somebody else's event
		case errTimeout:
			return nil
		default:
			return err
		}
	}
}

// mustRun panics unless the coroutine itself calls.
func (c *Coroutine) mustRun(what string) {
	if c.l.current != c {
		panic("coro: " + what + " of a coroutine that does not run now: only its own body may wait in it")
	}
}

// errTimeout is what suspend returns at its limit.
var errTimeout = kernel.Sentinel("the time has passed")

// suspend waits until resume is called, and returns nil; or until a time, and returns errTimeout; or until the coroutine is given up,
// and returns the reason. The caller asks again whether what it waits for is there. until may be kernel.Forever.
func (c *Coroutine) suspend(until time.Duration) error {
	if err := c.why(); err != nil {
		return c.fail(err)
	}
	c.failures = 0
	c.limit(until)
	c.state = suspended
	c.stack.Suspend()
	c.stopTimer()
	if err := c.why(); err != nil {
		return err
	}
	if c.timedOut {
		return errTimeout
	}
	return nil
}

// why returns why the wait ends, if it was given up. A reason of Cancel counts once.
func (c *Coroutine) why() error {
	switch {
	case c.doomed:
		return c.rare.reason
	case c.l.gone != nil:
		return c.l.gone
	case c.cancelled:
		c.cancelled = false
		return ErrCancelled
	}
	return nil
}

// limit makes the wait in progress end at a time.
func (c *Coroutine) limit(until time.Duration) {
	c.timedOut = false
	if until == kernel.Forever {
		c.stopTimer()
	} else {
		c.needRare().timer.Reset(until - c.l.r.Now())
	}
}

func (c *Coroutine) stopTimer() {
	if c.rare != nil {
		c.rare.timer.Cancel()
	}
}

func (c *Coroutine) expire() {
	c.timedOut = true
	c.resume()
}

// fail counts waits that fail at once, one after the other. A body that ignores their errors would never let the loop go on.
func (c *Coroutine) fail(err error) error {
	if c.failures++; c.failures > maxFailures {
		c.failures = 0
		panic(tooManyFailures(err))
	}
	return err
}

func tooManyFailures(last error) string {
	return "coro: the body goes on though a thousand calls in a row have failed, the last with: " + last.Error()
}
