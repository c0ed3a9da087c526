// Package kernel is the seam between the reactor and whatever moves bytes:
// epoll, poll, select, or a simulated network.
//
// Everything the reactor asks of an operating system is said here, and nothing
// else is. A back end implements [Kernel] and [Sock]; what only some can do is
// a small interface of its own ([Vectors], [TCPSock], [Watcher], [Reserver],
// [Signals]), found once by assertion. Package kerneltest holds the promises
// of a kernel as a suite that every back end passes.
//
// A kernel and its socks belong to one goroutine, the loop's. Only Wake may be
// called from others.
package kernel

import (
	"fmt"
	"math"
	"os"
	"strings"
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
	// address is free for use again as soon as the sock is closed (TCP-3).
	Listen(a Addr, o *ListenOptions) (Sock, error)

	// Dial starts connecting a stream socket to a. The attempt is over when the
	// sock is Writable; Connected then tells how it ended. An error here is
	// one that was known at once; it may also come from Connected.
	Dial(a Addr, o *DialOptions) (Sock, error)

	// Arm says which readiness of s is to be reported, and under which token.
	// A later call replaces an earlier one; zero disarms. While s is disarmed
	// nothing is reported for it, not even failure. A hang-up or an error of the
	// socket is reported as whatever is armed, so that the next Read or Write
	// finds it. Two socks must not share a token.
	Arm(s Sock, token uint32, r Ready) error

	// Close releases the kernel. Its socks must have been closed before.
	Close() error
}

// Sock is one non-blocking stream socket, listening or connected. A method that
// would have to wait returns [ErrAgain], bare. Read and Write return other
// errors wrapped so that errors.Is finds both the kernel's sentinel (ErrReset,
// ErrBroken, ErrTimeout ...) and the system's own error.
type Sock interface {
	// Read reads into p, which is not empty. At the end of the peer's data it
	// returns 0 and io.EOF, every time.
	Read(p []byte) (int, error)

	// Write takes a prefix of p and returns its length; less than len(p) with a
	// nil error is usual. p is not kept. An empty p is 0, nil.
	Write(p []byte) (int, error)

	// Accept takes one connection off a listening sock.
	Accept() (Sock, error)

	// Connected tells how a Dial ended: nil, ErrAgain while it has not, or why
	// it failed.
	Connected() error

	// CloseWrite ends our direction: the peer reads the rest, then io.EOF.
	CloseWrite() error

	// Close gives the socket back. What was written is still sent; the peer
	// then reads io.EOF. It disarms. A second call does nothing. No method but
	// Local and Remote is to be called afterwards.
	Close() error

	// Abort is Close by reset: what was not sent is dropped, and the peer's
	// next Read or Write fails with ErrReset (TCP-68).
	Abort() error

	// Local is our address. It may ask the system at the first call, and is the
	// zero Addr if that fails or if the sock was closed before anybody asked.
	Local() Addr

	// Remote is the peer's address, the zero Addr for a listening sock.
	Remote() Addr
}

// Ready is a set of directions.
type Ready uint8

// The directions. A listening sock with a connection to accept is Readable; one
// whose Dial is over is Writable.
const (
	Readable Ready = 1 << iota
	Writable
)

// String is "r", "w", "rw" or "-".
func (r Ready) String() string {
	return [4]string{"-", "r", "w", "rw"}[r&3]
}

// Event says that the sock armed under Token is ready for Ready, a subset of
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
	// StreamOptions apply to each accepted sock.
	StreamOptions
	// Backlog is how many connections may wait to be accepted. Zero or negative:
	// as many as the system allows.
	Backlog int
}

// DialOptions are the options of Dial. Nil and the zero value are the defaults.
// A kernel neither keeps nor changes them.
type DialOptions struct {
	StreamOptions
	// Bind is the local address. The zero Addr leaves the choice to the system;
	// a zero port leaves the port to it.
	Bind Addr
}

// Vectors is a Sock that can write several slices at once.
type Vectors interface {
	// Writev is Write of the concatenation of bufs. It may take only the first
	// of them, however many there are. Neither bufs nor what it holds is kept
	// or changed.
	Writev(bufs [][]byte) (int, error)
}

// TCPSock is a Sock with TCP's options. The setters act at once; the getters ask
// the system.
type TCPSock interface {
	SetNoDelay(on bool) error
	NoDelay() (bool, error)
	SetKeepAlive(on bool) error
	KeepAlive() (bool, error)
}

// Watcher is a Kernel that tells the readiness of descriptors that somebody
// else opened, reads and writes: pipes, terminals, devices, regular files.
type Watcher interface {
	// Watch returns a sock that stands for fd. Arm works on it; Read and Write
	// are the plain system calls; Close and Abort forget fd without closing it;
	// the rest returns ErrUnsupported or zero. A regular file is always ready.
	// A descriptor that is not open is ErrBadDescriptor, here or from Arm.
	Watch(fd int) (Sock, error)
}

// Reserver is a Kernel that can keep one descriptor in hand for the moment when
// none are left (TCP-22).
type Reserver interface {
	// Reserve takes the descriptor, unless it is held already.
	Reserve() error
	// Release gives it up, and tells whether it was held.
	Release() bool
}

// Signals is a Kernel whose process receives signals.
type Signals interface {
	// Notify calls fn, on a goroutine of its own choosing, for each delivery of
	// one of sigs, until stop is called. While it is in force the default action
	// of those signals does not happen. After stop returns fn is not called.
	Notify(fn func(os.Signal), sigs ...os.Signal) (stop func())
}

// Named is a Kernel with a name to be chosen by, such as "epoll".
type Named interface {
	Name() string
}

// NameOf is the name of k, or its type's when it has none.
func NameOf(k Kernel) string {
	if n, ok := k.(Named); ok {
		return n.Name()
	}
	return strings.TrimPrefix(typeName(k), "*")
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }
