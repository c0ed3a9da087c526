package kernel

import (
	"fmt"
	"iter"
	"os"
	"strings"
	"time"
)

// Vectors is a Conn that can write several slices at once.
type Vectors interface {
	// Writev writes the concatenation of bufs, as Write would. It may take only a prefix
	// of it, whatever its length. It neither keeps nor changes bufs and its slices.
	Writev(bufs [][]byte) (int, error)
}

// Files is a Conn that sends from a file without bringing its bytes into the program.
type Files interface {
	// WriteFile sends a prefix of r, as Write would, and returns its length. It neither keeps nor changes the file, nor its
	// position.
	//
	// It does not wait for a disk unless r.MayWait says that it may. The error is [ErrMustRead], bare, and nothing was sent, if r
	// begins at the end of the file or behind it, if some of r may not be in memory, if the system does not tell, or if the system cannot send
	// that file. Whoever then reads the file learns which it is. All other errors are those of Write.
	WriteFile(r FileRange) (int, error)
}

// FileRange is a piece of a file.
type FileRange struct {
	// File is open for reading. Whoever makes the FileRange keeps it open.
	File *os.File
	// Offset is where the piece begins, and Length how long it is, in bytes. Neither is negative.
	Offset int64
	Length int
	// MayWait allows to wait for the disk, during which the loop stands still.
	MayWait bool
}

// TCPConn is a Conn with TCP's options: those of [StreamOptions], while the connection lives.
// A setter takes effect at once. A getter asks the system. After Close both fail with
// ErrClosed. A value that is refused, or that the system lacks, is an [*OptionError].
type TCPConn interface {
	// SetNoDelay sets TCP_NODELAY: on, small segments are sent at once. It is the reverse of
	// Nagle.
	SetNoDelay(on bool) error
	NoDelay() (bool, error)
	// SetKeepAlive turns KeepAlive on, with the default [Probes], or off. KeepAlive tells
	// whether it is on.
	SetKeepAlive(on bool) error
	KeepAlive() (bool, error)
	// SetProbes turns KeepAlive on, with these Probes. Zero fields are the defaults. Probes
	// returns what the system has, also when KeepAlive is off.
	SetProbes(p Probes) error
	Probes() (Probes, error)
	// SetUserTimeout sets UserTimeout. Zero leaves it to the system again.
	SetUserTimeout(d time.Duration) error
	UserTimeout() (time.Duration, error)
	// SetSendBuffer and SetRecvBuffer set the sizes of the buffers, in bytes. Zero is
	// refused: a system cannot go back to a size of its own. The getters return what the
	// system gave, which may be less or more: Linux gives twice as much, for its own needs.
	SetSendBuffer(size int) error
	SendBuffer() (int, error)
	SetRecvBuffer(size int) error
	RecvBuffer() (int, error)
}

// Watcher is a Kernel that reports the readiness of descriptors that somebody else
// opened: pipes, terminals, devices, regular files.
type Watcher interface {
	// Watch returns a conn that reads from the descriptor in and writes to the descriptor
	// out. They may be the same. Read and Write are the plain system calls: they block if
	// the descriptor does. Arm watches in for Readable and out for Writable. A regular
	// file is always ready.
	//
	// If out is another descriptor than in, and a pipe or a socket, the conn is Failed when nobody can
	// read out any more, also while nothing is written. Connected then tells ErrBroken.
	//
	// The descriptors belong to their owner and stay open: Close and Abort only forget
	// them, and CloseWrite only makes later writes fail with ErrBroken. Local and Remote
	// are zero.
	//
	// A descriptor that is not open is ErrBadDescriptor, from Watch or from Arm.
	//
	// A number belongs to the last handle of the kernel that got it. A conn of Watch that
	// had it before is gone: see [Watched].
	Watch(in, out int) (Conn, error)
}

