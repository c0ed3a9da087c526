//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// sentinel is what errno means to a caller who does not care for the system; nil
// if there is no word for it.
func sentinel(op string, errno syscall.Errno) error {
	if op == kernel.OpAccept && lostBeforeAccept(errno) {
		return kernel.ErrAccept
	}
	switch errno {
	case unix.ECONNREFUSED:
		return kernel.ErrRefused
	case unix.ECONNRESET, unix.ECONNABORTED:
		return kernel.ErrReset
	case unix.EPIPE, unix.ENOTCONN, unix.ESHUTDOWN:
		return kernel.ErrBroken
	case unix.ETIMEDOUT:
		return kernel.ErrTimeout
	case unix.ENETUNREACH, unix.EHOSTUNREACH:
		return kernel.ErrNoRoute
	case unix.EADDRINUSE:
		return kernel.ErrAddrInUse
	case unix.EADDRNOTAVAIL:
		return kernel.ErrAddrUnavailable
	case unix.EPERM, unix.EACCES:
		return kernel.ErrPermission
	case unix.EMFILE:
		return kernel.ErrTooManyFiles
	case unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return kernel.ErrNoResources
	case unix.EBADF:
		return kernel.ErrBadDescriptor
	case unix.EOPNOTSUPP, unix.ENOSYS, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT:
		return kernel.ErrUnsupported
	}
	return nil
}

// lostBeforeAccept tells the errors of the connection that accept was to return
// from those of accept itself: Linux hands over what the network said of it.
func lostBeforeAccept(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNABORTED, unix.ECONNRESET, unix.EPROTO, unix.ENETDOWN, unix.ENETUNREACH,
		unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENOPROTOOPT:
		return true
	}
	return false
}

// opError is the error of a system call. err is of the kind package unix returns.
func opError(op string, err error) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	return SysError(op, errno)
}
