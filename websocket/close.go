package websocket

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/reactor"
)

// Close is CloseWith, with code 1000. The error is always nil.
func (c *Conn) Close() error { return c.CloseWith(CodeNormal, "") }

// CloseWith delivers no further message, waits for a registered producer as long as more may come of it and the peer takes it, and sends a close frame behind what was written. The connection ends when the peer has
// answered with its own, or after Options.CloseTimeout. ConnectionLost(ErrClosed) is called later, never inside CloseWith. A second call does nothing.
//
// reason is for people, and is cut to 123 bytes of valid UTF-8. The codes that may be sent are 1000 to 1003, 1007 to 1014 and 3000 to 4999. With another one CloseWith does nothing and
// returns an error that is ErrProtocol.
func (c *Conn) CloseWith(code uint16, reason string) error {
	if err := sendable(code); err != nil {
		return err
	}
	switch c.state {
	case opening:
		c.end() // nobody has been told of it
		return nil
	case ending: // what it waits for may be over, such as a producer that is lost
		c.produced()
		return nil
	case over:
		return nil
	}
	c.state = ending
	c.closing = &closing{code: code, reason: short(reason), waits: c.produces()}
	c.leave()
	c.t.ResumeProducing() // the peer's close frame is awaited, whether the protocol above reads or not
	if len(c.in.kept()) > 0 {
		c.soon() // it may have come already
	}
	if !c.closing.waits {
		c.sendClose()
	} else {
		c.limitProducer()
	}
	return nil
}

// limitProducer ends a Close that waits for a producer, if the peer takes nothing of what is unsent for as long as the transport below would give it. A peer that
// reads nothing is not silent if it sends something now and then, and would keep the connection for ever.
func (c *Conn) limitProducer() {
	x := c.closing
	s, ok := reactor.As[*reactor.Stream](c.t)
	if !ok {
		return
	}
	period := s.Config().CloseTimeout
	if period <= 0 {
		return
	}
	x.sent = s.Stats().Sent
	x.limit.Init(c.Reactor(), func() {
		if now := s.Stats(); now.Sent == x.sent && now.Buffered > 0 {
			c.abort("close", reactor.ErrCloseTimeout)
		} else {
			x.sent = now.Sent
			x.limit.Reset(period)
		}
	})
	x.limit.Reset(period)
}

// sendable tells whether a close frame may have code.
func sendable(code uint16) error {
	if code >= 1012 && code <= 1014 { // newer than RFC 6455: IANA's registry has them
		return nil
	}
	if code < 1000 || code >= 5000 || ws.CheckCloseFrameData(ws.StatusCode(code), "") != nil {
		return fmt.Errorf("websocket: a close frame cannot have the code %d: %w", code, ErrProtocol)
	}
	return nil
}

// maxReason is how long the reason of a close frame may be.
const maxReason = ws.MaxControlFramePayloadSize - 2

// short is text as a close frame may have it.
func short(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= maxReason {
		return text
	}
	n := maxReason
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// sendClose sends our close frame, and waits for the peer's.
func (c *Conn) sendClose() {
	x := c.closing
	x.waits = false
	x.limit.Cancel()
	c.l.remove(c)
	c.control(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(x.code), x.reason))
	x.limit.Init(c.Reactor(), c.end)
	x.limit.Reset(c.s.o.CloseTimeout)
}

// Abort drops what is unsent and resets the connection, without a close frame.
func (c *Conn) Abort() {
	if c.state < over {
		c.state = over
		c.leave()
	}
	c.t.Abort()
}

// abort is Abort for a reason of ours.
func (c *Conn) abort(op string, err error) {
	c.reason = c.opError(op, err)
	c.Abort()
}

// CloseWrite fails with errors.ErrUnsupported: the directions of a WebSocket do not end one by one.
func (c *Conn) CloseWrite() error { return errors.ErrUnsupported }

// HalfCloses is false. A netconn.Conn, whose CloseWrite does not wait for the loop, asks for it beforehand.
func (c *Conn) HalfCloses() bool { return false }

// end closes the transport below, when what was written is sent. That is an end in order also if the producer has more: a close frame has been sent, whose code
// tells the peer which end it is, and each message that was sent is whole.
func (c *Conn) end() {
	if c.state == over {
		return
	}
	c.state = over
	c.leave()
	if p := c.producer; p != nil { // it would keep the connection open
		c.producer = nil
		c.t.UnregisterProducer()
		p.StopProducing()
	}
	_ = c.t.Close()
}

// leave forgets what only an open connection needs.
func (c *Conn) leave() {
	if !c.speaks() { // a silent peer must not keep a producer for ever
		c.l.remove(c)
	}
	if c.state != over { // the peer's close frame is awaited, behind the frame that has come in part
		c.dropMessage()
		return
	}
	c.drop()
	c.dropPong()
	switch {
	case c.asking != nil:
		c.asking.limit.Cancel()
		c.asking.head = nil
	case c.closing != nil:
		c.closing.limit.Cancel()
	}
}

// fail ends the connection because of what the peer has sent, and tells it so.
func (c *Conn) fail(code uint16, err error) {
	if c.state == open {
		c.reason = c.opError("read", err)
		c.control(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), short(err.Error())))
	}
	c.end()
}

func (c *Conn) opError(op string, err error) error {
	return &reactor.OpError{Op: op, Local: c.t.Local(), Remote: c.t.Remote(), Err: err}
}

// closeReceived answers the peer's close frame.
func (c *Conn) closeReceived(p []byte) {
	if c.state == ending { // it is the answer to ours, or has crossed it
		if c.closing.waits { // for a producer, whose messages the peer wants no more
			c.sendClose()
		}
		c.end()
		return
	}
	x := &CloseError{Code: CodeNone}
	if len(p) > 0 {
		code, text := ws.ParseCloseFrameData(p)
		x.Code, x.Reason = uint16(code), text
		switch {
		case len(p) == 1 || sendable(x.Code) != nil:
			c.fail(CodeProtocol, fmt.Errorf("%w: a close frame with a bad code", ErrProtocol))
			return
		case !utf8.ValidString(text):
			c.fail(CodeInvalid, fmt.Errorf("%w: a close frame whose reason is not UTF-8", ErrProtocol))
			return
		}
		p = p[:2]
	}
	c.reason = x
	c.control(ws.OpClose, p)
	c.end()
}

// reasonFor is what ConnectionLost of the protocol above is told when that of the transport below is told err.
func (c *Conn) reasonFor(err error) error {
	switch {
	case c.reason != nil:
		return c.reason
	case err != io.EOF:
		return err
	case c.closing != nil && !c.closing.waits:
		return reactor.ErrClosed // everything was sent
	}
	return c.opError("read", ErrNoClose)
}