// SideReader is a Conn that another goroutine may read, while that of the kernel does not read it and has not closed it. The
// conns of sockets are SideReaders on Linux. Who asks does so without looking through wrappers, whose Read may be another one.
type SideReader interface {
	// ReadAside is Read, but tells nobody that what was there is used up: whoever goes on with Read arms the conn again.
	ReadAside(p []byte) (int, error)
}

// Watched is a Conn of [Watcher].Watch.
type Watched interface {
	// Gone tells whether the kernel has seen one of the descriptors' numbers given out
	// again: to an accepted or dialled conn, to a listener, to the reserve, or to another
	// Watch. So the owner has closed it without a word. From then on the conn does nothing
	// with that number: Read, Write and Arm fail with ErrBadDescriptor. If the conn is
	// armed, each Wait reports it, so that its user asks. Gone is false after Close.
	Gone() bool
	// Changed asks the system whether the numbers still refer to the files they referred to
	// when Watch was called. It returns true if Gone does, and false after Close.
	Changed() bool
}

// Halves is a Conn whose directions are two things that end each by itself, such as standard
// input and output. When its output fails, the input goes on. If the protocol distinguishes the
// directions, a stream then ends its own alone.
type Halves interface {
	// WriteFailed returns why nothing more can be written, a [*SysError], or nil as long as
	// something can. It is asked when [Failed] was reported.
	WriteFailed() error
}

// Reserver is a Kernel that can keep one descriptor in reserve. It is given up when the
// process has no other left (TCP-22).
type Reserver interface {
	// Reserve opens the descriptor, unless it is open already.
	Reserve() error
	// Release closes the descriptor. It returns false if there was none.
	Release() bool
}

// Signals is a Kernel whose process receives signals.
type Signals interface {
	// Notify calls fn for each delivery of one of sigs, on a goroutine that the kernel
	// chooses. Until stop is called, those signals do not have their default action. fn
	// is not called after stop has returned.
	Notify(fn func(os.Signal), sigs ...os.Signal) (stop func())
}

// Worker is a Kernel that runs blocking work itself. A simulated kernel does: results come
// in virtual time, in an order that its seed decides. For other kernels a reactor has
// goroutines.
type Worker interface {
	// Work makes a later Wait call fn, once, and return after it. So fn runs on the loop's
	// goroutine, and must not wait for the loop. Work may be called from any goroutine.
	Work(fn func())
	// FinishWork calls the functions that have not been called yet, at once and in the
	// order of Work. A reactor calls it at its end.
	FinishWork()
}

// Mover is a Kernel whose conns can become those of another kernel of this process. So one loop accepts connections for
// others. It costs no system call, and the conn stays the same object, with its addresses and options. Wrappers of the conn
// stay around it.
type Mover interface {
	// GiveConn takes c out of this kernel, on whose goroutine it is called. c must be connected and not armed. From
	// then on nothing but TakeConn may be called with it. It is ErrUnsupported if c is no conn of this kernel, or of
	// a kind that cannot be moved, and ErrClosed. Then nothing has changed.
	GiveConn(c Conn) error
	// TakeConn makes c, which another kernel of the same kind has given, one of this kernel, on whose goroutine it is
	// called. It fails as Accept does if the kernel has no room for it (ErrTooManyFiles), or is closed; then c
	// may be given to another one.
	TakeConn(c Conn) error
}

// Steerer is a Kernel whose loops can be bound to CPUs, as a group of loops with GroupConfig.Steer does. Linux has it.
type Steerer interface {
	// CPUs are the numbers of those on which the calling thread may run, in their order.
	CPUs() ([]int, error)
	// Pin has the calling thread run on that CPU alone. The caller has locked its goroutine to the thread. What Spawn of this kernel starts
	// on that thread is not bound; what is started there in another way, as by os/exec, is.
	Pin(cpu int) error
	// SteerTo has the system give l, of several listeners that share an address by ListenOptions.ReusePort, the connections whose first
	// packet is handled by that CPU. Those of a CPU that no listener has are shared out among all. It is for l before others share
	// the address, and after; others that close change nothing. Linux before 6.2, unless the change was brought to it, takes it and shares out
	// as without it.
	SteerTo(l Listener, cpu int) error
}

