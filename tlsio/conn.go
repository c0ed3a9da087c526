package tlsio

import (
	"crypto/tls"
	"reflect"
	"runtime/debug"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// The state of a connection is its life, its two directions, and a set of reasons to
// hold back. A life goes down this table, and may skip rows:
//
//	life         entered by                                    the protocol may
//	unattached   BuildProtocol, StartServer, StartClient       nothing: it has no transport
//	handshaking  the transport below: ConnectionMade           write (it is kept), pause, close
//	open         the handshake, which hands over               do everything
//	closing      Close; the peer's close_notify                nothing; its producer may still write
//	awaiting     everything is sent, and our close_notify      nothing
//	finishing    the peer's close_notify; Abort; any error     nothing
//	lost         the transport below: ConnectionLost           nothing
//
// Something waits as long as there is one of its reasons:
//
//	reason       what waits    from                                      until
//	holdApp      input         PauseProducing                            ResumeProducing, or Close
//	holdAnswers  input         reading made us write much, and holdFull  the transport below has sent
//	holdAhead    input         much has come while a handshake computes, a step has taken it
//	                           or the transport below has failed then
//	holdKept     below         drain has left input                      it was read
//	holdFull     the producer  the transport below is full               it has sent, or nobody asks any more
//	holdQueue    the producer  much was written before open              open
//	holdRecords  ciphertext    another record can be read                it was read
//	holdBatch    ciphertext    a write becomes several records           its last record
//
// Input and below both pause the transport below. What was left in Conn.in waits with the
// input, and is read before the transport below goes on. So no more is kept than one read
// of it. A handshake needs input, so holdApp begins to count when the connection is open. The
// producer sees pauses and resumes alternate, whatever the reasons (TLS-31). Ciphertext is
// gathered in Conn.out.

// life is where a connection is between its making and its end.
type life uint8

const (
	unattached life = iota
	handshaking
	open
	closing
	awaiting
	finishing
	lost
)

// side is the state of one direction.
type side uint8

const (
	on     side = iota
	ending      // reading: the transport below has ended, what it gave is still to be read; writing: CloseWrite was called
	ended       // by close_notify
	failed      // writing: the transport below can send no more; what it has received is still read
)

// hold is a set of reasons to hold back.
type hold uint8

const (
	holdApp hold = 1 << iota
	holdAnswers
	holdAhead
	holdFull
	holdQueue
	holdRecords
	holdBatch
	holdKept

	holdsInput    = holdApp | holdAnswers | holdAhead
	holdsProducer = holdFull | holdQueue
	holdsOutput   = holdRecords | holdBatch
)

// Conn is a connection protected by TLS: a transport to the protocol above it, on
// the transport below it. It belongs to the loop's goroutine. It can do all that a
// reactor.Stream can. What it does not change, reactor.As finds below it (TLS-7).
//
// Writing and closing are allowed from ConnectionMade on, which comes before the
// handshake. What is written there is sent after it, protected (TLS-3, TLS-9). The
// protocol may be a [HandshakeListener], and a reactor.HalfCloseListener, for which
// the end of a direction is a close_notify.
//
// ConnectionLost is told io.EOF when the peer ended with close_notify,
// reactor.ErrClosed when we closed, reactor.ErrAborted after Abort and after a Close
// before the handshake was over with nothing to be sent (TLS-21), an [*Error] for
// what TLS has found wrong, and else the reason for which the transport below was lost.
type Conn struct {
	inner reactor.Transport
	proto reactor.Protocol
	l     *loop

	handshake *handshake // until it hands over
	tls       *tls.Conn  // the handshake's until then, and so is in
	in        input
	plain     []byte // to become one record; before open, all that was written
	out       []byte // ciphertext that is held back

	producer   reactor.Producer
	reason     error // why it ends
	closeLimit *closeLimit
	answered   int32 // bytes that reading has made us write, since it was last looked at
	share      int32 // what is left for the drain in progress, see drainShare

	life     life
	read     side
	write    side
	holds    hold
	inside   uint8    // callbacks in progress that settle when they return
	activity activity // for the loop, which shrinks idle connections
	dirty    bool     // stands in loop.dirty
	retired  bool     // a layer has the connection, by another transport
	watching bool     // throttle is the producer of the transport below
	locked   bool     // a call of crypto/tls is in progress, which no other may interrupt
}

var (
	_ reactor.Connection   = (*Conn)(nil)
	_ reactor.HalfCloser   = (*Conn)(nil)
	_ reactor.Producer     = (*Conn)(nil)
	_ reactor.Consumer     = (*Conn)(nil)
	_ reactor.Vectored     = (*Conn)(nil)
	_ reactor.SharedWriter = (*Conn)(nil)
	_ reactor.FileSender   = (*Conn)(nil)
	_ reactor.Switcher     = (*Conn)(nil)
	_ reactor.Retirer      = (*Conn)(nil)
)

// HandshakeListener is implemented by a protocol that wants to hear when its connection
// is protected: once, after ConnectionMade and before any DataReceived, and never if
// verification failed (TLS-4, TLS-43). It is found behind wrappers (TLS-5).
type HandshakeListener interface {
	HandshakeCompleted(tls.ConnectionState)
}

// guests is the check of the protocols above, one for each reactor: whether their
// HandshakeCompleted is that of a HandshakeListener.
type guests struct{ reactor.MethodCheck }

func newGuests() *guests {
	return &guests{reactor.MethodCheck{Optional: func() []reactor.OptionalMethod {
		return []reactor.OptionalMethod{{
			Interface: "tlsio.HandshakeListener",
			Name:      "HandshakeCompleted",
			Find:      func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("HandshakeCompleted") },
			Want:      reflect.TypeFor[func(tls.ConnectionState)](),
		}}
	}}}
}

