// Package kernel is the seam between the reactor and the source of readiness and bytes:
// epoll, poll, select, or a simulated network.
//
// The package states everything that the reactor asks of an operating system. A back end
// implements [Kernel], [Conn] and [Listener]. A capability that only some back ends have
// is a small interface of its own ([Vectors], [Files], [TCPConn], [Watcher], [Reserver],
// [Signals], [Spawner]). The reactor looks for it once, with [As] or [ConnAs]. What a back end cannot
// do, it says by [Limited]. Package kerneltest tests the promises of a kernel; every back
// end passes that suite.
//
// A kernel and its handles belong to one goroutine, the loop's. Only Wake may be called
// from others.
package kernel

import (
	"math"
	"time"
)

// Forever, as the second argument of [Kernel.Wait], means no limit.
const Forever = time.Duration(math.MaxInt64)

// After is t+d without overflow: Forever, if no time is so late. t is not negative.
func After(t, d time.Duration) time.Duration { return t + min(d, Forever-t) }

// Kernel is one source of readiness and of the sockets that it reports. All methods but
// Wake are called on one goroutine.
type Kernel interface {
	// Now is monotonic time since an origin that the kernel chooses. It is always
	// positive.
	Now() time.Duration

	// Wait fills ev with what is ready and returns how many it filled. It
	// returns when something is ready, after Wake, or when Now has reached
	// until, never before; it may return 0 early only because of Wake or a
	// signal. An until that has passed (zero, for instance) means: look, do
	// not block. [Forever] means: no limit. Readiness is level-triggered: what
	// was not consumed is reported again. One token stands at most once in ev.
	// len(ev) must not be 0; what does not fit is reported by the next call,
	// and no ready token is left out for ever. A [Guesser] to which that was allowed
	// may report a handle that is not ready.
	Wait(ev []Event, until time.Duration) (int, error)

	// Wake makes the Wait in progress, or else the next one, return at once.
	// It may be called from any goroutine and from signal context, never
	// blocks, is never lost, and many calls count as one. After Close it does
	// nothing.
	Wake()

	// Listen binds a stream socket to a, which is a TCP or UNIX address, and listens. If the port is zero the system takes
	// a free one, which Local returns. An IPv6 socket is for IPv6 alone (TCP-6). The
	// address is free for use again as soon as the listener is closed (TCP-3).
	Listen(a Addr, o *ListenOptions) (Listener, error)

	// Dial starts to connect a stream socket to a. The attempt is over when the conn is
	// Writable; Connected then tells how it ended. A failure that is known at once is
	// returned by Dial or by Connected. A conn that would be connected to itself, because
	// the system chose the port that is dialled, is ErrRefused: nobody listens there. If
	// o.Bind names that port, the system decides.
	//
	// A UNIX socket is connected at once or not at all. If the queue of the listener is full,
	// Dial fails with ErrAgain, bare; nothing tells when there is room.
	Dial(a Addr, o *DialOptions) (Conn, error)

	// Arm says which readiness of h is reported, and under which token. A later call
	// replaces an earlier one; zero disarms. Nothing is reported for a handle that is
	// disarmed, not even failure. A hang-up or an error of the socket is reported as the
	// directions that are armed, so that the next Read or Write finds it. Two handles
	// must not share a token.
	//
	// [Failed] is no direction. It may be armed alone, for a conn that waits for nothing
	// else and is to hear of a reset. A hang-up that is no failure is not reported as Failed.
	//
	// h is a handle of this kernel. A kernel that wraps the handles of another one
	// unwraps h before it passes it on.
	Arm(h Handle, token uint32, r Ready) error

	// Close releases the kernel. Its handles must have been closed before.
	Close() error
}

// Handle is something that a kernel has opened and can arm: a [Conn], a [Listener], a [PacketConn] or a [Child].
type Handle interface {
	// Close disarms the handle and closes it. A second call does nothing. Afterwards only
	// Local and Remote may be called.
	Close() error

	// Local is our address. The first call may ask the system. Local is the zero Addr if
	// there is none, if the system refuses, or if the handle was closed before the first
	// call.
	Local() Addr
}