// Named is a Kernel with a name to select it by, such as "epoll".
type Named interface {
	Name() string
}

// Guesser is a Kernel that can leave out looks that are not worth their time.
type Guesser interface {
	// Guess says whether Wait may report a handle as [Readable] without having looked: it was ready alone for some time, and its input
	// comes soon each time. If none has come yet, its Read returns [ErrAgain], and nothing else happens. Wait may then return
	// before anything is ready, for some microseconds. At first it may not. A loop may allow it that makes one turn after the other.
	Guess(allowed bool)
}

// Limited is a Kernel that cannot do all that package kernel describes.
type Limited interface{ Limits() Limits }

// Limits are what a Kernel lacks. The zero value means that it lacks nothing.
type Limits struct {
	// Descriptors: it can use only descriptors whose number is below this. Listen, Dial,
	// Accept and Reserve fail with ErrTooManyFiles if the system gives out another one; the
	// client stays in the queue. 0 means any number.
	Descriptors int
	// NoFailed: Failed can be armed and is never reported.
	NoFailed bool
}

// LimitsOf returns the limits of k, which it finds through wrappers.
func LimitsOf(k Kernel) Limits {
	if l, ok := As[Limited](k); ok {
		return l.Limits()
	}
	return Limits{}
}

// NameOf returns the name of k, which it finds through wrappers. A kernel without a name
// has that of its type.
func NameOf(k Kernel) string {
	if n, ok := As[Named](k); ok {
		return n.Name()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", k), "*")
}

// Walk finds a T: v itself or the outermost one on the chain that v.Unwrap() begins. It
// tells whether there is one. W is the interface that Unwrap must return.
//
// A wrapper therefore hides no capability by accident. A wrapper that changes a
// capability implements it.
func Walk[T, W any](v W) (T, bool) {
	for any(v) != nil { // not over Layers, because each connection asks, and an iterator takes twice as long
		if c, ok := any(v).(T); ok {
			return c, true
		}
		u, ok := any(v).(interface{ Unwrap() W })
		if !ok {
			break
		}
		v = u.Unwrap()
	}
	var none T
	return none, false
}

// Layers yields v and what it wraps, the outermost first. W is the interface that Unwrap must return.
func Layers[W any](v W) iter.Seq[W] {
	return func(yield func(W) bool) {
		for any(v) != nil && yield(v) {
			u, ok := any(v).(interface{ Unwrap() W })
			if !ok {
				return
			}
			v = u.Unwrap()
		}
	}
}

// As finds the capability T of k, through its wrappers. A reactor calls it once, when it
// is made, and keeps the result.
func As[T any](k Kernel) (T, bool) { return Walk[T](k) }

// ConnLayers is [Layers] of a conn, where each connection asks: a generic function looks its interface up in a table, which takes longer.
func ConnLayers(c Conn) iter.Seq[Conn] {
	return func(yield func(Conn) bool) {
		for c != nil && yield(c) {
			u, ok := c.(interface{ Unwrap() Conn })
			if !ok {
				return
			}
			c = u.Unwrap()
		}
	}
}

// ConnAs finds the capability T of c, through its wrappers. Where each connection asks, a loop over [ConnLayers] that names
// the capability is quicker, for the same reason.
func ConnAs[T any](c Conn) (T, bool) {
	for l := range ConnLayers(c) {
		if t, ok := l.(T); ok {
			return t, true
		}
	}
	var none T
	return none, false
}

// ListenerAs finds T in l, through its wrappers.
func ListenerAs[T any](l Listener) (T, bool) { return Walk[T](l) }

// Base returns the innermost kernel: it follows Unwrap from k until a kernel has none.
func Base(k Kernel) Kernel {
	for l := range Layers(k) {
		k = l
	}
	return k
}
