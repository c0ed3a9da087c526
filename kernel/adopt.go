package kernel

import "fmt"

// Adopter is a Kernel that can use sockets that somebody else has made: a parent process, a
// service manager, package net.
//
// It works on a duplicate of its own. The caller keeps its descriptor, may close it at once, and
// has to close it some time (ADOPT-4). The two are one socket: it becomes non-blocking for both
// (ADOPT-14), its options are those of both, and what is read by one is gone for the other. A
// socket that is refused has not been changed, and the error is an [*AdoptError]. An option that
// cannot be set is an [*OptionError], and those before it stay set. No failure leaves a duplicate
// (ADOPT-16).
type Adopter interface {
	// AdoptListener returns a listener on a duplicate of fd, a TCP or UNIX stream socket that
	// listens. The kernel neither binds nor listens. The StreamOptions of o are set, but for those that
	// a UNIX socket does not have; Descriptors must be false for TCP; Backlog, ReusePort and UNIX must be zero. The file of a UNIX socket stays the caller's: Close does not remove it
	// (ADOPT-15).
	AdoptListener(fd int, o *ListenOptions) (Listener, error)
	// AdoptConn returns a conn on a duplicate of fd, a TCP or UNIX stream socket that is connected.
	// The options are set, as for a listener. Close ends the connection for everybody who has the socket (ADOPT-13). The
	// conn is an [Adopted].
	AdoptConn(fd int, o *StreamOptions) (Conn, error)
	// AdoptPacketConn returns a socket on a duplicate of fd, a datagram socket of UDP or UNIX. The kernel
	// does not bind it. If it is connected, Remote is its peer. The PacketOptions of o are set; ReusePort, Shared and
	// UNIX must be zero. A RecvBuffer of zero leaves the socket's. Close closes only the duplicate (ADOPT-6): the socket
	// goes on receiving for whoever else has it, and the file of a UNIX socket stays (ADOPT-15).
	AdoptPacketConn(fd int, o *PacketOptions) (PacketConn, error)
}

// Adopted is a Conn of AdoptConn.
type Adopted interface {
	// GiveBack closes our duplicate and leaves the connection to whoever else has the socket.
	// Afterwards the conn is closed.
	GiveBack() error
}

var (
	// ErrNotListening: that socket does not listen.
	ErrNotListening = Sentinel("not listening")
	// ErrNotConnected: that socket is not connected.
	ErrNotConnected = Sentinel("not connected")
)

// AdoptError says why a descriptor was not adopted. errors.Is finds Kind in it.
type AdoptError struct {
	// FD is the descriptor.
	FD int
	// Reason is what is wrong with it, such as "it is a datagram socket".
	Reason string
	// Kind is ErrBadDescriptor if it is not open; ErrUnsupported if it is no socket, or of another
	// family or type (ADOPT-2, ADOPT-17); ErrNotListening or ErrNotConnected; or the system's
	// [*SysError].
	Kind error
}

// Error is "descriptor 5: it is a datagram socket".
func (e *AdoptError) Error() string { return fmt.Sprintf("descriptor %d: %s", e.FD, e.Reason) }

// Unwrap is Kind.
func (e *AdoptError) Unwrap() error { return e.Kind }

// CheckAdopt returns why o cannot be used to adopt a listener, as an [*OptionError], or nil. Every
// kernel that adopts calls it.
func CheckAdopt(o *ListenOptions) error {
	const reason = "the socket listens already"
	switch {
	case o.ReusePort:
		return invalid(OpListen, "ReusePort", true, reason)
	case o.Backlog != 0:
		return invalid(OpListen, "Backlog", o.Backlog, reason)
	case o.UNIX != (UNIXOptions{}):
		return invalid(OpListen, "UNIX", o.UNIX, reason)
	}
	return CheckOptions(OpListen, &o.StreamOptions)
}

// CheckAdopted returns why a socket of that network, which is to be adopted, cannot have o, as an
// [*OptionError], or nil. Op is OpListen or OpConnect. Every kernel that adopts calls it, before it
// changes anything.
func CheckAdopted(op string, n Net, o *StreamOptions) error {
	if n == UNIX {
		return nil
	}
	return onlyUNIX(op, o)
}
