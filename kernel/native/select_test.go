//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestSelectLimit: Watch and Arm refuse a number that an fd_set has no room for. Other
// socks are not affected (FDS-25).
func TestSelectLimit(t *testing.T) {
	k := testKernel(t, "select", Options{})
	l, c, s := testPair(t, k)
	high, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, setSize)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	if _, err := k.(kernel.Watcher).Watch(high, high); !errors.Is(err, kernel.ErrUnsupported) {
		t.Errorf("Watch of %d (FDS-25): %v", high, err)
	}
	// Give a sock a number that is too high.
	moved, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, setSize)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(int(c.fd))
	c.fd = int32(moved)
	for range 2 {
		if err := k.Arm(c, 1, kernel.Readable); !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("Arm of %d (FDS-25): %v", c.fd, err)
		}
	}
	if n, err := c.Write([]byte("x")); n != 1 || err != nil { // it works all the same
		t.Errorf("Write: %d, %v", n, err)
	}
	testReady(t, k, s, kernel.Readable)
	testReady(t, k, s, kernel.Writable)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	testReady(t, k, s, kernel.Readable)
	_ = l
}

// TestClosedBehindOurBack: poll and select notice that somebody closed a descriptor. They
// report it and go on with the others (FDS-25, FDS-27). Every kernel notices when the
// descriptor is armed anew.
func TestClosedBehindOurBack(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		_, c, s := testPair(t, k)
		_, c2, s2 := testPair(t, k)
		for i, x := range []*conn{s, s2} {
			if err := k.Arm(x, uint32(i), kernel.Readable); err != nil {
				t.Fatal(err)
			}
		}
		unix.Close(int(s.fd))
		if name != "epoll" { // it cannot notice by itself (FDS-30)
			reported(t, k, 0)
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, kernel.ErrBadDescriptor) {
				t.Errorf("%s: Read: %v", name, err)
			}
		} else if err := k.Arm(s, 0, kernel.Writable); !errors.Is(err, kernel.ErrBadDescriptor) {
			t.Errorf("%s: Arm: %v", name, err)
		}
		c2.Write([]byte("x"))
		reported(t, k, 1)
		s.Close()
		c.Abort()
		ev := make([]kernel.Event, 4)
		if n, err := k.Wait(ev, kernel.Forever); n != 1 || ev[0].Token != 1 || err != nil {
			t.Errorf("%s: Wait: %v, %v", name, ev[:n], err)
		}
	}
}

// reported waits until tok is reported.
func reported(t *testing.T, k kernel.Kernel, tok uint32) {
	t.Helper()
	ev := make([]kernel.Event, 4)
	for end := k.Now() + 10*time.Second; k.Now() < end; {
		n, err := k.Wait(ev, end)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ev[:n] {
			if e.Token == tok {
				return
			}
		}
	}
	t.Fatalf("token %d was not reported", tok)
}
