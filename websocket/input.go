package websocket

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/reactor"
)

// input is what a Conn keeps of input. Between messages it has none.
type input struct {
	rest  []byte    // the beginning of a frame; behind a pause, whole frames too
	at    int       // so many bytes of rest were taken
	taken int       // while frames are taken: at, with the frame that is taken now
	msg   []byte    // of the message whose first fragments have come
	op    ws.OpCode // of that message; 0: there is none
	held  int       // bytes of both, as l.held counts them

	limit reactor.DelayedCall // of that message
}

// kept are the bytes that were not taken. in may be nil.
func (in *input) kept() []byte {
	if in == nil {
		return nil
	}
	return in.rest[in.at:]
}

// received takes frames. What has not come whole is kept.
func (c *Conn) received(p []byte) {
	var from *input // p is the end of its rest
	if len(c.in.kept()) > 0 {
		from = c.in
		from.rest = append(from.rest, p...)
		p = from.kept()
	}
	for len(p) > 0 && (c.state == open && !c.paused || c.state == ending) {
		n := c.frame(p)
		if n == 0 {
			break
		}
		p = p[n:]
	}
	c.keep(p, from)
}

// keep keeps p, which is the end of what from keeps already, or is lent if from is nil. It copies no more than was taken or is new: a message
// may come byte by byte, and messages may be taken one by one.
func (c *Conn) keep(p []byte, from *input) {
	if c.state == over {
		c.drop()
		return
	}
	if c.in == nil {
		if len(p) == 0 {
			return
		}
		c.in = new(input)
	}
	if in := c.in; in != from || len(p) <= len(in.rest)/2 {
		in.rest, in.at = append([]byte(nil), p...), 0 // the old memory may be much longer than what l.held counts
	} else {
		in.at = len(in.rest) - len(p)
	}
	c.in.taken = 0 // what stays in memory counts, also if it was taken
	if len(c.in.rest) == 0 && c.in.op == 0 {
		c.drop()
		return
	}
	c.count()
}

// count has l.held follow what c keeps, and ends the connection if that is too much.
func (c *Conn) count() {
	if c.recount(); c.l.held > c.s.o.MaxPartial {
		c.fail(CodeTryLater, fmt.Errorf("%w: all peers together have sent more than %d bytes of messages that are not whole", ErrTooBig, c.s.o.MaxPartial))
	}
}

// recount has l.held follow what c keeps.
func (c *Conn) recount() {
	in := c.in
	held := len(in.rest) - in.taken + len(in.msg)
	c.l.held += held - in.held
	in.held = held
}

// dropMessage forgets the fragments of a message that will not be delivered. The rest of the stream of frames is still needed.
func (c *Conn) dropMessage() {
	if c.in != nil {
		c.in.limit.Cancel()
		c.in.msg, c.in.op = nil, 0
		c.recount()
	}
}

// drop forgets what is kept.
func (c *Conn) drop() {
	if c.in != nil {
		c.in.limit.Cancel()
		c.l.held -= c.in.held
		c.in = nil
	}
}

// frame takes the frame at the beginning of p, and returns its length, or 0 if it has not come whole or has ended the connection.
func (c *Conn) frame(p []byte) int {
	in := &c.l.head
	in.Reset(p)
	h, err := ws.ReadHeader(in)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return 0
	case err == nil && c.state == open: // after our close frame the peer is only waited for
		err = ws.CheckHeader(h, c.expects())
	}
	if err != nil {
		c.fail(CodeProtocol, fmt.Errorf("%w: %w", ErrProtocol, err))
		return 0
	}
	begun := 0
	if c.in != nil && !h.OpCode.IsControl() {
		begun = len(c.in.msg)
	}
	limit := int64(c.s.o.MaxMessage - begun)
	if h.OpCode.IsControl() {
		limit = ws.MaxControlFramePayloadSize // CheckHeader has said so before our close frame
	}
	if h.Length > limit {
		c.fail(CodeTooBig, fmt.Errorf("%w: more than %d bytes", ErrTooBig, c.s.o.MaxMessage))
		return 0
	}
	if h.Length > int64(in.Len()) {
		return 0
	}
	head := len(p) - in.Len()
	n := head + int(h.Length)
	c.l.heard(c)
	payload := append(c.l.in[:0], p[head:n]...) // p is lent, and not to be changed
	if c.l.in = payload; cap(payload) > scratch {
		c.l.in = nil
	}
	ws.Cipher(payload, h.Mask, 0)
	if kept := c.in; kept != nil && len(kept.rest) > 0 { // then p is its end
		kept.taken = len(kept.rest) - len(p) + n // a message counts once, so no longer as a part of rest
		c.recount()
	}
	c.take(h, payload)
	if c.state == over {
		return 0
	}
	return n
}

// expects is what frames may come.
func (c *Conn) expects() ws.State {
	s := ws.StateServerSide
	if c.in != nil && c.in.op != 0 {
		s = s.Set(ws.StateFragmented)
	}
	return s
}

// take takes a frame that has come whole.
func (c *Conn) take(h ws.Header, p []byte) {
	switch {
	case h.OpCode == ws.OpClose:
		c.closeReceived(p)
	case h.OpCode == ws.OpPing:
		c.pong(p)
	case h.OpCode == ws.OpPong || c.state == ending:
	case h.OpCode != ws.OpContinuation && h.Fin:
		c.deliver(h.OpCode, p)
	default:
		c.fragment(h, p)
	}
}

// fragment gathers the message of which p is a fragment.
func (c *Conn) fragment(h ws.Header, p []byte) {
	if c.in == nil {
		c.in = new(input)
	}
	in := c.in
	if h.OpCode != ws.OpContinuation {
		in.op = h.OpCode
		if d := c.s.o.MessageTimeout; d > 0 {
			in.limit.Init(c.Reactor(), c.unfinished)
			in.limit.Reset(d)
		}
	}
	in.msg = append(in.msg, p...)
	c.count()
	if !h.Fin || c.state == over {
		return
	}
	msg, op := in.msg, in.op
	in.limit.Cancel()
	in.msg, in.op = nil, 0
	c.count()
	c.deliver(op, msg)
}

// unfinished ends a connection whose message in fragments has taken too long. If the protocol above has paused, the rest may have come.
func (c *Conn) unfinished() {
	if d := c.s.o.MessageTimeout; c.paused {
		c.in.limit.Reset(d)
	} else {
		c.fail(CodePolicy, fmt.Errorf("%w: it has taken %v", ErrUnfinished, d))
	}
}

// deliver gives a message to the protocol above.
func (c *Conn) deliver(op ws.OpCode, p []byte) {
	if op == ws.OpText && !utf8.Valid(p) {
		c.fail(CodeInvalid, fmt.Errorf("%w: a text message that is not UTF-8", ErrProtocol))
		return
	}
	if _, ok := reactor.ProtocolAs[Receiver](c.inner); ok {
		hand(c.inner, Message{p, op == ws.OpBinary})
	} else if len(p) > 0 {
		c.inner.DataReceived(p)
	}
}
