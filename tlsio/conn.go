package tlsio

import (
	"crypto/tls"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Conn is a connection protected by TLS: a transport to the protocol above it, on
// the transport below it. It belongs to the loop's goroutine. It can do all that a
// reactor.Stream can, and what it has not changed, reactor.As finds below it (TLS-7).
//
// Writing and closing are allowed from ConnectionMade on, which comes before the
// handshake; what is written there travels behind it, protected (TLS-3, TLS-9). The
// protocol may be a [HandshakeListener], and a reactor.HalfCloseListener, for which
// an end of a direction is a close_notify.
//
// ConnectionLost is told io.EOF when the peer ended with close_notify,
// reactor.ErrClosed when we closed, reactor.ErrAborted after Abort and after a Close
// before the handshake was over with nothing to be sent (TLS-21), an [*Error] for
// what TLS has found wrong, and else what the transport below was lost for.
type Conn struct {
	inner reactor.Transport
	proto reactor.Protocol
	l     *loop

	handshake *handshake // until it hands over
	tls       *tls.Conn  // the handshake's until then, and so is in
	in        input
	pend      []byte // plaintext to become one record; in a handshake, all of it
	out       []byte // ciphertext of a write in progress that is longer than a record

	answered int32 // bytes that reading has made us write, since it was last looked at
	producer reactor.Producer
	reason   error // why it ends
	limit    *reactor.DelayedCall
	unsent   int // below, when limit was set

	life      life
	read      side
	write     side
	inside    uint8 // callbacks in progress that settle when they return
	borrowed  bool  // in.data is lent by the transport below
	resumed   bool  // reading may go on with what was kept
	eof       bool  // the transport below has ended, without close_notify
	high      bool  // the transport below has more than enough to send
	held      bool  // producer was paused by us
	tied      bool  // throttle is the producer of the transport below
	throttled bool  // below was paused because of answered
	reading   bool  // in tls.Read
	gathering bool  // wire's writes go to out
	dirty     bool  // stands in loop.dirty
	fresh     bool  // used since the last sweep
	listed    bool  // stands in loop.active
}

// life is where a connection is between ConnectionMade and its end.
type life uint8

const (
	unborn    life = iota
	shaking        // the handshake goes on
	open           // protected
	closing        // Close was called, or the peer has ended: close_notify comes when all is sent
	awaiting       // close_notify was sent: the peer's is to come
	finishing      // the transport below was told to end
	lost
)

// side is one direction.
type side uint8

const (
	on       side = iota
	paused        // reading only
	stopping      // writing only: CloseWrite was called
	ended         // by close_notify
)

var (
	_ reactor.Transport  = (*Conn)(nil)
	_ reactor.HalfCloser = (*Conn)(nil)
	_ reactor.Producer   = (*Conn)(nil)
	_ reactor.Consumer   = (*Conn)(nil)
	_ reactor.Vectored   = (*Conn)(nil)
	_ reactor.Switcher   = (*Conn)(nil)
)

// HandshakeListener is what a protocol may also be, to hear when its connection is
// protected: once, after ConnectionMade and before any DataReceived, and never if
// verification failed (TLS-4, TLS-43). It is found behind wrappers (TLS-5).
type HandshakeListener interface {
	HandshakeCompleted(tls.ConnectionState)
}

// ConnectionState is what the handshake has agreed on: version, ALPN protocol, the
// peer's certificates. Until it is over it is the zero value (TLS-6, TLS-50).
func (c *Conn) ConnectionState() tls.ConnectionState {
	if c.tls == nil {
		return tls.ConnectionState{}
	}
	return c.tls.ConnectionState()
}

// Unwrap is the transport below.
func (c *Conn) Unwrap() reactor.Transport { return c.inner }

// Local is our address, which is that of the transport below (TLS-8).
func (c *Conn) Local() kernel.Addr { return c.inner.Local() }

// Remote is the peer's address, which is that of the transport below (TLS-8).
func (c *Conn) Remote() kernel.Addr { return c.inner.Remote() }

// Reactor is the loop the connection lives on.
func (c *Conn) Reactor() *reactor.Reactor { return c.inner.Reactor() }

// Protocol is the protocol above, nil after ConnectionLost.
func (c *Conn) Protocol() reactor.Protocol {
	if c.life == lost {
		return nil
	}
	return c.proto
}

// enter and leave stand around callbacks of the transport below. What was asked for
// meanwhile is carried out by the last leave.
func (c *Conn) enter() { c.inside++ }

func (c *Conn) leave() {
	c.inside--
	if c.inside == 0 {
		c.settle()
		if c.resumed {
			c.touch()
		}
	}
}

// touch has c settled, when the callback in progress returns or in the next turn.
func (c *Conn) touch() {
	if c.inside == 0 && !c.dirty && c.life != lost {
		c.dirty = true
		c.l.touch(c)
	}
}

// guarded makes callbacks outside of those of the transport below. A panic in them
// ends this connection; the reactor logs it.
func (c *Conn) guarded(fn func()) {
	depth := c.inside
	defer func() {
		if v := recover(); v != nil {
			c.inside = depth
			c.end(&reactor.PanicError{Value: v, Stack: debug.Stack(), In: fmt.Sprintf("%T", c.proto)}, true)
			panic(v)
		}
	}()
	fn()
}

// advance is what touch asks for: reading may go on, and settle.
func (c *Conn) advance() {
	c.enter()
	if c.resumed {
		c.resumed = false
		c.drain()
	}
	c.leave()
}

// settle carries out what was asked for.
func (c *Conn) settle() {
	if c.life != open && c.life != closing {
		return
	}
	c.flush()
	if c.producer != nil && c.reason != io.EOF {
		return // a Close of ours waits for it (TLS-20)
	}
	switch {
	case c.life == closing:
		c.notify()
		c.afterNotify()
	case c.life == open && c.write == stopping:
		c.notify()
		if h, ok := reactor.ProtocolAs[reactor.HalfCloseListener](c.proto); ok {
			c.enter()
			h.WriteConnectionLost()
			c.leave()
		}
	}
}