// Conn is one non-blocking stream of bytes in each direction: a socket, or a pair of
// descriptors that somebody else opened ([Watcher]).
//
// A method that would have to wait returns [ErrAgain], bare. It may do so at any time,
// also after readiness was reported. Read and Write return other errors as a [*SysError]:
// errors.Is finds the kernel's sentinel (ErrReset, ErrBroken, ErrTimeout ...) and the
// system's own error in it.
//
// A wrapper of a conn has Unwrap() Conn. If it changes Write it must implement Writev and
// WriteFile too. Otherwise [Vectors] and [Files] are found in the conn below, and what they
// send goes past the wrapper. A WriteFile that always returns [ErrMustRead] will do.
type Conn interface {
	// Handle has Close and Local. After Close of a conn, what was written is still sent;
	// the peer then reads io.EOF.
	Handle

	// Read reads into p, which must not be empty. It may return fewer bytes than have
	// arrived. After the last byte of the peer, each call returns 0 and io.EOF.
	Read(p []byte) (int, error)

	// Write takes a prefix of p and returns its length. Less than len(p) with a nil error
	// is usual. p is not kept. For an empty p the result is 0, nil.
	Write(p []byte) (int, error)

	// CloseWrite ends our direction: the peer reads what was written before, then io.EOF.
	CloseWrite() error

	// Abort closes by a reset. What was not sent is dropped, and the peer's next Read or
	// Write fails with ErrReset (TCP-68). If the transport has no reset, Abort is Close.
	Abort() error

	// Connected tells how a Dial ended: nil, the reason why it failed, or ErrAgain while
	// it is still going on.
	//
	// On a conn that is connected, dialled or accepted, it tells after [Failed] was
	// reported why the conn has failed: a [*SysError] with [OpWait] that is ErrReset,
	// ErrTimeout, ErrNoRoute ... It tells so once, like the system, and to one caller: a
	// Read or Write that has returned the error took it. Nil means that nothing has failed
	// since. Later reads still return the input that came before the failure, and then an
	// error or io.EOF. That io.EOF is no orderly end.
	Connected() error

	// Remote is the peer's address. It is the zero Addr if the peer has none.
	Remote() Addr
}

// Listener is one listening socket. A wrapper of a listener has Unwrap() Listener.
type Listener interface {
	Handle

	// Accept takes one connection off the queue. If the queue is empty it returns
	// [ErrAgain], bare. It may do so at any time, also after readiness was reported.
	// Other errors are a [*SysError]: ErrAccept if that connection has ended already,
	// ErrTooManyFiles, ErrNoResources, ErrPermission ...
	Accept() (Conn, error)
}

// Ready is a set of what a handle can be ready for: the two directions, and Failed.
type Ready uint8

// The directions. A listener with a connection to accept is Readable; a conn
// whose Dial is over is Writable.
const (
	Readable Ready = 1 << iota
	Writable
)

// Failed of a conn means that the network has ended it: the peer reset it, keepalive or a
// user timeout gave up, an ICMP error ended it, or its Dial failed. [Conn.Connected] then
// tells why, and until it was asked Failed may be reported again. It comes together with
// Readable and Writable if these are armed.
//
// The peer's orderly end is no failure, not even when both directions have ended. Unread
// input is none either, and does not hide one. If Failed is reported without a cause,
// Connected returns nil.
//
// Not every handle fails. Arm takes Failed for the others too and need not report it:
// listeners, descriptors of [Watcher] (but see there), children, pairs in memory. select(2) cannot tell a failure
// from input: that kernel never reports Failed, and says so by [Limits]. poll(2) stops
// looking for failures of a conn that is armed for Failed alone when both directions have
// ended; arming it anew looks again.
const Failed Ready = 1 << 2

// String is "-", or the letters of what is in r: "r", "w" and "f".
func (r Ready) String() string {
	return [8]string{"-", "r", "w", "rw", "f", "rf", "wf", "rwf"}[r&7]
}

// Event says that the handle armed under Token is ready for Ready. Ready is a subset of
// what was armed.
type Event struct {
	Token uint32
	Ready Ready
}
