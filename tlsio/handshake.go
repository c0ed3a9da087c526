package tlsio

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net/netip"
	"reflect"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
)

// maxAhead is how many bytes may arrive while a handshake computes.
const maxAhead = 64 << 10

// handshake is a handshake in progress, the loop's half of it. The other half is its
// step, which has memory of its own: what crypto/tls reads and writes. The loop hands
// input to a step, takes output from it, and in the end takes all of it over.
//
//	state      the step belongs to    entered when                        may become
//	waiting    the loop               made; a step has returned           queued, running, over
//	queued     the loop               input came, the workers are busy    running, over
//	running    whoever computes it    a step has begun                    waiting, abandoned
//	abandoned  whoever computes it    the connection ended meanwhile      over
//	over       nobody, or the Conn    handed over; or given up
//
// A step is computed by the loop's handshakers, or on the loop. Between steps a handshake
// holds neither.
//
// Two limits of time have one timer: Options.HandshakeTimeout while it is waiting or
// running, and as much again while it is queued. A deadline may end both earlier.
type handshake struct {
	c       *Conn
	o       Options // until l is known
	l       *loop
	onLoop  bool
	state   handshakeState
	cut     bool         // nothing more will arrive
	later   bool         // the step that is queued or running is not the first
	refused error        // why it must not begin
	arrived []byte       // no step was given it yet
	peer    netip.Prefix // as it is counted in loop.pending; of servers
	step    step
	cancel  context.CancelCauseFunc // of the context that callbacks of the tls.Config get

	limit     reactor.DelayedCall
	deadline  time.Duration // for both limits, by LimitHandshake; zero: none
	otherLeft time.Duration // what is left of the limit that does not count now
	since     time.Duration // when it was queued, or began to run

	handedBack atomic.Bool // by a worker, which has posted returned; false from then on, or once the reactor has ended without that

	prev, next *handshake // in loop.begun, from the first step until it is over
}

type handshakeState uint8

const (
	waiting handshakeState = iota
	queued
	running
	abandoned
	over
)

// become is the one place where the state changes.
func (h *handshake) become(s handshakeState) {
	if h.counted() {
		h.l.pending.moved(h.peer, h.state, s)
	}
	h.state = s
	if s >= abandoned {
		h.limit.Cancel()
	}
	if s == over {
		h.l.unlist(h)
	}
}

// counted tells whether the handshake is counted in loop.pending: what strangers begin is.
// One that was never begun, because a wrapper has refused the connection, is not.
func (h *handshake) counted() bool {
	return h.l != nil && !h.step.client && h.refused == nil && h.state != over
}

// begin is called when the transport is known. A server has nothing to do until the
// first bytes come.
func (h *handshake) begin(l *loop) {
	c := h.c
	r := c.Reactor()
	h.l, h.onLoop = l, l.o.Stack == StackLoop
	h.step.local, h.step.remote = c.Local(), c.Remote()
	h.step.maxRead = l.o.maxRead(h.step.cfg, h.step.client)
	c.become(handshaking)
	h.limit.Init(r, h.timedOut)
	if !h.step.client {
		h.peer = reactor.PeerOf(h.step.remote)
		if h.refused = l.pending.admit(h.peer); h.refused != nil {
			return
		}
	}
	if d := withDefault(l.o.HandshakeTimeout, defaultHandshakeTimeout, time.Duration(math.MaxInt64)); d < math.MaxInt64 {
		h.limit.Reset(d)
		h.otherLeft = d
	}
}

func (h *handshake) timedOut() {
	err := ErrHandshakeTimeout
	if h.state == queued {
		err = ErrHandshakeQueued
	}
	if h.counted() {
		h.l.pending.timedOut++
	}
	h.c.end(h.c.errorf("handshake", err), true)
}

// swapLimits follows a handshake that begins or ceases to wait for a worker: from now on the
// other limit counts.
func (h *handshake) swapLimits() {
	if h.limit.Active() {
		left := h.limit.Due() - h.l.r.Now()
		h.limit.Reset(h.untilDeadline(h.otherLeft))
		h.otherLeft = left
	}
}

