package websocket

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Conn is a WebSocket: the transport of a protocol that a Server's inner factory has made. It belongs to the loop's goroutine; only Reactor, Local and Remote may be called from any.
//
// Each call of DataReceived has one message of the peer, unless the protocol is a [Receiver]. Each Write sends one. Messages of the peer that are not UTF-8
// although they say that they are text end the connection with code 1007.
//
// ConnectionLost is told a [*CloseError], which may be io.EOF, if the peer has ended by a close frame; reactor.ErrClosed after our Close and CloseWith, and reactor.ErrAborted after Abort; a
// *reactor.OpError that is ErrTooBig, ErrTooSlow, ErrSilent, ErrUnfinished, ErrProtocol or ErrNoClose; and else the reason for which the transport below was lost (NETCONN-19).
type Conn struct {
	s        *Server
	l        *onLoop
	t        reactor.Connection // below
	inner    reactor.Protocol   // above; nil before the request was accepted, and after the loss
	producer reactor.Producer   // of the application
	in       *input             // what is kept of input; nil: nothing
	asking   *asking            // what has come of the request; nil: it was accepted
	closing  *closing           // from our Close on
	reason   error              // for ConnectionLost; nil: that of the transport below

	links   linked.Links[Conn] // in onLoop.open
	since   time.Duration      // when the peer was heard, or else was sent a ping
	ponged  time.Duration      // when a ping was last answered
	ping    *latePong          // waits for its answer; nil: none does
	state   state
	silence silence
	paused  bool // by the protocol above
	full    bool // the transport below has paused the producer
	late    bool // goOn is about to be called
	failed  bool // the transport below can send no more; what it has received is still delivered
}

// silence is what is known of a peer from which nothing has come.
type silence uint8

const (
	heard  silence = iota // no ping was sent since it was heard
	pinged                // a ping was sent
	spared                // a ping was sent, and since then the protocol above had paused: there may be an answer that is not read yet
)

// state of a Conn goes down this list.
type state uint8

const (
	opening state = iota // the request has not been accepted
	open
	ending // Close was called: messages are dropped until the peer's close frame comes
	over   // the transport below was closed or aborted
)

// closing is what a Conn remembers between our Close and the end.
type closing struct {
	code   uint16
	reason string
	waits  bool   // for the producer; the close frame was not sent
	sent   uint64 // by the transport below, while it waits: when that was last looked at
	limit  reactor.DelayedCall
}

var (
	_ reactor.Connection   = (*Conn)(nil)
	_ reactor.Vectored     = (*Conn)(nil)
	_ reactor.SharedWriter = (*Conn)(nil)
	_ reactor.FileSender   = (*Conn)(nil)
	_ reactor.Switcher     = (*Conn)(nil)
)

// Unwrap is the transport below. To write to it is to break the stream of frames.
func (c *Conn) Unwrap() reactor.Transport { return c.t }

// Protocol is the protocol above, wrapped, so that a reactor.Drain that has no Drainer there closes the WebSocket with code 1001.
func (c *Conn) Protocol() reactor.Protocol { return (*guest)(c) }

// Local is our address, and Remote the peer's.
func (c *Conn) Local() kernel.Addr { return c.t.Local() }

// Remote is the peer's address. Behind a proxy it is that of the proxy.
func (c *Conn) Remote() kernel.Addr { return c.t.Remote() }

// Reactor is the loop of the connection.
func (c *Conn) Reactor() *reactor.Reactor { return c.t.Reactor() }

// Buffered is how many bytes were written and not sent, with the heads of frames.
func (c *Conn) Buffered() int { return c.t.Buffered() }

// Write sends p as a message, text unless Options.Binary is set. The errors are those of a transport's Write, and ErrTooSlow.
func (c *Conn) Write(p []byte) (int, error) { return c.write(c.kind(), p) }

// Send sends m as a message. Else it is as Write. It keeps nothing of m.
func (c *Conn) Send(m Message) error {
	op := ws.OpText
	if m.Binary {
		op = ws.OpBinary
	}
	_, err := c.write(op, m.Data)
	return err
}

// WriteVec sends all bufs as one message. Else it is as Write.
func (c *Conn) WriteVec(bufs [][]byte) (n int, err error) {
	if err := c.refusal(); err != nil {
		return 0, err
	}
	for _, p := range bufs {
		n += len(p)
	}
	b := appendHead(c.l.out[:0], c.kind(), n)
	for _, p := range bufs {
		b = append(b, p...)
	}
	if err := c.put(b); err != nil {
		return 0, err
	}
	return n, nil
}

// sharedFrom is from how many bytes on WriteShared keeps a slice instead of a copy.
const sharedFrom = 4 << 10

// WriteShared is Write of a message that others get too, as reactor.SharedWriter says.
func (c *Conn) WriteShared(p []byte) (int, error) {
	if len(p) < sharedFrom {
		return c.Write(p)
	}
	if err := c.refusal(); err != nil {
		return 0, err
	}
	if c.l.between.has(c) {
		return c.write(c.kind(), p)
	}
	c.l.between.begin(c)
	defer c.l.between.end()
	if err := c.send(appendHead(c.l.out[:0], c.kind(), len(p))); err != nil {
		return 0, err
	}
	return reactor.WriteShared(c.t, p)
}

