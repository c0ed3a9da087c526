//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
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

// fillNumbers takes all numbers below the limit of select. free gives n of them back.
func fillNumbers(t *testing.T) (free func(n int)) {
	t.Helper()
	var taken []int
	t.Cleanup(func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
	})
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Skip(err)
		}
		if fd >= setSize {
			unix.Close(fd)
			break
		}
		taken = append(taken, fd)
	}
	return func(n int) {
		for _, fd := range taken[:n] {
			unix.Close(fd)
		}
		taken = taken[n:]
	}
}

// TestSelectIsFull: when the process has all numbers that select can watch, Listen, Dial,
// Accept and Reserve refuse to open another descriptor, with ErrTooManyFiles and the limit
// in words. They leave none open. A client stays in the queue until there is room (FDS-25).
func TestSelectIsFull(t *testing.T) {
	k := testKernel(t, "select", Options{})
	if l := kernel.LimitsOf(k); l.Descriptors != setSize || !l.NoFailed {
		t.Errorf("limits %+v", l)
	}
	ls, err := k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ls.Close()
	client, err := k.Dial(ls.Local(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	testReady(t, k, ls, kernel.Readable)

	free := fillNumbers(t)
	refused := func(op string, err error) {
		t.Helper()
		e, ok := errors.AsType[*kernel.SysError](err)
		if !ok || e.Op != op || !errors.Is(err, kernel.ErrTooManyFiles) || !strings.Contains(err.Error(), "select takes descriptors below 1024") {
			t.Errorf("%s (FDS-25): %v", op, err)
		}
		// The next number is the one that would have been given out: nothing was left open.
		next, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if unix.Close(next); err != nil || next != setSize {
			t.Errorf("after %s the next number is %d: %v (X-5)", op, next, err)
		}
	}
	for range 3 {
		_, err = k.Dial(ls.Local(), nil)
		refused(kernel.OpSocket, err)
		_, err = k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
		refused(kernel.OpSocket, err)
		_, err = ls.Accept()
		refused(kernel.OpAccept, err)
		refused(kernel.OpReserve, k.(kernel.Reserver).Reserve())
	}
	if _, err := Open("select"); !errors.Is(err, kernel.ErrUnsupported) || !strings.Contains(err.Error(), "below 1024") {
		t.Errorf("Open: %v", err)
	}
	if err := k.Arm(ls, 7, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	reported(t, k, 7) // the client is still there
	if err := k.Arm(ls, 7, 0); err != nil {
		t.Fatal(err)
	}

	free(1)
	s, err := ls.Accept()
	if err != nil {
		t.Fatalf("Accept with room for one: %v", err)
	}
	defer s.Close()
	testReady(t, k, s, kernel.Writable)
	free(1)
	if _, err := ls.Accept(); err != kernel.ErrAgain {
		t.Errorf("Accept with an empty queue: %v", err)
	}
}

// TestTurns: poll and select begin behind the sock that they reported last, also if it was the only
// one that was ready. So each gets its turn, however few a wait has room for.
func TestTurns(t *testing.T) {
	for _, name := range []string{"poll", "select"} {
		for _, first := range []kernel.Ready{kernel.Readable, kernel.Writable} {
			k := testKernel(t, name, Options{})
			var far, socks []*conn
			for range 4 {
				_, c, s := testPair(t, k)
				far, socks = append(far, c), append(socks, s)
			}
			wait := func(room int, ready func(i int) kernel.Ready) (tokens []uint32) {
				for i, s := range socks {
					if err := k.Arm(s, uint32(i), ready(i)); err != nil {
						t.Fatal(err)
					}
				}
				ev := make([]kernel.Event, room)
				n, err := k.Wait(ev, k.Now()+10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range ev[:n] {
					tokens = append(tokens, e.Token)
				}
				return tokens
			}
			if first == kernel.Readable {
				far[1].Write([]byte("x"))
			}
			got := wait(8, func(i int) kernel.Ready {
				if i == 1 {
					return first
				}
				return kernel.Readable
			})
			for range 4 {
				got = append(got, wait(1, func(int) kernel.Ready { return kernel.Writable })...)
			}
			if !slices.Equal(got, []uint32{1, 2, 3, 0, 1}) {
				t.Errorf("%s: the turns were those of %v", name, got)
			}
		}
	}
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
