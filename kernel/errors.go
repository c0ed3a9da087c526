package kernel

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// Sentinel returns an error to be compared with errors.Is, never by its text. The error
// is each of parents too, so that a caller may ask for the wider class.
func Sentinel(text string, parents ...error) error {
	return &sentinel{text, parents}
}

type sentinel struct {
	text    string
	parents []error
}

func (s *sentinel) Error() string   { return s.text }
func (s *sentinel) Unwrap() []error { return s.parents }

// Timeout is for os.IsTimeout. A sentinel is no net.Error, because whether to try again depends
// on the operation, which it does not know.
func (s *sentinel) Timeout() bool { return errors.Is(s, os.ErrDeadlineExceeded) }

// IsTimeout tells whether err, or an error in it, is a timeout: os.ErrDeadlineExceeded, or an
// error whose Timeout method says so, as those of package net have it. Nil is none.
func IsTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	return anyIn(err, func(e error) bool {
		t, ok := e.(interface{ Timeout() bool })
		return ok && t.Timeout()
	})
}

// anyIn tells whether is is true for err or any error in it.
func anyIn(err error, is func(error) bool) bool {
	if err == nil || is(err) {
		return err != nil
	}
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return anyIn(u.Unwrap(), is)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			if anyIn(e, is) {
				return true
			}
		}
	}
	return false
}

// IsTemporary tells whether the operation that failed with err may succeed when it is tried
// again without a change: after a timeout, an interruption, or a shortage of descriptors or
// memory, and if a Temporary method in err says so. Nil is not temporary.
func IsTemporary(err error) bool {
	for _, kind := range []error{ErrAgain, ErrTooManyFiles, ErrNoResources, ErrAccept} {
		if errors.Is(err, kind) {
			return true
		}
	}
	if IsTimeout(err) {
		return true
	}
	return anyIn(err, func(e error) bool {
		t, ok := e.(interface{ Temporary() bool })
		return ok && t.Temporary()
	})
}

// The kinds of a kernel's errors. They do not depend on how a system names or numbers its
// own. ErrAgain, ErrMustRead and ErrClosed are returned bare. The others are the Kind of a [*SysError]
// (ERR-3).
var (
	// ErrAgain: it cannot be done now; wait for readiness.
	ErrAgain = Sentinel("operation would block")
	// ErrMustRead: the bytes of a file cannot be sent without reading them. It is returned bare, by [Files].
	ErrMustRead = Sentinel("the file must be read")
	// ErrClosed: we have closed the handle or the kernel.
	ErrClosed = Sentinel("use of closed descriptor", fs.ErrClosed)
	// ErrRefused: nobody listens there.
	ErrRefused = Sentinel("connection refused")
	// ErrReset: the peer ended the connection by a reset.
	ErrReset = Sentinel("connection reset by peer")
	// ErrBroken: we wrote to a connection that takes nothing more. It is also syscall.EPIPE, whether the system has said so or the reactor has known it.
	ErrBroken = Sentinel("broken pipe", syscall.EPIPE)
	// ErrTimeout: the network gave up. It is also os.ErrDeadlineExceeded.
	ErrTimeout = Sentinel("timed out", os.ErrDeadlineExceeded)
	// ErrNoRoute: there is no route to that network or host.
	ErrNoRoute = Sentinel("no route")
	// ErrAddrInUse: somebody else has that address.
	ErrAddrInUse = Sentinel("address in use")
	// ErrAddrUnavailable: that address does not belong to this host.
	ErrAddrUnavailable = Sentinel("address not available")
	// ErrInvalidAddr: that value is no address for the operation. It is the Kind of an
	// [*AddrError].
	ErrInvalidAddr = Sentinel("invalid address")
	// ErrInvalidOption: that value is none for the option. It is in an [*OptionError].
	ErrInvalidOption = Sentinel("invalid option")
	// ErrPermission: not allowed. It is also fs.ErrPermission.
	ErrPermission = Sentinel("permission denied", fs.ErrPermission)
	// ErrTooManyFiles: this process has no descriptor left (EMFILE), or none that this kernel
	// can use ([Limits]).
	ErrTooManyFiles = Sentinel("too many open files")
	// ErrNoResources: the system is short of memory, buffers or files.
	ErrNoResources = Sentinel("out of resources")
	// ErrAccept: the connection ended before it was accepted.
	ErrAccept = Sentinel("connection aborted before accept")
	// ErrBadDescriptor: that number is not an open descriptor.
	ErrBadDescriptor = Sentinel("bad descriptor")
	// ErrUnsupported: this kernel, or this system, cannot do that.
	ErrUnsupported = Sentinel("not supported")
)