// SendFile is always kernel.ErrMustRead: what is sent are frames.
func (c *Conn) SendFile(kernel.FileRange) (int, error) { return 0, kernel.ErrMustRead }

func (c *Conn) kind() ws.OpCode {
	if c.s.o.Binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// write sends a message of the application.
func (c *Conn) write(op ws.OpCode, p []byte) (int, error) {
	if err := c.refusal(); err != nil {
		return 0, err
	}
	if err := c.put(append(appendHead(c.l.out[:0], op, len(p)), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// refusal is why nothing can be written now. It aborts a connection whose peer reads too slowly.
func (c *Conn) refusal() error {
	switch {
	case !c.speaks():
		return reactor.ErrClosed
	case c.t.Buffered() > c.s.o.MaxUnsent:
		c.abort("write", fmt.Errorf("%w: %d bytes are unsent", ErrTooSlow, c.t.Buffered()))
		return c.reason
	}
	return nil
}

// speaks tells whether our close frame is still to come.
func (c *Conn) speaks() bool { return c.state == open || c.state == ending && c.closing.waits }

// put gives frames, which stand in l.out, to the transport.
func (c *Conn) put(frames []byte) error {
	if c.l.between.keep(c, frames) {
		return nil
	}
	return c.send(frames)
}

// send is put of frames that need not wait. Meanwhile nobody else has their memory: a producer that is paused may write to any WebSocket.
func (c *Conn) send(frames []byte) error {
	c.l.out = nil
	_, err := c.t.Write(frames)
	if cap(frames) <= scratch {
		c.l.out = frames[:0]
	}
	return err
}

// scratch is the greatest capacity in bytes of a slice that is kept for the next message.
const scratch = 64 << 10

// appendHead appends the head of a frame of the server, with n bytes, which is a whole message.
func appendHead(b []byte, op ws.OpCode, n int) []byte {
	b = append(b, 0x80|byte(op))
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
}

// control sends a control frame.
func (c *Conn) control(op ws.OpCode, p []byte) {
	_ = c.put(append(appendHead(c.l.out[:0], op, len(p)), p...)) // ConnectionLost has the error
}

// PauseProducing has no message delivered until ResumeProducing.
func (c *Conn) PauseProducing() {
	c.paused = true
	if c.state == open {
		c.t.PauseProducing()
	}
}

// ResumeProducing has messages delivered again, first those that have come already; never inside this call.
func (c *Conn) ResumeProducing() {
	if !c.paused {
		return
	}
	c.paused = false
	if c.silence == pinged {
		c.silence = spared
	}
	if c.in != nil && c.in.limit.Active() {
		c.in.limit.Reset(c.s.o.MessageTimeout) // the rest may have come, and is not read yet
	}
	switch {
	case c.state != open:
	case len(c.in.kept()) == 0:
		c.t.ResumeProducing()
	default:
		c.soon()
	}
}

// soon has goOn called.
func (c *Conn) soon() {
	if !c.late {
		c.late = true
		c.Reactor().CallLater(0, c.goOn)
	}
}

// goOn takes what has come while the protocol above has paused.
func (c *Conn) goOn() {
	c.late = false
	if c.state != ending && (c.state != open || c.paused) {
		return
	}
	c.guarded(func() { c.received(nil) })
	if c.state == open && !c.paused {
		c.t.ResumeProducing()
	}
}

// guarded makes callbacks of the protocol above outside of those of the transport below. A panic ends the connection.
func (c *Conn) guarded(fn func()) {
	if e := c.Reactor().Guard(c.inner, fn); e != nil {
		c.reason = e
		c.Abort()
	}
}

// StopProducing is Close (PROD-11). If the transport below can send no more, it is ResumeProducing: the connection ends by itself when what came before
// was delivered (TCP-67).
func (c *Conn) StopProducing() {
	if c.failed {
		c.ResumeProducing()
		return
	}
	_ = c.Close()
}

// Producing tells whether messages may still be delivered (PROD-11).
func (c *Conn) Producing() bool { return c.state <= open }

// RegisterProducer makes p the producer of messages, as reactor.Consumer says.
func (c *Conn) RegisterProducer(p reactor.Producer) error {
	if c.state != open {
		p.StopProducing()
		return nil
	}
	former := c.producer
	c.producer = p // before, because p may be paused inside, and unregister then
	if err := c.t.RegisterProducer((*source)(c)); err != nil {
		c.producer = former
		return err
	}
	return nil
}

// UnregisterProducer removes the producer. A Close that waited for it goes on.
func (c *Conn) UnregisterProducer() {
	c.producer, c.full = nil, false
	c.t.UnregisterProducer()
	c.produced()
}

// SwitchProtocol exchanges the protocol above, as reactor.Switcher says. The WebSocket stays.
func (c *Conn) SwitchProtocol(p reactor.Protocol) (was reactor.Switched, err error) {
	if c.state != open {
		return was, reactor.ErrClosed
	}
	was = reactor.Switched{Protocol: c.inner, Producer: c.producer, ProducerPaused: c.producer != nil && c.full, Paused: c.paused}
	c.UnregisterProducer()
	c.inner = p
	c.ResumeProducing()
	return was, nil
}
