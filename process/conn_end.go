package process

import (
	"errors"
	"io"

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
	c.stop()
	c.later() // if the pipes are gone already
}

// drop ends the pipes.
func (c *Conn) drop() {
	for _, s := range []*reactor.Stream{c.in, c.out, c.errs} {
		if s != nil {
			s.Abort()
		}
	}
}

// stop asks the program to end, and kills it after the grace. What is gone already needs nothing.
func (c *Conn) stop() {
	if c.group {
		_ = c.child.KillGroup(c.cfg.Grace)
	} else {
		_ = c.child.Kill(c.cfg.Grace)
	}
}

// settle looks how far the end is. It is called after everything that may bring it nearer.
func (c *Conn) settle() {
	_, exited := c.child.Status()
	if exited && c.state == connClosing { // nobody wants what something else may still write
		c.state = connEnding
		c.in.Abort()
		c.out.Abort()
	}
	switch {
	case c.state == connLost, c.state == connNew:
	case c.state == connFailing && c.open&sideTerminal == 0:
		c.lose()
	case c.ended && c.open&sideTerminal == 0:
		c.lose()
	case exited, c.open&sideInput == 0 && (c.open&sideOutput == 0 || c.state == connClosing):
		if c.cfg.Linger > 0 && !c.timer.Active() {
			c.seen = c.received()
			c.timer.Reset(c.cfg.Linger)
		}
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

// late is the end of Linger. After the exit, Linger begins anew as long as output comes, or the protocol has paused it.
func (c *Conn) late() {
	if _, exited := c.child.Status(); !exited {
		c.stop()
		return
	}
	if in := c.received(); in != c.seen || c.paused && c.state == connOpen {
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
