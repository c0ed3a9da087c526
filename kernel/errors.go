package kernel

import (
	"io/fs"
	"os"
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
// ErrClosed are returned bare; the others come wrapped with the system call and
// the system's own error (ERR-3).
var (
	// ErrAgain: not now; wait for readiness.
	ErrAgain = Sentinel("operation would block")
	// ErrClosed: the sock or the kernel was closed by us.
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
