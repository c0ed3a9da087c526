package tlsio

import (
	"errors"
	"io"

	"github.com/whorl-go/whorl/reactor"
)

// maxAnswers is how many bytes reading may make us write, to a peer that does not
// take them, before reading waits for it.
const maxAnswers = 4 << 10

// receive takes what came from below, which is lent.
func (c *Conn) receive(p []byte) {
	if c.handshake != nil {
		c.handshake.receive(p)
		return
	}
	if c.read == ended || c.life >= finishing {
		return // what comes behind close_notify is not looked at
	}
	lent := len(c.in.data) == 0
	if lent {
		c.in.data = p
	} else {
		c.in.add(p)
	}
	if c.l.shrink != nil {
		c.l.used(c)
	}
	c.drain(lent)
}

// drain reads what there is, one record at a time, until crypto/tls wants more than
// has come, or the protocol wants no more. wire gives out no more than a record, and a
// read takes all of one, so crypto/tls keeps nothing that could be read without new
// input. What is written while there is another record to read is held back, because a
// peer that sends many records at once gets one answer to all of them. lent says that
// the input is lent by the transport below.
func (c *Conn) drain(lent bool) {
	buf := c.l.plain.take()
	for c.mayDrain() {
		n, err := c.tls.Read(buf[:recordSize])
		if c.holds &^= holdRecords; c.in.another() {
			c.holds |= holdRecords
		}
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
		if c.answered > maxAnswers && c.life < finishing {
			c.send()
			c.checkAnswers()
		}
	}
	c.l.plain.give(buf)
	c.holds &^= holdRecords
	c.send()
	switch {
	case len(c.in.data) == 0 || c.read == ended || c.life >= finishing:
		c.in.data = nil
	case lent:
		c.in.data = append([]byte(nil), c.in.data...)
	}
}

// checkAnswers stops reading if the peer does not take the answers that it asks for.
func (c *Conn) checkAnswers() {
	c.answered = 0
	c.watch() // which tells at once if the transport below is full
	if c.holds&holdFull != 0 {
		c.hold(holdAnswers)
	}
	c.unwatch()
}

// mayRead tells whether the next record may be looked at. When a connection is closing,
// all records are looked at, but only to find the end.
func (c *Conn) mayRead() bool {
	switch c.life {
	case open, closing, awaiting:
		return c.read != ended && !c.inputHeld()
	}
	return false
}

// mayDrain tells whether there is something to read besides.
func (c *Conn) mayDrain() bool {
	return (len(c.in.data) > 0 || c.read == ending) && c.mayRead()
}

// readFailed is the end of reading.
func (c *Conn) readFailed(err error) {
	switch {
	case err == io.EOF: // only after close_notify, because wire never says so
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
	if c.read != ended && c.life <= open {
		c.hold(holdApp)
	}
}

// ResumeProducing takes delivery up again, later, unless the connection is closing or
// lost.
func (c *Conn) ResumeProducing() {
	if c.life <= open {
		c.release(holdApp)
	}
}

// StopProducing is Close.
func (c *Conn) StopProducing() { c.Close() }

func (c *Conn) pauseBelow() {
	if p, ok := reactor.As[reactor.Producer](c.inner); ok {
		p.PauseProducing()
	}
}

// resumeInput has reading continue, with what was kept first, unless there is still a
// reason against it.
func (c *Conn) resumeInput() {
	if c.inputHeld() {
		return
	}
	if p, ok := reactor.As[reactor.Producer](c.inner); ok {
		p.ResumeProducing()
	}
	if c.handshake == nil {
		c.settleLater()
	}
}
