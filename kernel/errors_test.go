package kernel_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// ERR-1: errors.Is sees an error's parents, and theirs.
func TestSentinelParents(t *testing.T) {
	a, other := kernel.Sentinel("a"), kernel.Sentinel("other")
	b := kernel.Sentinel("b", a)
	c := kernel.Sentinel("c", other, b)
	for _, x := range []struct {
		err, target error
		want        bool
	}{
		{a, a, true}, {b, a, true}, {c, a, true}, {c, b, true}, {c, other, true},
		{a, b, false}, {b, other, false}, {b, c, false},
		{a, kernel.Sentinel("a"), false}, // never by text
		{fmt.Errorf("while testing: %w", c), a, true},
	} {
		if got := errors.Is(x.err, x.target); got != x.want {
			t.Errorf("ERR-1: errors.Is(%v, %v) is %v", x.err, x.target, got)
		}
	}
	// ERR-4: the text is its own alone.
	if c.Error() != "c" {
		t.Errorf("ERR-4: %q", c.Error())
	}
}

// ERR-1: errors.Is finds the standard library's errors in the kernel's. None of the
// kernel's errors is another one.
func TestSentinels(t *testing.T) {
	for err, parent := range map[error]error{
		kernel.ErrClosed:     fs.ErrClosed,
		kernel.ErrTimeout:    os.ErrDeadlineExceeded,
		kernel.ErrPermission: fs.ErrPermission,
		kernel.ErrBroken:     syscall.EPIPE, // many programs ask for this one
	} {
		if !errors.Is(err, parent) {
			t.Errorf("ERR-1: %v is not %v", err, parent)
		}
	}
	all := []error{
		kernel.ErrAgain, kernel.ErrClosed, kernel.ErrRefused, kernel.ErrReset, kernel.ErrBroken, kernel.ErrTimeout,
		kernel.ErrNoRoute, kernel.ErrAddrInUse, kernel.ErrAddrUnavailable, kernel.ErrInvalidAddr, kernel.ErrInvalidOption, kernel.ErrPermission, kernel.ErrTooManyFiles,
		kernel.ErrNoResources, kernel.ErrAccept, kernel.ErrBadDescriptor, kernel.ErrUnsupported,
	}
	for i, a := range all {
		if a.Error() == "" {
			t.Errorf("ERR-4: error %d has no text", i)
		}
		for j, b := range all {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("ERR-1: errors.Is(%v, %v) is %v", a, b, i != j)
			}
		}
	}
}

// DESC-44: a timeout is found behind errors that have the method and are none.
func TestIsTimeoutBehindOthers(t *testing.T) {
	late := &net.DNSError{Err: "late", IsTimeout: true, IsTemporary: true}
	for _, err := range []error{
		fmt.Errorf("%w: %w", kernel.ErrRefused, late),
		errors.Join(kernel.ErrRefused, late),
		fmt.Errorf("looking up: %w", errors.Join(kernel.ErrRefused, fmt.Errorf("name: %w", late))),
	} {
		if !kernel.IsTimeout(err) || !kernel.IsTemporary(err) {
			t.Errorf("%v is no timeout", err)
		}
	}
	if kernel.IsTimeout(nil) || kernel.IsTemporary(errors.Join(kernel.ErrRefused)) {
		t.Error("what is no timeout is one")
	}
}
