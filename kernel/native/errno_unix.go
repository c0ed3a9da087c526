//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// sentinel returns the kernel's sentinel for errno, nil if there is none.
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
	case unix.EMSGSIZE:
		return kernel.ErrMessageSize
	case unix.EOPNOTSUPP, unix.ENOSYS, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT:
		return kernel.ErrUnsupported
	}
	return nil
}

// lostBeforeAccept tells whether errno is about the connection that accept was to return,
// not about accept itself. Linux passes on what the network reported of that connection.
func lostBeforeAccept(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNABORTED, unix.ECONNRESET, unix.EPROTO, unix.ENETDOWN, unix.ENETUNREACH,
		unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENOPROTOOPT:
		return true
	}
	return false
}

// opError returns the error of the operation op. err is an error of package unix; one
// that is no errno is returned as it is.
func opError(op string, err error) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	return SysError(op, errno)
}
