//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestControl: Control gets a socket that has its other options and no address yet, and what
// it sets stays (TCP-89).
func TestControl(t *testing.T) {
	loopback := kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		var fds []int
		control := func(fd uintptr) error {
			fds = append(fds, int(fd))
			sa, err := unix.Getsockname(int(fd))
			if p := shortAddrFrom(sa); err != nil || p.port != 0 {
				t.Errorf("%s: it is bound: %v, %v", name, p, err)
			}
			if _, err := unix.Getpeername(int(fd)); err == nil {
				t.Errorf("%s: it is connected", name)
			}
			if v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || v == 0 {
				t.Errorf("%s: TCP_NODELAY is %d, %v", name, v, err)
			}
			return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
		}
		o := kernel.StreamOptions{Control: control}
		l, err := k.Listen(loopback, &kernel.ListenOptions{StreamOptions: o})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := k.Dial(l.Local(), &kernel.DialOptions{StreamOptions: o, Bind: loopback})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		testReady(t, k, l, kernel.Readable)
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Abort()
		if len(fds) != 2 || fds[0] != int(l.(*listener).fd) || fds[1] != int(c.(*conn).fd) {
			t.Errorf("%s: Control was called with %v", name, fds)
		}
		for what, fd := range map[string]int32{"dialled": c.(*conn).fd, "accepted": s.(*conn).fd} {
			if v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_OOBINLINE); err != nil || v == 0 {
				t.Errorf("%s: of the %s conn: %d, %v", name, what, v, err)
			}
		}
	}
}
