package process

import (
	"errors"
	"fmt"
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// guard calls the protocol. A panic ends the connection.
func (c *Conn) guard(fn func()) {
	if e := c.Reactor().Guard(c.proto, fn); e != nil {
		c.fail(e)
	}
}

// fail ends the connection at once because of reason, and asks the program to end.
func (c *Conn) fail(reason error) {
	if c.state >= connFailing {
		return
	}
	c.state, c.reason = connFailing, reason
	c.drop()
	_ = c.stop() // what is gone already needs nothing
	c.later()    // if the pipes are gone already
}

// drop ends the connection's pipes. The error output is none of them: a program that tells there how it ends must not be killed by that.
func (c *Conn) drop() {
	c.in.Abort()
	c.out.Abort()
}

// stop asks the program to end, and kills it after the grace. An error means that nobody could be asked.
func (c *Conn) stop() error {
	if c.group {
		return c.child.KillGroup(c.cfg.Grace)
	}
	return c.child.Kill(c.cfg.Grace)
}

// endProgram is the end of Linger of a program that runs. One that cannot be signalled, or not killed, is given up: its connection is lost, and Exited is called when it ends.
func (c *Conn) endProgram() {
	err := error(ErrStillRunning)
	if !c.asked {
		switch failed := c.stop(); {
		case failed == nil:
			c.asked = true
			c.timer.Reset(kernel.After(max(c.cfg.Grace, 0), c.cfg.Linger))
			return
		case errors.Is(failed, kernel.ErrExited):
			return // the exit is about to be told
		default:
			err = fmt.Errorf("%w: %w", err, failed)
		}
	}
	if c.state < connFailing {
		c.state, c.reason = connFailing, err
		c.drop()
		c.later()
	}
}

// settle looks how far the end is. It is called after everything that may bring it nearer.
func (c *Conn) settle() {
	if c.child == nil { // not yet, or never
		return
	}
	_, exited := c.child.Status()
	if exited && c.state == connClosing { // nobody wants what something else may still write
		c.state = connEnding
		c.in.Abort()
		c.out.Abort()
	}
	if c.state < connLost && c.open&sideTerminal == 0 && (c.state == connFailing || c.ended) {
		c.lose()
	}
	silent := c.open&sideInput == 0 && (c.open&sideOutput == 0 || c.state == connClosing)
	switch {
	case exited && c.open == 0: // nothing is left to wait for
		c.timer.Cancel()
	case (exited || silent && c.state < connFailing) && c.cfg.Linger > 0 && !c.timer.Active():
		c.seen = c.received()
		c.timer.Reset(c.cfg.Linger)
	}
}

// received counts what has come from the program.
func (c *Conn) received() (n uint64) {
	n = c.out.Stats().In
	if c.errs != nil {
		n += c.errs.Stats().In
	}
	return n
}

// late is the end of Linger. After the exit, Linger begins anew as long as output comes, or the protocol has paused it; but not when only error output
// is left, which nobody waits for.
func (c *Conn) late() {
	if _, exited := c.child.Status(); !exited {
		c.endProgram()
		return
	}
	if in := c.received(); c.open&sideOutput != 0 && c.state < connFailing && (in != c.seen || c.paused && c.state == connOpen) {
		c.seen = in
		c.timer.Reset(c.cfg.Linger)
		return
	}
	if c.open&sideOutput != 0 && c.reason == nil {
		c.reason = ErrOutputHeld
		c.outputEnded()
	}
	c.cut()
}

// cut ends the pipes, and then the connection.
func (c *Conn) cut() {
	c.state = max(c.state, connFailing)
	c.drop()
	if c.errs != nil {
		c.errs.Abort()
	}
	c.later()
}

// outputEnded tells the end of the output. A protocol that does not know it ends its direction.
func (c *Conn) outputEnded() {
	if c.state != connOpen {
		return
	}
	c.told = true
	h, ok := reactor.ProtocolAs[reactor.HalfCloseListener](c.proto)
	if !ok {
		_ = c.in.Close()
		return
	}
	c.guard(h.ReadConnectionLost)
}

// lose calls ConnectionLost.
func (c *Conn) lose() {
	c.state = connLost
	c.timer.Cancel()
	err := c.reason
	s, exited := c.child.Status()
	switch {
	case err == nil && s.Success():
		err = io.EOF
	case err == nil, err == reactor.ErrClosed && c.told && exited && !s.Success():
		err = s
	case err == ErrOutputHeld && exited && !s.Success():
		err = errors.Join(err, s)
	}
	c.Reactor().Guard(c.proto, func() { c.proto.ConnectionLost(err) })
}
