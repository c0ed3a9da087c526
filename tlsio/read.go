package tlsio

import (
	"errors"
	"io"

	"github.com/whorl-go/whorl/reactor"
)

// maxAnswers is how many bytes reading may make us write, to a peer that does not
// take them, before reading waits for it.
const maxAnswers = 4 << 10

// One call of drain reads records until drainShare is used up, and the rest in later turns,
// so that no peer holds up the loop. A record counts as its bytes and recordCost. That is
// more than 250 of the smallest records, and more than one read of the largest.
const (
	drainShare = 512 << 10
	recordCost = 2 << 10
)

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

// drain reads what there is, one record at a time, until crypto/tls wants more than has come, the
// protocol wants no more, or the share of one call is used up. wire gives out no more than a
// record, and a read takes all of one, so crypto/tls keeps nothing that could be read without new
// input. What is written while there is another record to read is held back, because a peer that
// sends many records at once gets one answer to all of them. But it is sealed before the next
// record is looked at: if that is bad, nothing can be sealed any more. lent says that the input is
// lent by the transport below.
func (c *Conn) drain(lent bool) {
	buf := c.l.plain.take()
	c.share = drainShare
	for c.mayDrain() {
		if len(c.plain) > 0 {
			if c.flush(); !c.mayDrain() { // it may have failed, or have paused the protocol
				break
			}
		}
		n, err := c.call(c.tls.Read, buf[:recordSize])
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
	if c.echoes() && c.producerHeld() {
		c.pause()
	}
	c.share = 0
	if len(c.in.data) == 0 || c.read == ended || c.life >= finishing {
		c.in.data = nil
		c.release(holdKept)
		return
	}
	if lent {
		c.in.data = append([]byte(nil), c.in.data...)
	}
	c.hold(holdKept)
}

// echoes tells whether the read side of c is the producer of its write side.
func (c *Conn) echoes() bool { return c.producer == reactor.Producer(c) }

// pauseWaits tells whether the producer is paused only at the end of the drain in progress: if
// that is what produces, and the transport below has sent everything. So it asks only for a
// pause between turns. What a pause leaves unread would have to be copied.
func (c *Conn) pauseWaits() bool {
	return c.share > 0 && c.echoes() && c.unsentBelow() == 0
}

// KeepsInput tells whether input waits until the protocol above is resumed, or until a step of the handshake
// returns. The transport below, if it has failed, then waits for that too (TLS-61).
func (b *below) KeepsInput() bool {
	c := (*Conn)(b)
	if h := c.handshake; h != nil && c.life == handshaking && h.keepsInput() {
		c.hold(holdAhead) // until the step has returned
		return true
	}
	return c.life == open && len(c.in.data) > 0 && c.read != ended
}

// readRest reads what was kept when the transport below is lost, unless the protocol has
// paused.
func (c *Conn) readRest() {
	c.enter()
	for c.life == open && len(c.in.data) > 0 && c.mayRead() {
		c.drain(false)
	}
	c.inside--
}

// checkAnswers stops reading if the peer does not take the answers that it asks for.
func (c *Conn) checkAnswers() {
	if c.answered = 0; c.write == failed {
		return // they go nowhere
	}
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
	default: // we have closed, and nothing that was wanted is missing
		c.read = ended
		if c.life == awaiting {
			c.finish()
		}
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
		switch {
		case ok:
			h.ReadConnectionLost()
		case reactor.Unfinished(c.producer):
			c.end(io.EOF, true)
		default:
			c.close(io.EOF)
		}
	}
}

// PauseProducing stops delivery: DataReceived is not called after it returns, until
// ResumeProducing (TCP-64). While paused, the peer's closing is not noticed.
func (c *Conn) PauseProducing() {
	if c.retired {
		if p, ok := topAs[reactor.Producer](c); ok {
			p.PauseProducing()
		}
		return
	}
	c.pause()
}

func (c *Conn) pause() {
	if c.read != ended && c.life <= open {
		c.hold(holdApp)
	}
}

// ResumeProducing takes delivery up again, later, unless the connection is closing or
// lost.
func (c *Conn) ResumeProducing() {
	if c.retired {
		if p, ok := topAs[reactor.Producer](c); ok {
			p.ResumeProducing()
		}
		return
	}
	c.resume()
}

func (c *Conn) resume() {
	if c.life <= open {
		c.release(holdApp)
	}
}

// StopProducing is Close (PROD-11). If the transport below can send no more, it is
// ResumeProducing: the connection ends by itself when what came before was delivered (TCP-67).
func (c *Conn) StopProducing() {
	switch top := c.upper(); {
	case top == nil && c.resumeFailed():
	case top == nil:
		c.closeInOrder()
	default: // what As finds below it is not its own
		if p, ok := top.(interface{ StopProducing() }); ok {
			p.StopProducing()
		} else {
			top.Close()
		}
	}
}

// resumeFailed has what is unread delivered if nothing more can be sent, and tells whether that
// is so.
func (c *Conn) resumeFailed() bool {
	if c.write != failed {
		return false
	}
	c.resume()
	return true
}

func (c *Conn) pauseBelow() {
	if p, ok := reactor.As[reactor.Producer](c.inner); ok {
		p.PauseProducing()
	}
}

// resumeInput has reading continue, unless there is still a reason against it. The
// transport below goes on when what was kept has been read.
func (c *Conn) resumeInput() {
	if c.inputHeld() {
		return
	}
	if c.holds&holdKept == 0 {
		if p, ok := reactor.As[reactor.Producer](c.inner); ok {
			p.ResumeProducing()
		}
	}
	if c.handshake == nil {
		c.settleLater()
	}
}
