package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// The reasons why Run or RunUntil ended before it was done. They come as a [StuckError].
var (
	// ErrDeadlock: nothing is left that could happen.
	ErrDeadlock = errors.New("deadlock")
	// ErrLivelock: reactors turn, and time does not move.
	ErrLivelock = errors.New("livelock")
	// ErrLimit: the time given is over.
	ErrLimit = errors.New("limit reached")
)

// StuckError tells why Run or RunUntil ended before it was done, and how things stood.
type StuckError struct {
	// Why is ErrDeadlock, ErrLivelock or ErrLimit.
	Why error
	// Seed is the network's.
	Seed uint64
	// At is when it was.
	At time.Duration
	// Busy is for ErrLivelock: lines with the callbacks that were made most often while time did not move, and
	// with what would let it move.
	Busy string
	// Table is [Net.Table] at that time.
	Table string
}

// Error is one line, Busy and the table.
func (e *StuckError) Error() string {
	return fmt.Sprintf("sim: seed %d: %v at %v\n%s%s", e.Seed, e.Why, e.At, e.Busy, e.Table)
}

// Unwrap is Why.
func (e *StuckError) Unwrap() error { return e.Why }

// errnos are what a real system says.
var errnos = []struct {
	kind  error
	errno syscall.Errno
}{
	{kernel.ErrRefused, syscall.ECONNREFUSED},
	{kernel.ErrReset, syscall.ECONNRESET},
	{kernel.ErrBroken, syscall.EPIPE},
	{kernel.ErrTimeout, syscall.ETIMEDOUT},
	{kernel.ErrNoRoute, syscall.EHOSTUNREACH},
	{kernel.ErrAddrInUse, syscall.EADDRINUSE},
	{kernel.ErrAddrUnavailable, syscall.EADDRNOTAVAIL},
	{kernel.ErrTooManyFiles, syscall.EMFILE},
	{kernel.ErrPermission, syscall.EACCES},
	{kernel.ErrMessageSize, syscall.EMSGSIZE},
	{kernel.ErrNoResources, syscall.ENOBUFS},
	{kernel.ErrBadDescriptor, syscall.EBADF},
}

// fail is the error of an operation, for a kind that has an errno.
func fail(op string, kind error) error {
	e := &kernel.SysError{Op: op, Kind: kind}
	for _, x := range errnos {
		if x.kind == kind {
			e.Errno = x.errno
		}
	}
	return e
}

// otherFamily is the error of a socket that dials to and is bound to an address of the other family. Linux has one
// error for each family.
func otherFamily(to netip.Addr) error {
	if to.Is4() {
		return &kernel.SysError{Op: kernel.OpBind, Kind: kernel.ErrUnsupported, Errno: syscall.EAFNOSUPPORT}
	}
	return &kernel.SysError{Op: kernel.OpBind, Errno: syscall.EINVAL}
}
