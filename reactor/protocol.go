package reactor

import (
	"github.com/whorl-go/whorl/kernel"
)

// Protocol is the application's end of one connection. The reactor calls its
// methods on the loop's goroutine, never two at a time, in this order:
// ConnectionMade once, DataReceived any number of times, ConnectionLost once
// (PROTO-1, X-1). A panic in one of them ends this connection, with a
// [PanicError], and no other.
type Protocol interface {
	// ConnectionMade comes first and once. t stays the same for the life of the
	// connection. Writing, pausing and closing are allowed here (TCP-61).
	ConnectionMade(t Transport)

	// DataReceived brings what arrived, len(p) > 0. p is lent until it returns:
	// keeping bytes means copying them. How the stream is cut into calls means
	// nothing.
	DataReceived(p []byte)

	// ConnectionLost comes last and once. err is never nil: io.EOF when the peer
	// ended, [ErrClosed] when we did, [ErrAborted] after Abort, a [*PanicError],
	// or what broke, as an [*OpError]. The transport takes no more writes.
	ConnectionLost(err error)
}

// Factory makes the protocol of each new connection.
type Factory interface {
	// BuildProtocol is called on the loop's goroutine with the peer's address.
	// Nil refuses the connection: it is closed at once (TCP-25, TCP-44).
	BuildProtocol(peer kernel.Addr) Protocol
}

// FactoryFunc is a Factory that is only a function.
type FactoryFunc func(peer kernel.Addr) Protocol

// BuildProtocol calls f.
func (f FactoryFunc) BuildProtocol(peer kernel.Addr) Protocol { return f(peer) }

// Each is the factory that makes a new(T) for every connection (PROTO-3).
func Each[T any, P interface {
	*T
	Protocol
}]() Factory {
	return FactoryFunc(func(kernel.Addr) Protocol { return P(new(T)) })
}

// One is the factory that returns the same p for every connection. A protocol serves one
// connection at a time, so One is for a client, or for a port that has one connection at a
// time.
func One(p Protocol) Factory {
	return FactoryFunc(func(kernel.Addr) Protocol { return p })
}

// StartStopper is what a Factory may also be, to learn when it comes into use
// and when it is no longer used: StartFactory when its first port or connector
// starts, StopFactory when its last has ended (TCP-14, PROTO-4). The factory
// must be of a comparable type. Uses are counted per reactor. An error of
// StartFactory makes the listen or dial fail; one of StopFactory is handed to
// whoever waits for the end (TCP-10).
//
// A factory around another says so by an Unwrap method that returns a Factory. The
// other's uses are then counted too, also those through other wrappers, and the wrapper
// does not forward these calls: it starts before what it wraps, and stops after it.
type StartStopper interface {
	StartFactory() error
	StopFactory() error
}

// ConnectorListener is what a client's Factory may also be, to hear of each
// attempt of a connector: all three with the connector that Dial returned
// (TCP-37). In Failed and Lost, calling c.Connect starts the next attempt on
// the same connector (TCP-43).
type ConnectorListener interface {
	// StartedConnecting is called before Dial or Connect returns (TCP-30).
	StartedConnecting(c *Connector)
	// ConnectionFailed is called when an attempt ended without a connection.
	ConnectionFailed(c *Connector, err error)
	// ConnectionEnded is called after the protocol's ConnectionLost (TCP-42).
	ConnectionEnded(c *Connector, err error)
}

// Transport is the reactor's end of one connection. Its methods are for the
// loop's goroutine only. What more a transport can do, such as [HalfCloser],
// [Producer] or [Consumer], is found with [As]; every transport of this package
// is a [*Stream], which can do it all.
type Transport interface {
	// Write takes all of p, copies what it must keep, and never blocks: p is the
	// caller's again when it returns (TCP-55). What does not fit into the socket
	// is buffered. It never calls ConnectionLost (TCP-60). After Close, Abort or
	// the loss it takes nothing and returns [ErrClosed]; after CloseWrite,
	// [ErrWriteClosed]; but what a registered producer still writes while these
	// wait for it is taken. Above the limit on buffered bytes it is [ErrBufferFull].
	Write(p []byte) (int, error)

	// Close stops reading at once, sends what is buffered, waits for a
	// registered producer to unregister, and then ends the connection:
	// ConnectionLost(ErrClosed) comes later, never inside Close (TCP-59). A
	// second call does nothing. The error is always nil.
	Close() error

	// Abort drops what is buffered and resets the connection:
	// ConnectionLost(ErrAborted) comes later, never inside Abort, and nothing
	// else comes before it (TCP-77). It also cuts short a Close in progress.
	Abort()

	// Local is our address, Remote the peer's; they stay valid after the loss.
	Local() kernel.Addr
	Remote() kernel.Addr

	// Reactor is the loop this connection lives on: its clock and its timers.
	Reactor() *Reactor
}

