package native

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestAcceptedLocal: the address of an accepted conn is the one that was dialled, also if the listener
// has all addresses. If the listener's address is known and is a single one, the system is not asked for
// it again.
func TestAcceptedLocal(t *testing.T) {
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	k := testKernel(t, "", Options{})
	for _, c := range []struct {
		listen, dial netip.Addr
		single       bool
	}{{v6, v6, true}, {v4, v4, true}, {v6, v6, true}, {netip.IPv4Unspecified(), v4, false}, {netip.IPv6Unspecified(), v6, false}} {
		for _, asked := range []bool{false, true} {
			l, err := k.Listen(kernel.TCPAddr(c.listen, 0), nil)
			if err != nil {
				t.Skip(err)
			}
			defer l.Close()
			unasked := l.(*listener).sock
			at := unasked.Local() // of a copy, so l knows nothing
			if asked && l.Local() != at {
				t.Errorf("%v and %v are the same listener", l.Local(), at)
			}
			d, err := k.Dial(kernel.TCPAddr(c.dial, at.Port()), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Abort()
			testReady(t, k, l, kernel.Readable)
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Abort()
			if known := s.(*conn).askedLocal(); known != (asked && c.single) {
				t.Errorf("listening on %v, asked before %v: the address is known: %v", c.listen, asked, known)
			}
			if got, want := s.Local(), kernel.TCPAddr(c.dial, at.Port()); got != want {
				t.Errorf("listening on %v: Local is %v, want %v", c.listen, got, want)
			}
			if s.Remote() != d.Local() {
				t.Errorf("listening on %v: Remote is %v, want %v", c.listen, s.Remote(), d.Local())
			}
		}
	}
}

// TestSelectRoomTaken: the room that there was for a connection may be taken while it is accepted.
// Then the connection is reset, and its number is free again (FDS-25).
func TestSelectRoomTaken(t *testing.T) {
	k := testKernel(t, "select", Options{})
	l, c, s := testPair(t, k)
	high, err := unix.FcntlInt(uintptr(s.fd), unix.F_DUPFD_CLOEXEC, setSize) // as accept gives it out
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if x, err := l.accepted(int32(high)); x != nil || !errors.Is(err, kernel.ErrTooManyFiles) {
		t.Errorf("FDS-25: number %d was accepted: %v, %v", high, x, err)
	}
	if _, err := unix.FcntlInt(uintptr(high), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("X-5: number %d is still open: %v", high, err)
	}
	if err := k.Arm(c, 1, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	reported(t, k, 1)
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, kernel.ErrReset) {
		t.Errorf("FDS-25: the client has read %d, %v, want a reset", n, err)
	}
}

// TestSelfConnectByBind: a conn that is bound to the very port that it dials is no accident. Linux connects
// it to itself.
func TestSelfConnectByBind(t *testing.T) {
	ip := netip.AddrFrom4([4]byte{127, 0, 0, 4}) // this test's own, so nobody else takes the port
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		free, err := k.Listen(kernel.TCPAddr(ip, 0), nil)
		if err != nil {
			t.Skip(err)
		}
		at := free.Local()
		free.Close()
		c, err := k.Dial(at, &kernel.DialOptions{Bind: at})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		testReady(t, k, c, kernel.Writable)
		if err := c.Connected(); err != nil || c.Local() != at || c.Remote() != at {
			t.Errorf("%s: connected from %v to %v: %v", name, c.Local(), c.Remote(), err)
		}
	}
}
