package kernel

import (
	"io/fs"
	"os"
	"syscall"
)

// Sentinel returns an error to be compared with errors.Is, and never by text.
// It is also each of parents, so that a caller may ask for the wider class.
func Sentinel(text string, parents ...error) error {
	return &sentinel{text, parents}
}

type sentinel struct {
	text    string
	parents []error
}

func (s *sentinel) Error() string   { return s.text }
func (s *sentinel) Unwrap() []error { return s.parents }

// What a kernel's errors mean, whatever the system calls them. ErrAgain and
// ErrClosed are returned bare; the others come in a [*SysError] (ERR-3).
var (
	// ErrAgain: not now; wait for readiness.
	ErrAgain = Sentinel("operation would block")
	// ErrClosed: the handle or the kernel was closed by us.
	ErrClosed = Sentinel("use of closed descriptor", fs.ErrClosed)
	// ErrRefused: nobody listens there.
	ErrRefused = Sentinel("connection refused")
	// ErrReset: the peer ended the connection without finishing it.
	ErrReset = Sentinel("connection reset by peer")
	// ErrBroken: we wrote to a connection that can no longer take it.
	ErrBroken = Sentinel("broken pipe")
	// ErrTimeout: the network gave up. It is also os.ErrDeadlineExceeded.
	ErrTimeout = Sentinel("timed out", os.ErrDeadlineExceeded)
	// ErrNoRoute: no way to that network or host.
	ErrNoRoute = Sentinel("no route")
	// ErrAddrInUse: somebody else has that address.
	ErrAddrInUse = Sentinel("address in use")
	// ErrAddrUnavailable: that address is not one of this host's.
	ErrAddrUnavailable = Sentinel("address not available")
	// ErrPermission: not allowed. It is also fs.ErrPermission.
	ErrPermission = Sentinel("permission denied", fs.ErrPermission)
	// ErrTooManyFiles: this process has no descriptor left (EMFILE).
	ErrTooManyFiles = Sentinel("too many open files")
	// ErrNoResources: the system is short of memory, buffers or files.
	ErrNoResources = Sentinel("out of resources")
	// ErrAccept: the connection went away before it was accepted.
	ErrAccept = Sentinel("connection aborted before accept")
	// ErrBadDescriptor: that number is not an open descriptor.
	ErrBadDescriptor = Sentinel("bad descriptor")
	// ErrUnsupported: this kernel, or this system, cannot do that.
	ErrUnsupported = Sentinel("not supported")
)

// The names of operations in a [SysError]: those that every kernel has. A kernel may
// have others, after its own system calls.
const (
	OpArm      = "arm"      // Kernel.Arm
	OpAccept   = "accept"   // Listener.Accept
	OpBind     = "bind"     // Kernel.Listen and Kernel.Dial: the local address
	OpConnect  = "connect"  // Kernel.Dial and Conn.Connected
	OpListen   = "listen"   // Kernel.Listen: what is not about the address
	OpRead     = "read"     // Conn.Read
	OpReserve  = "reserve"  // Reserver.Reserve
	OpShutdown = "shutdown" // Conn.CloseWrite
	OpSocket   = "socket"   // Kernel.Listen and Kernel.Dial: the descriptor
	OpWatch    = "watch"    // Watcher.Watch
	OpWrite    = "write"    // Conn.Write and Vectors.Writev
)

// SysError is an operation of a kernel that failed, in a native kernel and in a
// simulated one. errors.Is finds Kind and Errno in it (ERR-3).
type SysError struct {
	// Op is the operation: one of the constants, such as [OpConnect], or the name of
	// another system call.
	Op string
	// Kind is the sentinel that Errno stands for; nil if none fits.
	Kind error
	// Errno is the system's own error, and in simulation the one that Linux would have
	// given.
	Errno syscall.Errno
}

// Error is "connect: connection refused".
func (e *SysError) Error() string { return e.Op + ": " + e.Errno.Error() }

// Unwrap gives the sentinel, if there is one, and the errno.
func (e *SysError) Unwrap() []error {
	if e.Kind != nil {
		return []error{e.Kind, e.Errno}
	}
	return []error{e.Errno}
}

// Timeout tells whether the network gave up, as net.Error has it.
func (e *SysError) Timeout() bool { return e.Kind == ErrTimeout || e.Errno.Timeout() }