// HalfCloser is a transport whose write side can end alone.
type HalfCloser interface {
	// CloseWrite sends what is buffered, waits for a registered producer to
	// unregister, and ends our direction; reading goes on (TCP-69). A second call
	// does nothing. The error is always nil.
	CloseWrite() error
}

// HalfCloseListener is what a protocol may also be, to tell the end of one
// direction from the end of the connection (TCP-70, TCP-71).
type HalfCloseListener interface {
	// ReadConnectionLost says that the peer will send no more. Writing still
	// works, and the protocol must call Close itself. Protocols without this
	// method lose the connection instead.
	ReadConnectionLost()
	// WriteConnectionLost says that a CloseWrite of ours has been carried out.
	WriteConnectionLost()
}

// Layer is what a protocol may also be that is the transport of another, as that of TLS
// is. Above is this transport; an application's words about its connection go to it.
type Layer interface{ Above() Transport }

// Top is the transport of the application: t, or that of the highest [Layer] on t.
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

// Producer is a source of bytes that can be held back. Every transport's read
// side is one (PROD-11).
type Producer interface {
	// PauseProducing asks for nothing more for now. A transport delivers nothing
	// after it returns, also when called in DataReceived (TCP-64).
	PauseProducing()
	// ResumeProducing asks for more. Extra calls of either are harmless.
	ResumeProducing()
	// StopProducing says that nothing more will ever be wanted. For a transport
	// it is Close.
	StopProducing()
}

// Consumer is a sink that tells its producer when to hold back. Every
// transport's write side is one.
//
// The producer pushes: it is not resumed at registration; it is paused, inside
// the Write, when the buffered bytes come to exceed the high-water mark, and
// resumed, later, when they have fallen to the low-water mark, if it was paused
// (PROD-4). It is stopped, before ConnectionLost, when the connection is lost
// (PROD-6).
type Consumer interface {
	// RegisterProducer takes p as the producer. There is one at a time: a second
	// is refused with [ErrProducerRegistered] (PROD-1). On a connection that is
	// lost, p is stopped at once and not registered (PROD-2).
	RegisterProducer(p Producer) error
	// UnregisterProducer forgets the producer; a Close or CloseWrite that waited
	// for it goes on. Without a producer it does nothing.
	UnregisterProducer()
}

// Vectored is a transport that takes several slices as one write.
type Vectored interface {
	// WriteVec is Write of the concatenation of bufs; n counts all their bytes.
	WriteVec(bufs [][]byte) (n int, err error)
}

// Base is what protocols embed to have T and the two methods they often leave
// empty. It is the only type meant for embedding.
type Base struct {
	// T is the transport, from ConnectionMade on.
	T Transport
}

// ConnectionMade keeps t in T. A protocol that has its own calls it.
func (b *Base) ConnectionMade(t Transport) { b.T = t }

// ConnectionLost does nothing.
func (b *Base) ConnectionLost(error) {}

// As finds T in t, or in what t.Unwrap() leads to. Wrappers hide nothing by
// accident that way; one that changes a capability implements it itself.
// Look up once, when the connection is made, and keep the result.
func As[T any](t Transport) (T, bool) { return kernel.Walk[T](t) }

// ProtocolAs finds T in p, or in what p.Unwrap() leads to.
func ProtocolAs[T any](p Protocol) (T, bool) { return kernel.Walk[T](p) }

// FactoryAs finds T in f, or in what f.Unwrap() leads to.
func FactoryAs[T any](f Factory) (T, bool) { return kernel.Walk[T](f) }
