package kernel

import (
	"fmt"
	"os"
	"strings"
)

// Vectors is a Conn that can write several slices at once.
type Vectors interface {
	// Writev is Write of the concatenation of bufs. It may take only the first
	// of them, however many there are. Neither bufs nor what it holds is kept
	// or changed.
	Writev(bufs [][]byte) (int, error)
}

// TCPConn is a Conn with TCP's options. The setters act at once; the getters ask
// the system.
type TCPConn interface {
	SetNoDelay(on bool) error
	NoDelay() (bool, error)
	SetKeepAlive(on bool) error
	KeepAlive() (bool, error)
}

// Watcher is a Kernel that tells the readiness of descriptors that somebody
// else opened: pipes, terminals, devices, regular files.
type Watcher interface {
	// Watch returns a conn that reads from the descriptor in and writes to out, which
	// may be the same. Read and Write are the plain system calls, and block if the
	// descriptor does. Arm watches in for Readable and out for Writable. The
	// descriptors stay open, and their owner's: Close and Abort only forget them, and
	// CloseWrite only refuses later writes with ErrBroken. Local and Remote are zero.
	// A regular file is always ready. A descriptor that is not open is
	// ErrBadDescriptor, here or from Arm.
	Watch(in, out int) (Conn, error)
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

// Worker is a Kernel that runs blocking work itself. A simulated kernel does: results come
// in virtual time, in an order that its seed decides. For other kernels a reactor has
// goroutines.
type Worker interface {
	// Work has fn called once, later, in a Wait, which returns after it. So fn runs on the
	// loop's goroutine, and must not wait for the loop. Work may be called from any
	// goroutine.
	Work(fn func())
	// FinishWork calls at once, in the order of Work, what has not been called yet. It is
	// for the end of a reactor.
	FinishWork()
}

// Named is a Kernel with a name to be chosen by, such as "epoll".
type Named interface {
	Name() string
}

// NameOf is the name of k, also if k is around the kernel that has it, or its type's
// when there is none.
func NameOf(k Kernel) string {
	if n, ok := As[Named](k); ok {
		return n.Name()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", k), "*")
}

// Walk finds a T in v, or in what v.Unwrap() leads to, the outermost first. W is the
// interface that v is known as, and that Unwrap must return. So a wrapper hides nothing
// by accident, and what it changes it implements itself.
func Walk[T, W any](v W) (T, bool) {
	for any(v) != nil {
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

// As finds the capability T of k, through its wrappers. It is looked for once, when a
// reactor is made, and kept.
func As[T any](k Kernel) (T, bool) { return Walk[T](k) }

// ConnAs finds the capability T of c, through its wrappers.
func ConnAs[T any](c Conn) (T, bool) { return Walk[T](c) }

// ListenerAs finds T in l, through its wrappers.
func ListenerAs[T any](l Listener) (T, bool) { return Walk[T](l) }

// Base is the kernel that k, and what its Unwrap leads to, are around, or k itself.
func Base(k Kernel) Kernel {
	for {
		u, ok := k.(interface{ Unwrap() Kernel })
		if !ok {
			return k
		}
		k = u.Unwrap()
	}
}
