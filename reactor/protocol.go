package reactor

import (
	"io"
	"iter"

	"github.com/whorl-go/whorl/kernel"
)

// Protocol is the application's end of one connection. The reactor calls its
// methods on the loop's goroutine, never two at a time, in this order:
// ConnectionMade once, DataReceived any number of times, ConnectionLost once
// (PROTO-1, X-1). A panic in one of them ends this connection, with a
// [PanicError], and no other.
type Protocol interface {
	// ConnectionMade is called first and once. t stays the same as long as the connection
	// lasts. Writing, pausing and closing are allowed here (TCP-61).
	ConnectionMade(t Transport)

	// DataReceived gets bytes that have arrived, at least one. p belongs to the transport
	// again when DataReceived returns, so a protocol copies what it keeps. The bytes of a
	// stream may be divided into calls in any way.
	DataReceived(p []byte)

	// ConnectionLost is called last and once. err is never nil. It is io.EOF if the peer
	// ended the connection and everything that was written has been sent, [ErrClosed] after
	// Close, [ErrAborted] after Abort, an error that is [ErrBufferFull] if too much was written,
	// [ErrStopped] if the reactor stopped, [ErrCloseTimeout] in an OpError if the end made
	// no progress, a [*PanicError] if a callback panicked, and an [*OpError] if an operation
	// failed. The transport takes no more writes.
	ConnectionLost(err error)
}

// Factory makes the protocol of each new connection.
type Factory interface {
	// BuildProtocol is called on the loop's goroutine with the peer's address. If it
	// returns nil, the connection is closed at once (TCP-25, TCP-44).
	BuildProtocol(peer kernel.Addr) Protocol
}

// FactoryFunc is a function as a Factory.
type FactoryFunc func(peer kernel.Addr) Protocol

// BuildProtocol calls f.
func (f FactoryFunc) BuildProtocol(peer kernel.Addr) Protocol { return f(peer) }

// Each returns a factory that makes a new(T) for every connection (PROTO-3).
func Each[T any, P interface {
	*T
	Protocol
}]() Factory {
	return each(func() Protocol { return P(new(T)) })
}

// each is the factory of Each. Its protocols have nothing in common but what T reaches by variables of a package.
type each func() Protocol

// BuildProtocol makes a new one.
func (f each) BuildProtocol(kernel.Addr) Protocol { return f() }

// LogPrefix is that of a FactoryFunc.
func (f each) LogPrefix() string { return "FactoryFunc" }

// AnyLoop is true.
func (f each) AnyLoop() bool { return true }

// AnyLoop is implemented by a Factory that says whether several loops of a [Group] may call it, and its protocols, at a time.
// [Each] says yes. A factory with state that its protocols share says yes only if that state is safe for several goroutines.
// It is asked of the factory itself and not of those that it wraps. Package whorl asks: without an answer it
// runs one loop.
type AnyLoop interface {
	AnyLoop() bool
}

// LoopListener is implemented by a StartStopper that has something of its own on a loop, such as a timer.
type LoopListener interface {
	// UsedOn is called before StartFactory, on the goroutine of the loop r that calls it. If the use is that of a port of a group, and r is
	// lost, it is called again, on the goroutine of the loop that calls StopFactory from then on: what the factory had on the
	// former one is gone, and its goroutine is over, or at its end. A panic before StartFactory is an error of it; one of the later calls is logged.
	UsedOn(r *Reactor)
}

// One returns a factory that returns the same p for every connection. A protocol serves one
// connection at a time, so One is for a client, or for a port that has one connection at a
// time.
func One(p Protocol) Factory {
	return FactoryFunc(func(kernel.Addr) Protocol { return p })
}

// StartStopper is implemented by a Factory that needs to know when it is in use.
// StartFactory is called when its first port or connector starts, StopFactory when its last
// one has ended, both on the loop's goroutine (TCP-14, PROTO-4). The type of the factory
// must be comparable: another one gets neither call. Uses are counted per reactor. If StartFactory returns an error, the
// listen or dial fails with it. An error of StopFactory goes to the done function of
// StopListening (TCP-10), or is logged.
//
// A factory that wraps another has an Unwrap method that returns a Factory. The reactor then
// counts the uses of both, and those of the inner one also through other wrappers. It
// starts the wrapper before the inner factory, and stops it afterwards. So a wrapper must
// not forward these calls.
type StartStopper interface {
	StartFactory() error
	StopFactory() error
}

// ConnectorListener is implemented by a client's Factory that follows the attempts of its
// connectors. c is the connector that Dial returns (TCP-37). ConnectionFailed and
// ConnectionEnded may call c.Connect, which starts the next attempt (TCP-43). All methods
// are called on the loop's goroutine.
type ConnectorListener interface {
	// StartedConnecting is called before Dial or Connect returns (TCP-30).
	StartedConnecting(c *Connector)
	// ConnectionFailed is called when an attempt has ended without a connection. err is
	// the one that done of Dial gets.
	ConnectionFailed(c *Connector, err error)
	// ConnectionEnded is called after the protocol's ConnectionLost, with the same err
	// (TCP-42). If the factory built no protocol, err is ErrNoProtocol.
	ConnectionEnded(c *Connector, err error)
}

