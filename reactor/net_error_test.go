package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

var (
	_ net.Error = (*kernel.SysError)(nil)
	_ net.Error = (*reactor.OpError)(nil)
	_ net.Error = (*tlsio.Error)(nil)
)

// DESC-44: what a user gets is a net.Error, and the three ways to ask for a timeout agree.
func TestNetError(t *testing.T) {
	sys := func(kind error, errno syscall.Errno) error {
		return &kernel.SysError{Op: "x", Kind: kind, Errno: errno}
	}
	for _, c := range []struct {
		cause              error
		timeout, temporary bool
	}{
		{kernel.ErrRefused, false, false},
		{reactor.ErrUnknownHost, false, false},
		{io.EOF, false, false},
		{kernel.ErrTimeout, true, true},
		{reactor.ErrConnectTimeout, true, true},
		{reactor.ErrCloseTimeout, true, true},
		{reactor.ErrHalfClosed, true, true},
		{tlsio.ErrHandshakeQueued, true, true},
		{tlsio.ErrHandshakeClosed, false, false},
		{context.DeadlineExceeded, true, true},
		{context.Canceled, false, false},
		{&net.DNSError{Err: "no answer", IsTimeout: true}, true, true},
		{&net.DNSError{Err: "try again", IsTemporary: true}, false, true},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, false, false},
		{fmt.Errorf("looking up: %w", reactor.ErrConnectTimeout), true, true},
		{&reactor.AttemptsError{Errs: []error{&reactor.OpError{Op: "dial", Err: kernel.ErrRefused}}}, false, false},
		{&reactor.AttemptsError{Errs: []error{
			&reactor.OpError{Op: "dial", Err: kernel.ErrRefused}, &reactor.OpError{Op: "dial", Err: reactor.ErrConnectTimeout},
		}}, true, true},
		{sys(kernel.ErrTimeout, syscall.ETIMEDOUT), true, true},
		{sys(nil, syscall.ETIMEDOUT), true, true},
		{sys(nil, syscall.EINTR), false, true},
		{sys(kernel.ErrTooManyFiles, syscall.EMFILE), false, true},
		{sys(kernel.ErrNoResources, syscall.ENOMEM), false, true},
		{sys(kernel.ErrReset, syscall.ECONNRESET), false, false},
	} {
		all := []error{&reactor.OpError{Op: "dial", Err: c.cause}, &tlsio.Error{Op: "handshake", Err: c.cause}}
		if _, ok := c.cause.(*kernel.SysError); ok {
			all = append(all, c.cause)
		}
		for _, err := range all {
			var e net.Error
			if wrapped := fmt.Errorf("wrapped: %w", err); !errors.As(wrapped, &e) || e != err {
				t.Fatalf("DESC-44: %v is no net.Error", err)
			}
			// staticcheck wants nobody to ask a net.Error for Temporary; those who do are to get an answer.
			temporary := e.(interface{ Temporary() bool }).Temporary()
			if e.Timeout() != c.timeout || temporary != c.temporary {
				t.Errorf("DESC-44: %T of %v: timeout %v, temporary %v", err, c.cause, e.Timeout(), temporary)
			}
			if os.IsTimeout(err) != c.timeout || errors.Is(err, os.ErrDeadlineExceeded) != c.timeout {
				t.Errorf("DESC-44: %T of %v: os.IsTimeout %v, errors.Is %v", err, c.cause, os.IsTimeout(err), errors.Is(err, os.ErrDeadlineExceeded))
			}
		}
	}
	for err, want := range map[error]bool{kernel.ErrTimeout: true, reactor.ErrIdle: true, reactor.ErrClosed: false, kernel.ErrAgain: false} {
		if os.IsTimeout(err) != want {
			t.Errorf("DESC-44: os.IsTimeout(%v) is %v", err, !want)
		}
	}
	if kernel.IsTimeout(nil) || kernel.IsTemporary(nil) {
		t.Error("nil is a timeout or temporary")
	}
	if e := (&tlsio.Error{Op: "handshake", Err: tlsio.ErrHandshakesBusy}); !e.Temporary() || e.Timeout() {
		t.Error("DESC-44: too many handshakes are not temporary")
	}
}
