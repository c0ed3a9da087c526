package tlsio

import (
	"fmt"

	"github.com/whorl-go/whorl/reactor"
)

// queueHigh is how many bytes may wait for the handshake before the producer pauses.
const queueHigh = 64 << 10

// Write takes all of p, as reactor.Transport says. What is written in one callback
// goes out when it returns, as one record if it fits (TLS-10); from the size of a
// record on, at once. Before the handshake is over it is kept.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	c.keep(p)
	return len(p), nil
}

// WriteVec is Write of the concatenation of bufs.
func (c *Conn) WriteVec(bufs [][]byte) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	n := 0
	for _, p := range bufs {
		c.keep(p)
		n += len(p)
	}
	return n, nil
}

// writable tells why nothing can be written. What a registered producer writes while
// a Close or CloseWrite waits for it is taken (TLS-19, TLS-20).
func (c *Conn) writable() error {
	waits := c.producer != nil && c.reason == reactor.ErrClosed
	switch {
	case c.life > closing, c.life == closing && !waits:
		return reactor.ErrClosed
	case c.write == ended, c.write == stopping && c.producer == nil:
		return reactor.ErrWriteClosed
	case c.life == shaking && c.reason != nil && !waits:
		return reactor.ErrClosed
	}
	return nil
}

func (c *Conn) keep(p []byte) {
	switch {
	case len(p) == 0:
		return
	case c.handshake != nil:
		c.pend = append(c.pend, p...)
		c.checkHigh()
		return
	case c.life > closing:
		return // the write before this one has failed
	}
	if len(c.pend)+len(p) > recordSize {
		c.flush()
	}
	if len(p) >= recordSize {
		c.seal(p)
		return
	}
	if c.pend == nil {
		c.pend = c.l.plain.take()
	}
	c.pend = append(c.pend, p...)
	c.touch()
}

// flush makes records of what was kept.
func (c *Conn) flush() {
	p := c.pend
	if len(p) == 0 {
		return
	}
	c.pend = nil
	c.seal(p)
	c.l.plain.give(p)
}

// seal makes records of p and writes them to the transport below, several at a time.
func (c *Conn) seal(p []byte) {
	if c.life > closing {
		return
	}
	if c.l.shrink != nil {
		c.l.used(c)
	}
	more := c.gathering
	c.gathering = more || len(p) > recordSize
	_, err := c.tls.Write(p)
	if c.gathering = more; !more {
		c.release()
	}
	if err != nil {
		c.fail("write", err) // TLS-14
	}
}

// Buffered is how many bytes were written and not yet taken by what is below.
func (c *Conn) Buffered() int { return len(c.pend) + len(c.out) + c.unsentBelow() }

func (c *Conn) unsentBelow() int {
	if b, ok := reactor.As[interface{ Buffered() int }](c.inner); ok {
		return b.Buffered()
	}
	return 0
}

// RegisterProducer takes p as the producer, as reactor.Consumer says. It is paused at
// the high-water mark of the transport below, and resumed at its low-water mark;
// while the handshake goes on, it is paused when 64 KiB wait.
func (c *Conn) RegisterProducer(p reactor.Producer) error {
	if c.life >= finishing {
		p.StopProducing()
		return nil
	}
	if c.producer != nil {
		return fmt.Errorf("%w: %T is, %T wants to be", reactor.ErrProducerRegistered, c.producer, p)
	}
	c.producer, c.held = p, false
	c.tie()
	c.checkHigh()
	return nil
}

// UnregisterProducer forgets the producer, as reactor.Consumer says.
func (c *Conn) UnregisterProducer() {
	if c.producer != nil {
		c.producer, c.held = nil, false
		c.untie()
		c.touch()
	}
}

// checkHigh pauses the producer, once. Both reasons for it come together here, so it
// sees pauses and resumes alternate (TLS-31).
func (c *Conn) checkHigh() {
	if c.producer != nil && !c.held && c.tooMuch() {
		c.held = true
		c.producer.PauseProducing()
	}
}

func (c *Conn) tooMuch() bool { return c.high || c.handshake != nil && len(c.pend) > queueHigh }

func (c *Conn) checkLow() {
	if c.held && !c.tooMuch() {
		c.held = false
		c.producer.ResumeProducing()
	}
}

// tie has the transport below tell when it has more than enough to send (TLS-29). Only
// who must know it is tied, for the transport below waits for its producer to end.
func (c *Conn) tie() {
	if k, ok := reactor.As[reactor.Consumer](c.inner); ok && !c.tied {
		c.tied = true
		// There is no other one: it was taken off, or the transport is new.
		_ = k.RegisterProducer((*throttle)(c))
	}
}

// untie ends that, unless somebody must still know.
func (c *Conn) untie() {
	if !c.tied || c.life < finishing && (c.producer != nil || c.throttled) {
		return
	}
	if k, ok := reactor.As[reactor.Consumer](c.inner); ok {
		c.tied, c.high = false, false
		k.UnregisterProducer()
	}
}

// throttle is a Conn as the producer of the transport below (TLS-29).
type throttle Conn

// PauseProducing says that there is enough below to be sent.
func (t *throttle) PauseProducing() {
	c := (*Conn)(t)
	c.high = true
	c.checkHigh()
}

// ResumeProducing says that it has been sent.
func (t *throttle) ResumeProducing() {
	c := (*Conn)(t)
	c.enter()
	c.high = false
	c.checkLow()
	c.leave()
	if c.throttled {
		c.throttled = false
		c.untie()
		c.resumeBelow()
	}
}

// StopProducing says that the transport below is lost; ConnectionLost follows.
func (t *throttle) StopProducing() { (*Conn)(t).stopProducer() }

func (c *Conn) stopProducer() {
	if p := c.producer; p != nil {
		c.producer = nil
		p.StopProducing()
	}
}