// Transport is the reactor's end of one connection. Its methods are for the loop's
// goroutine only. A transport may implement more interfaces, such as [HalfCloser],
// [Producer] or [Consumer]; [As] finds them. Every transport of this package is a
// [*Stream], which implements all of them.
type Transport interface {
	// Write takes all of p and never blocks. It buffers what the socket does not take, and
	// copies what it keeps: p belongs to the caller again when Write returns (TCP-55). It
	// never calls ConnectionLost (TCP-60).
	//
	// After Close, Abort or the loss of the connection, Write takes nothing and returns
	// [ErrClosed]; after CloseWrite, [ErrWriteClosed]. There is one exception: while Close
	// or CloseWrite waits for a registered producer, writes are still taken. Beyond the
	// limit on buffered bytes, Write takes nothing and returns [ErrBufferFull], and the
	// connection ends.
	Write(p []byte) (int, error)

	// Close stops reading at once, sends what is buffered, waits for a registered producer
	// to unregister, and then ends the connection. ConnectionLost(ErrClosed) is called
	// later, never inside Close (TCP-59). If nothing is sent for StreamConfig.CloseTimeout,
	// the connection is reset instead. A second call does nothing. The error is always nil.
	Close() error

	// Abort drops what is buffered and resets the connection. ConnectionLost(ErrAborted) is
	// called later, never inside Abort, and no other callback of the protocol comes before
	// it (TCP-77). Abort also ends a connection on which Close is still waiting.
	Abort()

	// Local is our address and Remote the peer's. Both stay valid after the loss.
	Local() kernel.Addr
	Remote() kernel.Addr

	// Reactor is the loop of this connection. It has the clock and the timers.
	Reactor() *Reactor
}

// HalfCloser is a transport whose write side can end alone.
type HalfCloser interface {
	// CloseWrite sends what is buffered, waits for a registered producer to unregister, and
	// then ends our direction. Reading goes on (TCP-69). A second call does nothing. The
	// error is always nil.
	CloseWrite() error
}

// HalfCloseListener is implemented by a Protocol that distinguishes the end of one
// direction from the end of the connection (TCP-70, TCP-71).
type HalfCloseListener interface {
	// ReadConnectionLost is called when the peer has ended its direction. Writing still
	// works, and the protocol must call Close itself. A protocol that is no
	// HalfCloseListener loses the connection instead, when what is buffered has been sent.
	ReadConnectionLost()
	// WriteConnectionLost is called when a CloseWrite of ours has been carried out.
	WriteConnectionLost()
}

// InputReader is implemented by a Protocol that can read what arrives into memory of its own, which saves the copy from the buffer of the reactor. Only a [Stream]
// asks, and only the outermost protocol: a layer around it sees every byte by DataReceived.
type InputReader interface {
	// ReadInput is called in place of DataReceived when the connection may have something to read. It calls Read of src once, with a slice that is
	// not empty, and returns what that returns, and true. Or it returns false, and then DataReceived follows. src must not be kept. An error of Read
	// is the transport's to handle: ReadInput tells nobody of it (TCP-100).
	ReadInput(src io.Reader) (n int, err error, ok bool)
}

// InputKeeper is implemented by a Protocol, such as that of a layer, that keeps input while it is paused, and delivers it when it is resumed.
type InputKeeper interface {
	// KeepsInput tells whether there is such input now. A stream that has failed asks, because its end then waits until that is
	// delivered, or CloseTimeout is over (TCP-84). A keeper that has not paused the stream may do so in KeepsInput, and resumes it
	// when it has delivered the input.
	KeepsInput() bool
}

// Drainer is implemented by a Protocol that ends its connection itself when it is asked to by a
// [Drain]. It is found by [DrainerOf], in the protocol of the application, above TLS.
type Drainer interface {
	// Drain is called once for each Drain, on the loop's goroutine: the protocol finishes what it
	// is about and calls Close. If it does not, the connection is aborted when the limit of the Drain is over.
	// If Drain panics, the connection is aborted at once.
	Drain()
}

// Layer is implemented by a Protocol that carries another connection on top, such as TLS.
// Above returns the upper transport. If the application asks to close or abort its
// connection, the upper transport is closed or aborted, not the one below.
type Layer interface{ Above() Transport }

// Top returns the transport of the application. It is t if the protocol of t is no [Layer];
// otherwise it is the transport of the highest layer on t.
func Top(t Transport) Transport {
	for {
		on, ok := t.(interface{ Protocol() Protocol })
		if !ok {
			return t
		}
		l, ok := ProtocolAs[Layer](on.Protocol())
		if !ok {
			return t
		}
		t = l.Above()
	}
}