// untilDeadline returns d, but no more than what is left until the deadline.
func (h *handshake) untilDeadline(d time.Duration) time.Duration {
	if h.deadline == 0 {
		return d
	}
	return max(0, min(d, h.deadline-h.l.r.Now()))
}

// LimitHandshake ends the handshake with ErrHandshakeTimeout if it is not over after d, the time
// included in which it waits for a worker. It cannot make the limits of Options.HandshakeTimeout
// longer. Zero and negative end it soon. After the handshake, or after another call of
// LimitHandshake with a shorter d, it does nothing. A client calls it in ConnectionMade, for what
// connecting has left of a limit on both. It is for the loop's goroutine.
func (c *Conn) LimitHandshake(d time.Duration) {
	h := c.handshake
	if h == nil || h.l == nil || c.life != handshaking || h.state >= abandoned {
		return
	}
	now := h.l.r.Now()
	deadline := max(kernel.After(now, max(d, 0)), 1) // zero is none
	if h.deadline != 0 && h.deadline <= deadline {
		return
	}
	h.deadline = deadline
	if !h.limit.Active() {
		h.otherLeft = math.MaxInt64
		h.limit.Reset(h.untilDeadline(math.MaxInt64))
	} else if h.limit.Due() > deadline {
		h.limit.Reset(h.untilDeadline(math.MaxInt64))
	}
}

// receive takes what came from below, which is lent.
func (h *handshake) receive(p []byte) {
	if h.state >= abandoned {
		return
	}
	h.arrived = append(h.arrived, p...)
	h.schedule()
	if len(h.arrived) > maxAhead {
		h.c.hold(holdAhead)
	}
}

// end says that no more input will come.
func (h *handshake) end() {
	h.cut = true
	h.schedule()
}

// schedule has a step made. If one is being made, or is to be made, another follows it.
func (h *handshake) schedule() {
	switch {
	case h.state != waiting:
	case h.onLoop:
		h.handInput()
		h.runOnLoop()
		h.afterStep()
	default:
		h.later = h.step.begun()
		h.become(queued)
		h.l.queue.add(h)
	}
}

// keepsInput tells whether a step has input that the peer has sent before the connection failed. It may be the peer's reason, or
// the end of the handshake with data behind it. The first step of a server has only a hello, which is not worth computing
// for a peer that is gone. A callback that can see the context hears at once that the connection has ended.
func (h *handshake) keepsInput() bool {
	return (h.state == queued || h.state == running) && h.later && !(h.step.client && seesContext(h.step.cfg))
}

// handInput hands what has arrived to the step that is about to run.
func (h *handshake) handInput() {
	if !h.step.begun() {
		h.l.list(h)
		h.step.stack = h.l.stacks.take()
		h.step.ctx = context.Background()
		if seesContext(h.step.cfg) {
			h.step.ctx, h.cancel = context.WithCancelCause(h.step.ctx)
		}
	}
	h.step.in.take(h.arrived)
	h.arrived = nil
	h.step.cut = h.cut
	h.become(running)
}

// seesContext tells whether a callback of cfg can see the context of its handshake. If none can,
// the context never ends: to watch one that may costs crypto/tls 3 % of a handshake. The callback
// of a certs.Store does not look at it.
func seesContext(cfg *tls.Config) bool {
	if cfg.GetConfigForClient != nil || cfg.GetClientCertificate != nil || cfg.GetEncryptedClientHelloKeys != nil {
		return true
	}
	var s *certs.Store
	return cfg.GetCertificate != nil &&
		reflect.ValueOf(cfg.GetCertificate).Pointer() != reflect.ValueOf(s.GetCertificate).Pointer()
}

// runOnLoop makes a step on the loop. A callback of the tls.Config may end the
// connection in it.
func (h *handshake) runOnLoop() {
	defer h.stepEnded()
	h.step.run()
}

// runInPool makes a step on one of the handshakers. A panic ends the connection; the
// reactor reports it. A callback that calls runtime.Goexit ends the connection too.
func (h *handshake) runInPool() {
	returned := false
	defer func() {
		v := recover()
		switch {
		case v != nil:
			h.step.done, h.step.err = true, &reactor.PanicError{Value: v, Stack: debug.Stack(), In: "TLS handshake"}
		case !returned:
			h.step.done, h.step.err = true, pool.ErrGoexit
		}
		h.handedBack.Store(true)
		if !h.l.r.Post(h.returned) && h.handedBack.CompareAndSwap(true, false) {
			h.step.unwind() // the reactor has stopped without this step
		}
		if v != nil {
			panic(v)
		}
	}()
	h.step.run()
	returned = true
}

