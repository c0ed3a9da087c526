package tlsio

import (
	"errors"
	"io"

	"github.com/whorl-go/whorl/reactor"
)

// mostAnswers is how many bytes reading may make us write, to a peer that does not
// take them, before reading waits for it.
const mostAnswers = 4 << 10

// receive takes what came from below, which is lent.
func (c *Conn) receive(p []byte) {
	switch {
	case c.handshake != nil:
		c.handshake.receive(p)
		return
	case c.read == ended || c.life >= finishing:
		return // what comes behind close_notify is not looked at
	case len(c.in.data) > 0:
		c.in.add(p)
	default:
		c.in.data, c.borrowed = p, true
	}
	if c.l.shrink != nil {
		c.l.used(c)
	}
	c.drain()
}

// drain reads what there is, one record at a time, until crypto/tls wants more than
// has come, or the protocol wants no more. As wire gives out no more than a record, and
// a read takes all of one, nothing is left in crypto/tls that could be read without
// new input. What is written while there is another record to read is gathered, for a
// peer that sends many at once is answered by many.
func (c *Conn) drain() {
	buf := c.l.plain.take()
	for c.mayRead() && (len(c.in.data) > 0 || c.eof) {
		c.reading = true
		n, err := c.tls.Read(buf[:recordSize])
		c.reading = false
		c.gathering = c.in.another()
		if n > 0 && c.life == open { // n counts also if there is an error
			c.proto.DataReceived(buf[:n:n])
		}
		if err == (wouldBlock{}) {
			break
		}
		if err != nil {
			if c.life < finishing {
				c.readFailed(err)
			}
			break
		}
		if c.answered > mostAnswers && c.life < finishing {
			c.release()
			c.hold()
		}
	}
	c.l.plain.give(buf)
	c.gathering = false
	c.release()
	switch {
	case len(c.in.data) == 0 || c.read == ended || c.life >= finishing:
		c.in.data = nil
	case c.borrowed:
		c.in.data = append([]byte(nil), c.in.data...)
	}
	c.borrowed = false
}

// hold stops reading if the peer does not take the answers that it asks for.
func (c *Conn) hold() {
	c.answered = 0
	c.tie() // which tells at once if there is too much
	if c.high {
		c.throttled = true
		c.pauseBelow()
	}
	c.untie()
}

// mayRead tells whether the next record may be looked at. Of a connection that is
// closing they all are, though for its end only.
func (c *Conn) mayRead() bool {
	switch c.life {
	case open:
		return c.read == on && !c.throttled
	case closing, awaiting:
		return c.read != ended && !c.throttled
	}
	return false
}

// readFailed is the end of reading.
func (c *Conn) readFailed(err error) {
	switch {
	case err == io.EOF: // only close_notify is, for wire never says so
		c.peerEnded()
	case !errors.Is(err, errBareEOF):
		c.fail("read", err)
	case c.life == open:
		c.fail("read", ErrTruncated)
	default:
		c.finish() // we have closed, and nothing that was wanted is missing
	}
}

// peerEnded follows the peer's close_notify.
func (c *Conn) peerEnded() {
	c.read = ended
	switch c.life {
	case awaiting:
		c.finish()
	case open:
		h, ok := reactor.ProtocolAs[reactor.HalfCloseListener](c.proto)
		if !ok {
			c.close(io.EOF)
			return
		}
		h.ReadConnectionLost()
	}
}

// PauseProducing stops delivery: DataReceived is not called after it returns, until
// ResumeProducing (TCP-64). While paused, the peer's closing is not noticed.
func (c *Conn) PauseProducing() {
	if c.read == on && c.life <= open {
		c.read = paused
		if c.handshake == nil {
			c.pauseBelow()
		}
	}
}

// ResumeProducing takes delivery up again, later, unless the connection is closing or
// lost.
func (c *Conn) ResumeProducing() {
	if c.read == paused && c.life <= open {
		c.read = on
		c.resumeBelow()
	}
}

// StopProducing is Close.
func (c *Conn) StopProducing() { c.Close() }

func (c *Conn) pauseBelow() {
	if p, ok := reactor.As[reactor.Producer](c.inner); ok {
		p.PauseProducing()
	}
}

// resumeBelow has reading go on, with what was kept first, unless something else
// is against it.
func (c *Conn) resumeBelow() {
	if c.throttled || c.read == paused && c.life <= open && c.handshake == nil {
		return
	}
	if p, ok := reactor.As[reactor.Producer](c.inner); ok {
		p.ResumeProducing()
	}
	if c.handshake == nil {
		c.resumed = true
		c.touch()
	}
}
