// Package handover passes the sockets of a running program to its successor, so that a program is replaced while
// it serves: no connection is refused, and none is lost.
//
// The old program calls [Offer]. It listens at a UNIX socket that only its own user can use. The new one calls [Take] with the
// same path, and gets a descriptor of each socket, with its name and address. It opens its places
// as usual, by [reactor.Reactor.Listen], which finds those sockets. Then it says that it is ready. Only then does the old
// one stop accepting. Both have the same sockets, so clients that wait in a queue stay there for the new one.
//
// Connections may move too. A protocol that is a [Mover] gives its state as bytes, and goes with its socket and its unsent
// output; the new program's factory, a [Resumer], makes it again. Other connections stay, and the old program
// drains them.
//
// If anything fails before the new program is ready, the old one serves on as before. docs/handover.md has the
// protocol between the two, the limits of time, and what follows from a crash at each step.
package handover

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// Defaults of the configurations.
const (
	// DefaultTimeout is how long the peer may take for each step.
	DefaultTimeout = 10 * time.Second
	// DefaultReadyTimeout is how long a successor may take to open its places and say that it is ready.
	DefaultReadyTimeout = time.Minute
)

// Limits of the protocol. They bound the memory that a peer can cause to be used.
const (
	// MaxSockets is how many sockets are offered at most.
	MaxSockets = 200
	// MaxState is how many bytes the state of a connection may have, and how many unsent ones it may take along. One that
	// has more stays.
	MaxState = 1 << 20
	// window is how many connections are on their way at a time.
	window = 8
	// maxControl is the greatest length of a message without a state.
	maxControl = 4096
	// maxSessions is how many programs may be connected to an Offering at a time.
	maxSessions = 8
	// maxNames is how many bytes a name may have.
	maxName = 1024
)

// Mover is implemented by a Protocol that can move to another process with its connection. It is found by
// [reactor.ProtocolAs].
type Mover interface {
	// Handover returns all that a [Resumer] needs to go on where the protocol is: what it has received of an unfinished
	// request, for instance. Bytes that it has written and that are unsent are not its concern, nor are those that the peer
	// has sent and that it has not received. At most MaxState bytes.
	//
	// After that the protocol must not write. It gets ConnectionLost(reactor.ErrDetached). If the connection cannot be moved
	// after all, it is made again from this state by the Resumer in this process, or reset. With an error the
	// protocol goes on as if it had not been asked. Handover is called on the loop's goroutine, and not while the
	// protocol is in a callback.
	Handover() ([]byte, error)
}

// Resumer is implemented by a Factory that can make the protocols of a predecessor again. It is found by
// [reactor.FactoryAs] in the factory of the port that has taken the socket over from which the connection came.
type Resumer interface {
	// Resume returns the protocol for a state that Handover of the predecessor returned; state is the callee's. Its
	// ConnectionMade is called later. If the error is not nil, or the protocol nil, the predecessor takes the
	// connection back. Resume is called on the loop's goroutine.
	Resume(state []byte, peer kernel.Addr) (reactor.Protocol, error)
}

// Kind says what a socket is.
type Kind uint8

// The kinds of sockets.
const (
	Stream  Kind = iota + 1 // a stream socket that listens
	Packet                  // a datagram socket
	control                 // the one at which the hand-over itself takes place
)

// String is "stream" or "packet".
func (k Kind) String() string {
	switch k {
	case Stream:
		return "stream"
	case Packet:
		return "packet"
	case control:
		return "control"
	}
	return "unknown"
}

// Socket is a socket that is handed over.
type Socket struct {
	// Name is what both programs call it, at most 1024 bytes. Several may have one name.
	Name string
	// Kind says what it is.
	Kind Kind
	// Addr is its address. Requested is the one that the program asked for, with port 0 if the system was to choose.
	// It is zero if nobody asked: the socket was adopted.
	Addr, Requested kernel.Addr
}

// String is the name and the address.
func (s Socket) String() string {
	if s.Name == "" {
		return s.Addr.Network() + " " + s.Addr.String()
	}
	return s.Name + " (" + s.Addr.Network() + " " + s.Addr.String() + ")"
}