// stepEnded follows a step: the step is the loop's again, or not needed any more.
func (h *handshake) stepEnded() {
	if h.state == abandoned {
		h.drop()
		return
	}
	h.become(waiting)
}

// returned follows runInPool on the loop.
func (h *handshake) returned() {
	h.handedBack.Store(false)
	h.l.queue.ended(h)
	h.stepEnded()
	h.l.queue.dispatch()
	if h.state == over {
		return
	}
	c := h.c
	c.guarded(func() {
		c.enter()
		h.afterStep()
		c.leave()
	})
}

// afterStep sends what a step has written, and continues, hands over or fails.
func (h *handshake) afterStep() {
	c := h.c
	out := h.step.out
	h.step.out = nil // before the write: a producer that this pauses may abort, and then the step is unwound elsewhere
	c.pass(out)
	switch {
	case h.state == over || c.life != handshaking:
		return // a write below has ended it
	case h.step.done && h.step.err != nil:
		c.handshakeFailed(h.step.err)
	case h.step.done:
		c.completed()
	case len(h.arrived) > 0 || h.cut && !h.step.cut:
		h.schedule()
	}
	if c.life <= closing && len(h.arrived) <= maxAhead {
		c.release(holdAhead)
	}
}

// handshakeFailed ends a connection that could not be protected. The alert that tells
// the peer, if there is one, is sent first.
func (c *Conn) handshakeFailed(err error) {
	var p *reactor.PanicError
	switch {
	case errors.Is(err, errBareEOF):
		c.fail("handshake", errCut)
	case err == io.EOF: // crypto/tls says so for close_notify
		c.fail("handshake", ErrHandshakeClosed)
	case errors.As(err, &p):
		c.end(p, true)
	case err == ErrHandshakeTooLong:
		c.end(c.errorf("handshake", err), true)
	default:
		c.fail("handshake", err)
	}
}

// completed takes the memory of a handshake that has succeeded over. Then, in this
// order, the protocol hears of it, what was written goes out, and what came behind the
// handshake is read.
func (c *Conn) completed() {
	h := c.handshake
	h.become(over)
	c.become(open)
	c.handshake, c.tls, c.in = nil, h.step.tls, h.step.in
	h.l.stacks.give(h.step.stack)
	c.in.take(h.arrived)
	h.arrived = nil
	if h.cut {
		c.read = ending
	}
	c.release(holdAhead)
	if p, ok := reactor.ProtocolAs[HandshakeListener](c.proto); ok {
		p.HandshakeCompleted(c.tls.ConnectionState())
	}
	if c.life > closing {
		return // it was aborted, and what was written is not sent (TLS-15)
	}
	c.flush()
	c.release(holdQueue)
	if c.reason == reactor.ErrClosed {
		c.become(closing)
	}
	if c.inputHeld() {
		c.pauseBelow()
	}
	if c.l.shrink != nil {
		c.l.used(c)
	}
	c.drain(false)
}

// abandon ends a handshake in progress, for a reason. Its memory is given back now, or when
// the step in progress returns. A callback of the tls.Config that waits in that step sees
// the reason as the cause of its context's end.
func (h *handshake) abandon(reason error) {
	h.arrived = nil
	switch h.state {
	case running:
		h.become(abandoned)
		if h.cancel != nil {
			h.cancel(reason)
		}
	case queued:
		h.l.queue.remove(h)
		h.drop()
	case waiting:
		h.drop()
	}
}

// drop gives the step up.
func (h *handshake) drop() {
	h.become(over)
	switch {
	case !h.step.begun():
		h.step.forget()
	case h.step.done:
		h.l.stacks.give(h.step.stack)
		h.step.forget()
	case h.onLoop:
		h.step.unwind()
	default:
		h.l.queue.workers.Unwind(h.step.unwind)
	}
}
