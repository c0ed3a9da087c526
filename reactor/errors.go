package reactor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// The errors of this package, for errors.Is (ERR-1, ERR-2). An [*OpError] is also the class
// of its operation: ErrConnect for a dial, ErrListen for a listen, ErrLost for a read or
// write on a connection.
var (
	// ErrNotRunning: Stop on a reactor that does not run, or on which Stop was called.
	ErrNotRunning = kernel.Sentinel("reactor not running")
	// ErrAlreadyRunning: Run or Start during Run or after Start.
	ErrAlreadyRunning = kernel.Sentinel("reactor already running")
	// ErrNotRestartable: Run, Start or Turn on a reactor that has stopped.
	ErrNotRestartable = kernel.Sentinel("reactor cannot be run again after it was stopped")
	// ErrUnfinished: a shutdown gave up waiting for functions of AddWaitTrigger or for
	// blocking work. The work may still run.
	ErrUnfinished = kernel.Sentinel("the shutdown gave up waiting")
	// ErrTriggerGone: Remove of a trigger that was removed or has run.
	ErrTriggerGone = kernel.Sentinel("trigger already removed or run")

	// ErrClosed: the connection was closed by our side. It is also net.ErrClosed.
	ErrClosed = kernel.Sentinel("connection closed", net.ErrClosed)
	// ErrWriteClosed: CloseWrite has ended our direction. It is also net.ErrClosed.
	ErrWriteClosed = kernel.Sentinel("write side closed", net.ErrClosed)
	// ErrSwitched: the transport was retired, because a layer such as TLS has taken the
	// connection over; see Retirer. Nothing was sent.
	ErrSwitched = kernel.Sentinel("transport was replaced when a layer took the connection over")
	// ErrLost: the connection did not end cleanly.
	ErrLost = kernel.Sentinel("connection lost")
	// ErrAborted: the connection was aborted by our side.
	ErrAborted = kernel.Sentinel("connection aborted", ErrLost)
	// ErrStopped: the reactor is stopping or has stopped.
	ErrStopped = kernel.Sentinel("reactor stopped", ErrLost)
	// ErrCloseTimeout: the end of a connection made no progress for
	// StreamConfig.CloseTimeout, and it was reset. It is also kernel.ErrTimeout.
	ErrCloseTimeout = kernel.Sentinel("closing took too long", ErrLost, kernel.ErrTimeout)
	// ErrBufferFull: more was written than StreamConfig.MaxBuffered or
	// Config.MaxBufferedTotal allows. The error that wraps it says which.
	ErrBufferFull = kernel.Sentinel("write buffer full", ErrLost)
	// ErrDescriptorOverrun: all bytes were sent, and descriptors of SendDescriptor are left (FDP-3).
	ErrDescriptorOverrun = kernel.Sentinel("descriptors are left without a byte to travel with", ErrLost)
	// ErrWatched: a number has another reader or writer; remove that one first.
	ErrWatched = kernel.Sentinel("the descriptor is watched already")
	// ErrDescriptorGone: a watched descriptor was closed without being removed (FDS-7).
	ErrDescriptorGone = kernel.Sentinel("descriptor went away", ErrLost)

	// ErrConnect: an attempt to connect failed.
	ErrConnect = kernel.Sentinel("cannot connect")
	// ErrUnknownHost: the name does not resolve.
	ErrUnknownHost = kernel.Sentinel("unknown host")
	// ErrUnknownService: no such service name.
	ErrUnknownService = kernel.Sentinel("unknown service")
	// ErrConnectTimeout: an attempt took longer than DialConfig.Timeout. It is also
	// kernel.ErrTimeout and os.ErrDeadlineExceeded.
	ErrConnectTimeout = kernel.Sentinel("connecting took too long", kernel.ErrTimeout)
	// ErrCancelled: our side gave up the attempt.
	ErrCancelled = kernel.Sentinel("cancelled")
	// ErrNoProtocol: the factory built no protocol for an outgoing connection.
	ErrNoProtocol = kernel.Sentinel("the factory refused the connection", ErrClosed)
	// ErrNotConnecting: StopConnecting of a connector that is not connecting.
	ErrNotConnecting = kernel.Sentinel("not connecting")
	// ErrNotDisconnected: Connect of a connector that is connecting or connected.
	ErrNotDisconnected = kernel.Sentinel("not disconnected")

	// ErrListen: a port could not be opened.
	ErrListen = kernel.Sentinel("cannot listen")
	// ErrAlreadyListening: StartListening of a port that is not stopped.
	ErrAlreadyListening = kernel.Sentinel("already listening")
	// ErrTooManyConnections: a port has refused a connection, because MaxConnections were open.
	ErrTooManyConnections = kernel.Sentinel("too many connections")
	// ErrTooManyOfPeer: a port has refused a connection, because its peer had MaxPerPeer.
	ErrTooManyOfPeer = kernel.Sentinel("too many connections of this peer")

	// ErrMarks: LowWater is negative or not below HighWater.
	ErrMarks = kernel.Sentinel("LowWater must be at least 0 and below HighWater")
	// ErrProducerRegistered: the consumer has a producer; unregister that one first.
	ErrProducerRegistered = kernel.Sentinel("a producer is registered already")
)