// checkGuest warns if the protocol above, or one that it wraps, has a HandshakeCompleted that
// nobody calls.
func (c *Conn) checkGuest() {
	g := reactor.Shared(c.Reactor(), newGuests)
	for p := range kernel.Layers(c.proto) {
		g.Check(c.Reactor(), p)
	}
}

// ConnectionState is what the handshake has agreed on: version, ALPN protocol, the
// peer's certificates. Until the handshake is over it is the zero value (TLS-6, TLS-50).
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

// become is the one place where the life changes. It never goes back.
func (c *Conn) become(l life) { c.life = max(c.life, l) }

// hold adds a reason for the input or the producer to wait.
func (c *Conn) hold(h hold) {
	first := c.holds&holdsProducer == 0
	c.holds |= h
	if h&holdsProducer != 0 && first && c.producer != nil && !c.pauseWaits() {
		c.producer.PauseProducing()
	}
	if h&holdKept != 0 || h&holdsInput != 0 && c.inputHeld() {
		c.pauseBelow()
	}
}

// release takes such a reason away.
func (c *Conn) release(h hold) {
	gone := c.holds & h
	c.holds &^= h
	if gone&holdsProducer != 0 && c.holds&holdsProducer == 0 && c.producer != nil {
		c.producer.ResumeProducing()
	}
	if gone&(holdsInput|holdKept) != 0 {
		c.resumeInput()
	}
}

func (c *Conn) inputHeld() bool {
	h := c.holds & holdsInput
	if c.handshake != nil || c.life > open {
		h &^= holdApp
	}
	return h != 0
}

func (c *Conn) producerHeld() bool { return c.holds&holdsProducer != 0 }

func (c *Conn) outputHeld() bool { return c.holds&holdsOutput != 0 }

// enter and leave stand around callbacks of the transport below. What was asked for
// meanwhile is carried out by the last leave.
func (c *Conn) enter() { c.inside++ }

func (c *Conn) leave() {
	c.inside--
	if c.inside == 0 {
		c.settle()
		if c.mayDrain() { // reading was resumed in a callback, or drain has used up its share
			c.settleLater()
		}
	}
}

// settleLater has c settled, when the callback in progress returns or in the next turn.
func (c *Conn) settleLater() {
	if c.inside == 0 && !c.dirty && c.life != lost {
		c.dirty = true
		c.l.settleLater(c)
	}
}

// advance carries out in the next turn what settleLater asked for.
func (c *Conn) advance() {
	c.enter()
	if c.mayDrain() {
		c.drain(false)
	}
	c.leave()
}

// guarded makes callbacks outside of those of the transport below. A panic in them
// ends this connection; the reactor logs it.
func (c *Conn) guarded(fn func()) {
	depth := c.inside
	defer func() {
		if v := recover(); v != nil {
			c.inside = depth
			c.end(&reactor.PanicError{Value: v, Stack: debug.Stack(), In: reactor.LogPrefixOf(c.proto)}, true)
			panic(v)
		}
	}()
	fn()
}
