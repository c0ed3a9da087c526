package tlsio

import (
	"errors"
	"io"
	"math"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Close stops delivery at once. It sends what was written, waits for a registered
// producer to unregister, sends close_notify, waits for the peer's as long as
// Options.CloseTimeout says, and ends the connection: ConnectionLost(reactor.ErrClosed)
// comes later (TLS-16, TLS-20). Before the handshake is over, if nothing is to be sent,
// Close is Abort (TLS-21). A second call does nothing (TLS-19). The error is always nil.
func (c *Conn) Close() error {
	if top := c.upper(); top != nil {
		return top.Close()
	}
	c.closeInOrder()
	return nil
}

func (c *Conn) closeInOrder() {
	switch c.life {
	case handshaking:
		switch {
		case c.reason != nil:
		case len(c.plain) == 0 && c.producer == nil && c.write == on:
			c.end(reactor.ErrAborted, true)
		default:
			c.reason = reactor.ErrClosed
		}
	case open:
		c.close(reactor.ErrClosed)
	case closing: // what it waits for may be over, such as a producer that is lost
		c.settleLater()
	}
}

// close ends the connection when everything is sent.
func (c *Conn) close(reason error) {
	c.reason = reason
	c.become(closing)
	c.settleLater()
}

// CloseWrite sends what was written, waits for a registered producer to unregister,
// and ends our direction with close_notify. Reading continues (TLS-27). A second call
// does nothing. The error is always nil.
func (c *Conn) CloseWrite() error {
	if c.retired {
		return reactor.ErrSwitched
	}
	c.closeWrite()
	return nil
}

func (c *Conn) closeWrite() {
	if c.life <= open && c.write == on {
		c.write = ending
		if c.handshake == nil {
			c.settleLater()
		}
	}
}

// HalfCloses is true, also if what is below cannot: TLS has an end of a direction of its own.
func (c *Conn) HalfCloses() bool { return true }

// StopConsuming is UnregisterProducer and Close.
func (c *Conn) StopConsuming() {
	c.UnregisterProducer()
	c.Close()
}

// Abort drops what is buffered and resets the connection, without an alert:
// ConnectionLost(reactor.ErrAborted) comes later, and nothing else before it (TLS-25).
func (c *Conn) Abort() {
	if top := c.upper(); top != nil {
		top.Abort()
		return
	}
	c.end(reactor.ErrAborted, true)
}

// notify sends close_notify, once.
func (c *Conn) notify() {
	if c.write != ended {
		c.write = ended
		answered := c.answered
		_ = c.tls.CloseWrite() // it would fail only after a write that failed
		c.answered = answered  // close_notify is no answer
	}
}

// afterNotify waits for the peer's close_notify, or ends the connection if that has come
// already (TLS-17).
func (c *Conn) afterNotify() {
	if c.read == ended {
		c.finish()
		return
	}
	c.become(awaiting)
	c.awaitProgress()
	c.resumeInput()
}

// finish ends the connection below. The reason stays as it is.
func (c *Conn) finish() {
	c.become(finishing)
	c.send()
	c.unwatch()
	c.inner.Close()
	c.awaitProgress()
}

// fail ends the connection with an Error. An alert that crypto/tls has written is still
// sent.
func (c *Conn) fail(op string, err error) { c.end(c.errorf(op, err), false) }

func (c *Conn) errorf(op string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, reactor.ErrClosed) {
		err = noEnd{err}
	}
	if text := err.Error(); len(text) > maxText {
		err = shortened{err, strings.ToValidUTF8(text[:maxText], "") + "..."}
	}
	return &Error{Op: op, Local: c.Local(), Remote: c.Remote(), Err: err}
}

// end ends the connection, whatever its state. The first reason is kept, with two
// exceptions: a panic replaces any reason, and an Abort replaces a Close.
func (c *Conn) end(reason error, abort bool) {
	if c.life == lost {
		return
	}
	var p *reactor.PanicError
	if c.life != finishing || errors.As(reason, &p) || c.clean() {
		c.reason = reason
	}
	c.become(finishing)
	if c.handshake != nil {
		c.handshake.abandon(reason)
	}
	c.plain = nil
	if abort {
		c.out = nil
		c.inner.Abort()
		return
	}
	c.send()
	c.unwatch()
	c.inner.Close()
	c.awaitProgress()
}

// clean tells whether the reason so far is not a failure.
func (c *Conn) clean() bool {
	return c.reason == nil || c.reason == io.EOF || c.reason == reactor.ErrClosed
}

// closeLimit limits how long an ending connection may go without progress: the peer has
// answered close_notify, or the transport below has sent something, also of a producer that
// the Close waits for.
type closeLimit struct {
	call   reactor.DelayedCall
	period time.Duration
	sent   uint64        // by the transport below, when it was last looked at
	unsent int           // there, then
	due    time.Duration // the end, if there is no progress until then
}

// closeLooks is how often in a period a closeLimit looks at what was sent. The transport below
// does not tell when it has sent something, so progress is noticed that much later.
const closeLooks = 32

// awaitProgress limits how long there may be no progress from now on.
func (c *Conn) awaitProgress() {
	d := withDefault(c.l.o.CloseTimeout, defaultCloseTimeout, time.Duration(math.MaxInt64))
	if d == math.MaxInt64 {
		return
	}
	first := c.closeLimit == nil
	if first {
		c.closeLimit = &closeLimit{period: d}
		c.closeLimit.call.Init(c.Reactor(), c.lookAtClose)
	}
	l := c.closeLimit
	l.due = c.Reactor().Now() + d
	if l.sent, l.unsent = c.flowBelow(); first && l.unsent > 0 {
		c.Reactor().Post(c.lookAtClose) // most often it leaves before the next turn
		return
	}
	c.lookAtClose()
}