// Producer is a source of bytes that can be paused. The read side of every transport is one
// (PROD-11). Its methods are called on the loop's goroutine.
type Producer interface {
	// PauseProducing asks the producer to stop for now. A transport delivers nothing after
	// PauseProducing returns, even if it was called in DataReceived (TCP-64).
	//
	// A stream that has failed while it is paused is lost only when what the peer sent before has been delivered, or after
	// CloseTimeout (TCP-84). If a layer keeps input itself while it is paused, it is an [InputKeeper].
	PauseProducing()
	// ResumeProducing asks the producer to go on. Extra calls of either must be harmless.
	ResumeProducing()
	// StopProducing tells the producer that its bytes are not wanted any more. For a
	// transport it is Close.
	StopProducing()
}

// Consumer takes bytes, and pauses and resumes the producer of them. The write side of every
// transport is one.
//
// The producer pushes. Registration does not resume it. It is paused when the buffered
// bytes, and those sent directly in this callback, exceed the high-water mark, inside the
// Write that does it (PROD-15). If they do when it is registered, it is paused then, and
// once more by its first write, if it begins nevertheless (PROD-5). It is resumed later, when the buffer has fallen to the
// low-water mark (PROD-4). If the connection is lost, the producer is stopped before
// ConnectionLost is called (PROD-6), and inside its Write if that has failed (PROD-14).
//
// While a producer is registered whose method Unfinished() bool returns true, the connection ends with a reset, for
// whatever reason it ends (PROD-24).
type Consumer interface {
	// RegisterProducer makes p the producer. There is one at a time; a second one is
	// refused with [ErrProducerRegistered] (PROD-1). If the connection is lost or about to
	// be lost, p is stopped at once and not registered (PROD-2).
	RegisterProducer(p Producer) error
	// UnregisterProducer removes the producer. A Close or CloseWrite that waited for it
	// goes on. Without a producer it does nothing.
	UnregisterProducer()
}

// Vectored is a transport that takes several slices in one write.
type Vectored interface {
	// WriteVec is Write of all bufs, one after the other. n counts the bytes of all. The
	// slices belong to the caller again when it returns.
	WriteVec(bufs [][]byte) (n int, err error)
}

// SharedWriter is a transport that can keep a slice instead of a copy of it. So one message
// to many connections is in memory once, however slow they read. A wrapper that changes Write
// must implement it, because As would otherwise find the one below. The function [WriteShared]
// takes any transport.
type SharedWriter interface {
	// WriteShared is Write, but p does not belong to the caller again when it returns:
	// nobody may change p until the connection has sent it or is lost. Nothing tells the
	// caller when it was sent, so as a rule p is never changed again. The same p may be given
	// to any number of connections, also of several reactors.
	//
	// The limits of buffered bytes count p as they count other bytes, and p stands in order
	// with other writes. The transport may copy what it keeps, and does so if that is short.
	// It does not refer to p any more when p was sent or the connection is lost.
	WriteShared(p []byte) (n int, err error)
}

// WriteShared is WriteShared of t if t is a [SharedWriter], or wraps one, and otherwise
// Write. Write keeps copies, so nothing else changes for the caller: p may not be changed
// either way.
func WriteShared(t Transport, p []byte) (int, error) {
	if s, ok := As[SharedWriter](t); ok {
		return s.WriteShared(p)
	}
	return t.Write(p)
}

// Base is for embedding in protocols. It has the transport, and the two methods that
// protocols often leave empty. It is the only type of this package meant for embedding.
type Base struct {
	// T is the transport, with all that protocols use often. ConnectionMade sets it.
	T Connection
}

// ConnectionMade stores ConnectionOf(t) in T. A protocol with a ConnectionMade of its own must
// call it.
func (b *Base) ConnectionMade(t Transport) { b.T = ConnectionOf(t) }

// ConnectionLost does nothing.
func (b *Base) ConnectionLost(error) {}

// As returns t as a T, or the first T among the transports that t wraps, which t.Unwrap()
// returns. So a wrapper with Unwrap hides no capability. A wrapper that changes a capability
// implements it. Call As once, when the connection is made, and keep the result.
func As[T any](t Transport) (T, bool) { return kernel.Walk[T](t) }

// ProtocolAs returns p as a T, or the first T among the protocols that p wraps.
func ProtocolAs[T any](p Protocol) (T, bool) {
	for l := range layers(p) {
		if t, ok := l.(T); ok {
			return t, true
		}
	}
	var none T
	return none, false
}

// layers yields p and the protocols that it wraps, the outermost first.
func layers(p Protocol) iter.Seq[Protocol] {
	return func(yield func(Protocol) bool) {
		for p != nil && yield(p) {
			u, ok := p.(interface{ Unwrap() Protocol })
			if !ok {
				return
			}
			p = u.Unwrap()
		}
	}
}

// FactoryAs returns f as a T, or the first T among the factories that f wraps.
func FactoryAs[T any](f Factory) (T, bool) { return kernel.Walk[T](f) }