// WatchedError says that a descriptor was not added, because another object reads or writes
// the same number. errors.Is finds [ErrWatched] in it.
type WatchedError struct {
	// FD is the number.
	FD int
	// Role is "reader" or "writer": both were to be that.
	Role string
	// Watched is the object that is watched, and stays so.
	Watched FileDescriptor
	// Refused is the object that was not added. It is not called.
	Refused FileDescriptor
}

// Error is a line such as "descriptor 7 has a reader already, a *main.console; a *main.log
// was not added".
func (e *WatchedError) Error() string {
	return fmt.Sprintf("descriptor %d has a %s already, a %T; a %T was not added", e.FD, e.Role, e.Watched, e.Refused)
}

// Is tells whether target is [ErrWatched].
func (e *WatchedError) Is(target error) bool { return target == ErrWatched }

// OpError is a failed operation, with its addresses and the cause.
type OpError struct {
	// Op is "listen", "accept", "dial", "attach", "resolve", "read", "write", "wait" (the
	// connection failed while nothing was asked of it), "close", "arm", "watch", "send" (a datagram) or "spawn".
	Op string
	// Local is our address and Remote the peer's. Each is zero if it is not known.
	Local  kernel.Addr
	Remote kernel.Addr
	// Err is the cause.
	Err error
}

// Error is a line such as "dial tcp 127.0.0.1:7: connection refused".
func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	at := e.Remote
	if at.IsZero() {
		at = e.Local
	}
	for _, word := range []string{at.Network(), at.String()} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Timeout tells whether the cause is a timeout, of the network, of a limit such as
// [DialConfig].Timeout, or of a look-up. An OpError is a net.Error (DESC-44).
func (e *OpError) Timeout() bool { return kernel.IsTimeout(e.Err) }

// Temporary tells whether the same operation may succeed when it is tried again, as
// [kernel.IsTemporary] says. A connection that is lost stays lost.
func (e *OpError) Temporary() bool { return kernel.IsTemporary(e.Err) }

// Is tells whether target is os.ErrDeadlineExceeded and the error a timeout.
func (e *OpError) Is(target error) bool { return target == os.ErrDeadlineExceeded && e.Timeout() }

// Unwrap returns the cause, and the class of the operation if it has one.
func (e *OpError) Unwrap() []error {
	switch e.Op {
	case "listen":
		return []error{e.Err, ErrListen}
	case "dial", "resolve":
		return []error{e.Err, ErrConnect}
	case "watch", "attach", "accept", "send", "spawn":
		return []error{e.Err} // there was no connection, so it is not ErrLost
	}
	return []error{e.Err, ErrLost}
}

// PeerEnded tells whether the peer has ended the connection in order, if err is the reason that ConnectionLost was told: it is
// io.EOF, or an error that stands for it, such as a websocket.CloseError with the code 1000. A failure, which is ErrLost, and a
// panic are none, whatever has caused them.
func PeerEnded(err error) bool {
	if err == io.EOF {
		return true
	}
	_, panicked := errors.AsType[*PanicError](err)
	return errors.Is(err, io.EOF) && !errors.Is(err, ErrLost) && !panicked
}