// The operations that a [SysError] of any kernel names. A kernel may name others, after
// its own system calls.
const (
	OpArm      = "arm"      // Kernel.Arm
	OpAccept   = "accept"   // Listener.Accept
	OpBind     = "bind"     // Kernel.Listen and Kernel.Dial: the local address
	OpConnect  = "connect"  // Kernel.Dial and Conn.Connected
	OpListen   = "listen"   // Kernel.Listen: all but the address
	OpOption   = "option"   // the setters of TCPConn
	OpRead     = "read"     // Conn.Read
	OpReserve  = "reserve"  // Reserver.Reserve
	OpShutdown = "shutdown" // Conn.CloseWrite
	OpSocket   = "socket"   // Kernel.Listen and Kernel.Dial: a new descriptor
	OpWait     = "wait"     // Kernel.Wait, and what Conn.Connected tells of a failure that it reported
	OpWatch    = "watch"    // Watcher.Watch
	OpWrite    = "write"    // Conn.Write and Vectors.Writev
)

// SysError is a failed operation of a kernel, native or simulated. errors.Is finds Kind
// and Errno in it (ERR-3).
type SysError struct {
	// Op is the operation: one of the constants, such as [OpConnect], or the name of
	// another system call.
	Op string
	// Kind is the sentinel that Errno stands for; nil if none fits.
	Kind error
	// Errno is the system's own error. In simulation it is the one that Linux would
	// return.
	Errno syscall.Errno
}

// Error is "connect: connection refused".
func (e *SysError) Error() string { return e.Op + ": " + e.Errno.Error() }

// Unwrap returns Kind, if there is one, and Errno.
func (e *SysError) Unwrap() []error {
	if e.Kind != nil {
		return []error{e.Kind, e.Errno}
	}
	return []error{e.Errno}
}

// Timeout tells whether the network gave up. A SysError is a net.Error (DESC-44).
func (e *SysError) Timeout() bool { return e.Kind == ErrTimeout || e.Errno.Timeout() }

// Temporary is [IsTemporary] of what Unwrap returns.
func (e *SysError) Temporary() bool { return IsTemporary(e.Kind) || e.Errno.Temporary() }

// Is tells whether target is os.ErrDeadlineExceeded and the error a timeout.
func (e *SysError) Is(target error) bool { return target == os.ErrDeadlineExceeded && e.Timeout() }

// AddrError says why an address cannot be used, before the system was asked. errors.Is finds
// Kind in it.
type AddrError struct {
	// Op is the operation: [OpListen], [OpConnect] or [OpBind].
	Op string
	// Addr is the address.
	Addr Addr
	// Reason is what is wrong with it, such as "it has no IP".
	Reason string
	// Kind is ErrInvalidAddr, or ErrUnsupported for a network that the kernel lacks.
	Kind error
}

// Error is `connect: address ":80": it has neither an IP nor a name`.
func (e *AddrError) Error() string {
	return e.Op + ": address " + strconv.Quote(e.Addr.String()) + ": " + e.Reason
}

// Unwrap is Kind.
func (e *AddrError) Unwrap() error { return e.Kind }

// CheckAddr returns why a kernel cannot use a for a stream and the operation, as an
// [*AddrError], or nil. A UNIX address needs a name of at most [MaxUNIXName] bytes. A TCP address
// needs an IP. Port 0 is no port to connect to; for OpListen and OpBind it means that the system
// chooses one. An IP that is unspecified, such as 0.0.0.0, is an address: any of this host to
// listen on, and this host to connect to.
func CheckAddr(op string, a Addr) error {
	bad := func(reason string) error {
		return &AddrError{Op: op, Addr: a, Reason: reason, Kind: ErrInvalidAddr}
	}
	switch {
	case a.IsZero():
		return bad("it is the zero Addr")
	case a.Net == UNIX:
		return checkUNIX(op, a)
	case a.Net != TCP:
		return &AddrError{Op: op, Addr: a, Reason: "network " + strconv.Quote(a.Net.String()) + ": " + ErrUnsupported.Error(), Kind: ErrUnsupported}
	case !a.IP.Addr().IsValid() && a.Name == "":
		return bad("it has neither an IP nor a name")
	case op == OpConnect && a.Port() == 0:
		return bad("it has no port")
	case !a.IP.Addr().IsValid():
		return bad("it is a name, not resolved yet")
	}
	return nil
}
