//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/kerneltest"
	"github.com/whorl-go/whorl/kernel/native"
)

// TestKernels runs the suite on every kernel of this system.
func TestKernels(t *testing.T) {
	for _, name := range native.Names() {
		t.Run(name, func(t *testing.T) { suite(t, name, native.Options{}) })
	}
}

func suite(t *testing.T, name string, o native.Options) {
	kerneltest.Run(t, func(t *testing.T) kernel.Kernel { return open(t, name, o) })
}

// open opens a kernel and closes it when the test ends. It checks that no descriptor is
// left open then.
func open(t *testing.T, name string, o native.Options) kernel.Kernel {
	t.Helper()
	leaktest.KeepsDescriptors(t)
	k, err := native.OpenWith(name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func TestOpen(t *testing.T) {
	names := native.Names()
	if len(names) < 2 || !slices.Contains(names, "poll") || !slices.Contains(names, "select") {
		t.Fatalf("Names: %v", names)
	}
	for _, name := range append(names, "") {
		k := open(t, name, native.Options{})
		want := name
		if name == "" {
			want = names[0]
		}
		if got := kernel.NameOf(k); got != want {
			t.Errorf("Open(%q) is %q", name, got)
		}
		for what, ok := range map[string]bool{"Watcher": is[kernel.Watcher](k),
			"Reserver": is[kernel.Reserver](k), "Signals": is[kernel.Signals](k), "Named": is[kernel.Named](k),
			"Packets": is[kernel.Packets](k), "Adopter": is[kernel.Adopter](k)} {
			if !ok {
				t.Errorf("%s is no kernel.%s", kernel.NameOf(k), what)
			}
		}
	}
	k, err := native.Open("nosuch")
	if k != nil || !errors.Is(err, kernel.ErrUnsupported) {
		t.Fatalf("Open of an unknown name: %v, %v", k, err)
	}
	for _, name := range append(names, "nosuch") {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not mention %q", err, name)
		}
	}
	if k, err := native.OpenWith("", native.Options{Wait: 77}); err == nil {
		t.Errorf("OpenWith wait mode 77: %v", k)
	}
}

func is[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

func TestWaitModeString(t *testing.T) {
	var names []string
	for m := native.WaitAuto; m <= native.WaitPark; m++ {
		names = append(names, m.String())
	}
	if s := strings.Join(names, " "); s != "auto adaptive hold block park" {
		t.Error(s)
	}
}

// TestErrors: each errno has its sentinel, is found by errors.Is, and the text names the
// operation (ERR-3).
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		op    string
		errno syscall.Errno
		want  error
	}{
		{"connect", syscall.ECONNREFUSED, kernel.ErrRefused}, // ERR-3
		{"connect", syscall.ENETUNREACH, kernel.ErrNoRoute},  // ERR-3
		{"connect", syscall.EHOSTUNREACH, kernel.ErrNoRoute}, // ERR-3 (Q)
		{"connect", syscall.ETIMEDOUT, kernel.ErrTimeout},    // ERR-3
		{"connect", syscall.EDOM, nil},                       // ERR-3: anything else is plain
		{"write", syscall.EMSGSIZE, kernel.ErrMessageSize},
		{"read", syscall.ECONNRESET, kernel.ErrReset},
		{"read", syscall.EBADF, kernel.ErrBadDescriptor},
		{"write", syscall.EPIPE, kernel.ErrBroken},
		{"bind", syscall.EADDRINUSE, kernel.ErrAddrInUse},
		{"bind", syscall.EADDRNOTAVAIL, kernel.ErrAddrUnavailable},
		{"bind", syscall.EACCES, kernel.ErrPermission},
		{"bind", syscall.EPERM, kernel.ErrPermission},
		{"accept", syscall.EMFILE, kernel.ErrTooManyFiles},
		{"accept", syscall.ENFILE, kernel.ErrNoResources},
		{"accept", syscall.ENOBUFS, kernel.ErrNoResources},
		{"accept", syscall.ENOMEM, kernel.ErrNoResources},
		{"accept", syscall.ECONNABORTED, kernel.ErrAccept},
		{"accept", syscall.EHOSTUNREACH, kernel.ErrAccept},
		{"accept", syscall.EPERM, kernel.ErrPermission},
		{"socket", syscall.EAFNOSUPPORT, kernel.ErrUnsupported},
	} {
		err := native.SysError(c.op, c.errno)
		if !errors.Is(err, c.errno) {
			t.Errorf("%v is not its errno", err)
		}
		if text := c.op + ": " + c.errno.Error(); err.Error() != text {
			t.Errorf("%q, not %q", err, text)
		}
		for _, s := range []error{kernel.ErrRefused, kernel.ErrReset, kernel.ErrBroken, kernel.ErrTimeout,
			kernel.ErrNoRoute, kernel.ErrAddrInUse, kernel.ErrAddrUnavailable, kernel.ErrPermission,
			kernel.ErrTooManyFiles, kernel.ErrNoResources, kernel.ErrAccept, kernel.ErrBadDescriptor,
			kernel.ErrUnsupported, kernel.ErrAgain, kernel.ErrClosed, kernel.ErrMessageSize} {
			if is := errors.Is(err, s); is != (s == c.want) {
				t.Errorf("%v is %v: %v", err, s, is)
			}
		}
	}
}
