package sim

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Why a run ended without what it was for; they come as a [StuckError].
var (
	// ErrDeadlock: nothing is left that could happen.
	ErrDeadlock = errors.New("deadlock")
	// ErrLivelock: reactors turn, and time does not move.
	ErrLivelock = errors.New("livelock")
	// ErrLimit: the time given is over.
	ErrLimit = errors.New("limit reached")
)

// StuckError tells why a run ended without what it was for, and how things stood.
type StuckError struct {
	// Why is ErrDeadlock, ErrLivelock or ErrLimit.
	Why error
	// Seed is the network's.
	Seed uint64
	// At is when it was.
	At time.Duration
	// Table is [Net.Table] at that time.
	Table string
}

// Error is one line and the table.
func (e *StuckError) Error() string {
	return fmt.Sprintf("sim: seed %d: %v at %v\n%s", e.Seed, e.Why, e.At, e.Table)
}

// Unwrap is Why.
func (e *StuckError) Unwrap() error { return e.Why }

// SysError is a simulated system call that failed. errors.Is finds the kernel
// package's sentinel and the errno a real system would have given.
type SysError struct {
	// Op is the call in one word: "connect", "read", "accept" ...
	Op string
	// Errno is what a real system would have said.
	Errno syscall.Errno

	kind error
}

// Error is "connect: connection refused".
func (e *SysError) Error() string { return e.Op + ": " + e.kind.Error() }

// Unwrap gives the sentinel and the errno.
func (e *SysError) Unwrap() []error { return []error{e.kind, e.Errno} }

// Timeout tells whether the network gave up, as net.Error has it.
func (e *SysError) Timeout() bool { return e.kind == kernel.ErrTimeout }

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
}

func fail(op string, kind error) error {
	for _, e := range errnos {
		if e.kind == kind {
			return &SysError{op, e.errno, kind}
		}
	}
	return fmt.Errorf("sim: %s: %w", op, kind)
}
