// Package kernel is the seam between the reactor and whatever moves bytes:
// epoll, poll, select, or a simulated network.
//
// Everything the reactor asks of an operating system is said here, and nothing
// else is. A back end implements [Kernel], [Conn] and [Listener]; what only some
// can do is a small interface of its own ([Vectors], [TCPConn], [Watcher],
// [Reserver], [Signals]), found once by [As] and [ConnAs]. Package kerneltest holds
// the promises of a kernel as a suite that every back end passes.
//
// A kernel and its handles belong to one goroutine, the loop's. Only Wake may be
// called from others.
package kernel

import (
	"math"
	"time"
)

// Forever as the second argument of [Kernel.Wait] means: no limit.
const Forever = time.Duration(math.MaxInt64)

// Kernel is one source of readiness and the sockets it knows. All methods but
// Wake are called on one goroutine.
type Kernel interface {
	// Now is monotonic time since an origin of the kernel's choosing; it is
	// always positive.
	Now() time.Duration

	// Wait fills ev with what is ready and returns how many it filled. It
	// returns when something is ready, after Wake, or when Now has reached
	// until, never before; it may return 0 early only because of Wake or a
	// signal. An until that has passed (zero, for instance) means: look, do
	// not block. [Forever] means: no limit. Readiness is level-triggered: what
	// was not consumed is reported again. One token stands at most once in ev.
	// len(ev) must not be 0; what does not fit is reported by the next call,
	// and no ready token is left out for ever.
	Wait(ev []Event, until time.Duration) (int, error)

	// Wake makes the Wait in progress, or else the next one, return at once.
	// It may be called from any goroutine and from signal context, never
	// blocks, is never lost, and many calls count as one. After Close it does
	// nothing.
	Wake()

	// Listen binds a stream socket to a and listens. A zero port takes a free
	// one; Local tells which. An IPv6 socket is for IPv6 alone (TCP-6). The
	// address is free for use again as soon as the listener is closed (TCP-3).
	Listen(a Addr, o *ListenOptions) (Listener, error)

	// Dial starts connecting a stream socket to a. The attempt is over when the
	// conn is Writable; Connected then tells how it ended. An error here is
	// one that was known at once; it may also come from Connected.
	Dial(a Addr, o *DialOptions) (Conn, error)

	// Arm says which readiness of h is to be reported, and under which token.
	// A later call replaces an earlier one; zero disarms. While h is disarmed
	// nothing is reported for it, not even failure. A hang-up or an error of the
	// socket is reported as whatever is armed, so that the next Read or Write
	// finds it. Two handles must not share a token. h is as this kernel gave it out:
	// a kernel around another takes its own wrapping off before it passes h on.
	Arm(h Handle, token uint32, r Ready) error

	// Close releases the kernel. Its handles must have been closed before.
	Close() error
}

// Handle is something that a kernel has opened and can arm: a [Conn] or a [Listener].
type Handle interface {
	// Close gives the handle back, and disarms it. A second call does nothing. No
	// method but Local and Remote is to be called afterwards.
	Close() error

	// Local is our address. It may ask the system at the first call, and is the
	// zero Addr if that fails, if there is none, or if the handle was closed before
	// anybody asked.
	Local() Addr
}

// Conn is one non-blocking stream of bytes in each direction: a socket, or a pair of
// descriptors that somebody else opened ([Watcher]). A method that would have to wait
// returns [ErrAgain], bare; each may do so at any time, also when readiness was reported.
// Read and Write return other errors as a [*SysError], which is both the kernel's
// sentinel (ErrReset, ErrBroken, ErrTimeout ...) and the system's own error.
//
// A conn around another has Unwrap() Conn. If it changes Write, it must have a Writev
// of its own too, for [Vectors] is looked for below it otherwise.
type Conn interface {
	// Close, in addition to what [Handle] says, still sends what was written; the
	// peer then reads io.EOF.
	Handle

	// Read reads into p, which is not empty. It may return fewer bytes than there are.
	// At the end of the peer's data it returns 0 and io.EOF, every time.
	Read(p []byte) (int, error)

	// Write takes a prefix of p and returns its length; less than len(p) with a
	// nil error is usual. p is not kept. An empty p is 0, nil.
	Write(p []byte) (int, error)

	// CloseWrite ends our direction: the peer reads the rest, then io.EOF.
	CloseWrite() error

	// Abort is Close by reset: what was not sent is dropped, and the peer's
	// next Read or Write fails with ErrReset (TCP-68). Where there is no such thing
	// as a reset, it is Close.
	Abort() error

	// Connected tells how a Dial ended: nil, ErrAgain while it has not, or why
	// it failed. It is nil on a conn that was not dialled.
	Connected() error

	// Remote is the peer's address, the zero Addr if it has none.
	Remote() Addr
}

// Listener is one socket that listens. A listener around another has Unwrap() Listener.
type Listener interface {
	Handle

	// Accept takes one connection off the queue. With none there it returns
	// [ErrAgain], bare; it may do so at any time, also when readiness was reported.
	// Other errors are a [*SysError]: ErrAccept if that connection has gone away,
	// ErrTooManyFiles, ErrNoResources, ErrPermission ...
	Accept() (Conn, error)
}

// Ready is a set of directions.
type Ready uint8

// The directions. A listener with a connection to accept is Readable; a conn
// whose Dial is over is Writable.
const (
	Readable Ready = 1 << iota
	Writable
)

// String is "r", "w", "rw" or "-".
func (r Ready) String() string {
	return [4]string{"-", "r", "w", "rw"}[r&3]
}

// Event says that the handle armed under Token is ready for Ready, a subset of
// what was armed.
type Event struct {
	Token uint32
	Ready Ready
}

// StreamOptions are the socket options of a stream, whether it was dialled or
// accepted. [ListenOptions] and [DialOptions] embed them, and so do the types of
// endpoints: the tags are the names of the options in the description of an
// endpoint, and their help.
type StreamOptions struct {
	// NoDelay sends small segments at once (TCP_NODELAY). Off by default
	// (TCP-63).
	NoDelay bool `ep:"nodelay" help:"send small segments at once"`
	// KeepAlive probes an idle peer (SO_KEEPALIVE). Off by default (TCP-63).
	KeepAlive bool `ep:"keepalive" help:"probe an idle peer"`
}

// ListenOptions are the options of Listen. Nil and the zero value are the
// defaults. A kernel neither keeps nor changes them.
type ListenOptions struct {
	// StreamOptions apply to each accepted conn.
	StreamOptions
	// Backlog is how many connections may wait to be accepted. Zero or negative:
	// as many as the system allows.
	Backlog int `ep:"backlog" help:"connections that may wait; without it, as many as the system allows"`
}

// DialOptions are the options of Dial. Nil and the zero value are the defaults.
// A kernel neither keeps nor changes them.
type DialOptions struct {
	StreamOptions
	// Bind is the local address. The zero Addr leaves the choice to the system;
	// a zero port leaves the port to it.
	Bind Addr
}
