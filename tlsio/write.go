package tlsio

import (
	"errors"
	"fmt"
	"io"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// queueHigh is how many bytes may wait for the handshake before the producer pauses.
const queueHigh = 64 << 10

// Write takes all of p, as reactor.Transport says. What is written in one callback
// goes out when it returns, as one record if it fits (TLS-10). A write of the size of a
// record or more goes out at once. Before the handshake is over, everything is kept.
func (c *Conn) Write(p []byte) (int, error) {
	if c.retired {
		return 0, reactor.ErrSwitched
	}
	return c.put(p)
}

// put is Write, also of a Conn that is retired.
func (c *Conn) put(p []byte) (int, error) {
	if err := c.writable(len(p)); err != nil {
		return 0, err
	}
	c.keep(p)
	return len(p), nil
}

// WriteVec is Write of the concatenation of bufs.
func (c *Conn) WriteVec(bufs [][]byte) (int, error) {
	if c.retired {
		return 0, reactor.ErrSwitched
	}
	return c.putVec(bufs)
}

func (c *Conn) putVec(bufs [][]byte) (int, error) {
	n := 0
	for _, p := range bufs {
		n += len(p)
	}
	if err := c.writable(n); err != nil {
		return 0, err
	}
	c.makeRoom(n)
	for _, p := range bufs {
		c.gather(p)
	}
	c.gathered()
	return n, nil
}

// WriteShared is Write. It saves no memory: what waits to be sent is ciphertext, of which every
// connection has its own. p may be changed as soon as it returns, but a caller that does not
// know what the transport is must not count on that.
func (c *Conn) WriteShared(p []byte) (int, error) { return c.Write(p) }

// SendFile is always kernel.ErrMustRead: what is sent are sealed records.
func (c *Conn) SendFile(kernel.FileRange) (int, error) { return 0, kernel.ErrMustRead }

// SendDescriptor is always kernel.ErrUnsupported: a descriptor cannot accompany a byte of the program, because
// the peer's system knows only those of sealed records.
func (c *Conn) SendDescriptor(int) error { return kernel.ErrUnsupported }

// writable tells why n more bytes cannot be written. A producer that can write no more is stopped
// inside its write (PROD-14).
func (c *Conn) writable(n int) error {
	err := c.refusal()
	if err == nil && c.handshake != nil {
		err = c.tooMuch(n)
	}
	if err == reactor.ErrClosed || errors.Is(err, reactor.ErrBufferFull) {
		c.stopProducer()
	}
	return err
}

// tooMuch ends the connection if more would wait for the handshake than the transport below may
// buffer. Afterwards that limit is its own to keep.
func (c *Conn) tooMuch(n int) error {
	s, ok := reactor.As[interface{ Config() reactor.StreamConfig }](c.inner)
	if !ok {
		return nil
	}
	limit := s.Config().MaxBuffered
	if limit < 0 || len(c.plain)+n <= limit {
		return nil
	}
	err := fmt.Errorf("%w: %d bytes wait for the handshake, and %d more are above StreamConfig.MaxBuffered, which is %d",
		reactor.ErrBufferFull, len(c.plain), n, limit)
	c.end(err, true)
	return err
}

// refusal is writable without the producer. While a Close or CloseWrite waits for a registered
// producer, what that writes is taken (TLS-19, TLS-20).
func (c *Conn) refusal() error {
	waits := c.producer != nil && c.reason == reactor.ErrClosed
	switch {
	case c.life > closing, c.life == closing && !waits, c.write == failed:
		return reactor.ErrClosed
	case c.write == ended, c.write == ending && c.producer == nil:
		return reactor.ErrWriteClosed
	case c.life == handshaking && c.reason != nil && !waits:
		return reactor.ErrClosed
	}
	return nil
}

func (c *Conn) keep(p []byte) {
	c.makeRoom(len(p))
	if c.handshake == nil && !c.locked && len(p) >= recordSize {
		c.seal(p)
		return
	}
	c.gather(p)
	c.gathered()
}

// makeRoom sends what was kept if n more bytes do not fit into a record with it. A producer that is paused by that may write.
func (c *Conn) makeRoom(n int) {
	if c.handshake == nil && len(c.plain)+n > recordSize {
		c.flush()
	}
}

// gather keeps a copy of p, unless a write before this one has failed.
func (c *Conn) gather(p []byte) {
	if len(p) == 0 || c.handshake == nil && c.life > closing {
		return
	}
	if c.plain == nil && c.handshake == nil {
		c.plain = c.l.plain.take()
	}
	c.plain = append(c.plain, p...)
}

// gathered follows the last gather of a write.
func (c *Conn) gathered() {
	switch {
	case c.handshake == nil:
		c.makeRoom(0)
		c.settleLater()
	case len(c.plain) > queueHigh:
		c.hold(holdQueue)
	}
}

// settle sends what was written, and does what waits for that: a Close or CloseWrite.
func (c *Conn) settle() {
	if c.life != open && c.life != closing {
		return
	}
	c.flush()
	if c.producer != nil && reactor.Produces(c.producer) && c.reason != io.EOF {
		if c.life == closing && c.closeLimit == nil {
			c.awaitProgress()
		}
		return // a Close of ours waits for it (TLS-20)
	}
	switch {
	case c.life == closing:
		c.notify()
		c.afterNotify()
	case c.life == open && c.write == ending:
		c.notify()
		if h, ok := reactor.ProtocolAs[reactor.HalfCloseListener](c.proto); ok {
			c.enter()
			h.WriteConnectionLost()
			c.leave()
		}
	}
}

// flush makes records of what was kept, and of what a producer writes meanwhile, because the transport below pauses it (PROD-25). Within a call of crypto/tls
// it waits for the end of that.
func (c *Conn) flush() {
	for len(c.plain) > 0 && !c.locked {
		p := c.plain
		c.plain = nil
		c.seal(p)
		c.l.plain.give(p)
	}
}

// seal makes records of p and writes them to the transport below, several at a time.
func (c *Conn) seal(p []byte) {
	if c.life > closing {
		return
	}
	if len(p) > recordSize {
		c.holds |= holdBatch
	}
	answered := c.answered
	_, err := c.call(c.tls.Write, p)
	c.answered = answered // our own records are no answers
	if c.holds &^= holdBatch; !c.outputHeld() {
		c.send()
	}
	if err != nil {
		c.fail("write", err) // TLS-14
	}
}

// call calls Read or Write of crypto/tls.
func (c *Conn) call(fn func([]byte) (int, error), p []byte) (int, error) {
	c.locked = true
	defer func() { c.locked = false }() // a producer that is paused meanwhile may panic
	return fn(p)
}

// send writes the ciphertext that was held back to the transport below.
func (c *Conn) send() {
	if out := c.out; out != nil {
		c.out = nil
		c.pass(out)
		c.l.cipher.give(out)
	}
}

// pass writes to the transport below. If that fails, ConnectionLost will come with
// the reason.
func (c *Conn) pass(p []byte) {
	if len(p) > 0 {
		_, _ = c.inner.Write(p)
	}
}

// Buffered is how many bytes were written and not yet taken by what is below.
func (c *Conn) Buffered() int { return len(c.plain) + len(c.out) + c.unsentBelow() }

func (c *Conn) unsentBelow() int {
	if b, ok := reactor.As[interface{ Buffered() int }](c.inner); ok {
		return b.Buffered()
	}
	return 0
}