// flowBelow returns what the transport below has sent, if it counts that, and what waits there.
func (c *Conn) flowBelow() (sent uint64, unsent int) {
	if s, ok := reactor.As[interface{ Stats() reactor.StreamStats }](c.inner); ok {
		st := s.Stats()
		return st.Sent, st.Buffered
	}
	return 0, c.unsentBelow()
}

// lookAtClose ends the connection if there was no progress for too long.
func (c *Conn) lookAtClose() {
	l, now := c.closeLimit, c.Reactor().Now()
	sent, unsent := c.flowBelow()
	if sent != l.sent || unsent < l.unsent {
		l.due = now + l.period
	}
	l.sent, l.unsent = sent, unsent
	switch {
	case c.life == lost:
	case now < l.due && (unsent > 0 || c.producer != nil):
		l.call.Reset(min(l.due-now, l.period/closeLooks+1))
	case now < l.due:
		l.call.Reset(l.due - now)
	case c.clean():
		c.end(c.errorf("close", ErrCloseTimeout), true)
	default:
		c.inner.Abort()
	}
}

// below is a Conn as the protocol of the transport below it.
type below Conn

var (
	_ reactor.Protocol          = (*below)(nil)
	_ reactor.HalfCloseListener = (*below)(nil)
	_ HandshakeListener         = (*below)(nil)
	_ reactor.Layer             = (*below)(nil)
)

// Above is the Conn.
func (b *below) Above() reactor.Transport { return (*Conn)(b) }

// Unwrap is the protocol above.
func (b *below) Unwrap() reactor.Protocol { return b.proto }

// LogPrefix is the protocol's, with " (TLS)" (TLS-8).
func (b *below) LogPrefix() string { return reactor.LogPrefixOf(b.proto) + " (TLS)" }

// HandshakeCompleted does nothing: it tells of TLS below this TLS, and the protocol
// above is to hear of its own.
func (b *below) HandshakeCompleted(tlsState) {}

// ConnectionMade begins, with the protocol's ConnectionMade (TLS-3).
func (b *below) ConnectionMade(t reactor.Transport) {
	c := (*Conn)(b)
	c.enter()
	c.attach(t)
	c.checkGuest()
	c.proto.ConnectionMade(c)
	if c.life == handshaking {
		c.feed(nil)
	}
	c.leave()
}

// DataReceived takes ciphertext.
func (b *below) DataReceived(p []byte) {
	c := (*Conn)(b)
	c.enter()
	c.receive(p)
	c.leave()
}

// ReadConnectionLost is the end of the ciphertext. Without close_notify it is not the
// end of the plaintext.
func (b *below) ReadConnectionLost() {
	c := (*Conn)(b)
	c.enter()
	switch {
	case c.handshake != nil:
		c.handshake.end()
	case c.life < finishing && c.read != ended:
		c.read = ending
		c.drain(false)
	}
	c.leave()
}

// WriteConnectionLost follows the loss of the output alone, as of a pipe: nothing here calls CloseWrite below. As there, the protocol above is told,
// and goes on reading, if it is a HalfCloseListener. Otherwise the connection ends. After close_notify the peer may do so.
func (b *below) WriteConnectionLost() {
	c := (*Conn)(b)
	if c.life >= finishing || c.write == ended {
		return
	}
	h, listens := reactor.ProtocolAs[reactor.HalfCloseListener](c.proto)
	if !listens || c.life != open || c.read == ended {
		op := "write"
		if c.handshake != nil {
			op = "handshake"
		}
		c.end(c.errorf(op, kernel.ErrBroken), true)
		return
	}
	c.write, c.plain, c.out = failed, nil, nil
	c.enter()
	c.stopProducer()
	h.WriteConnectionLost()
	c.leave()
}

// ConnectionLost is the end (TLS-18).
func (b *below) ConnectionLost(err error) {
	c := (*Conn)(b)
	if op := (*reactor.OpError)(nil); c.handshake == nil && len(c.in.data) > 0 && errors.As(err, &op) {
		if e := c.Reactor().Guard(c.proto, c.readRest); e != nil { // the protocol is still told of the loss
			err = e
		}
	}
	reason := c.lostFor(err)
	if c.closeLimit != nil {
		c.closeLimit.call.Cancel()
	}
	if c.handshake != nil {
		c.handshake.abandon(reason)
	}
	c.become(lost)
	c.plain, c.out, c.in.data = nil, nil, nil
	defer c.proto.ConnectionLost(reason) // also if the producer panics
	c.stopProducer()
}

// lostFor is what the protocol is told when the transport below was lost for err.
func (c *Conn) lostFor(err error) error {
	var p *reactor.PanicError
	var op *reactor.OpError
	switch {
	case errors.As(err, &p) || err == reactor.ErrStopped:
		return err
	case c.life >= closing && !c.clean():
		return c.reason
	case c.life >= closing:
		// Reading is of no interest any more; not having sent what was written is, and
		// close_notify behind it.
		switch sent := c.write == ended && c.Buffered() == 0; {
		case errors.As(err, &op) && op.Op != "read" || errors.Is(err, reactor.ErrBufferFull):
			return err
		case sent:
			return c.reason
		case err == io.EOF || err == reactor.ErrClosed:
			return c.errorf("close", ErrTruncated)
		}
		return err
	case err == io.EOF && c.handshake != nil:
		return c.errorf("handshake", errCut)
	case err == io.EOF && c.read != ended:
		return c.errorf("read", ErrTruncated)
	case c.handshake != nil && errors.As(err, &op):
		return c.errorf("handshake", err)
	}
	return err
}
