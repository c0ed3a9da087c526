//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// baseOf returns the common part of k.
func baseOf(k kernel.Kernel) *base {
	return k.(interface{ common() *base }).common()
}

// common is for baseOf.
func (b *base) common() *base { return b }

// TestSelfConnect: a dial for which the system chose the very port that is dialled, where
// nobody listens, is refused (TCP-35). Its end frees the port. Another process may take the port
// then; so another port is tried.
func TestSelfConnect(t *testing.T) {
	for _, name := range Names() {
		for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
			t.Run(name+" "+ip.String(), func(t *testing.T) {
				var err error
				for range 5 {
					if err = selfConnect(t, name, ip); err == nil {
						return
					}
				}
				t.Fatalf("the port is not free: %v", err)
			})
		}
	}
}

// selfConnect dials its own port, closes the conn, and returns why the port cannot be listened on.
func selfConnect(t *testing.T, name string, ip netip.Addr) error {
	k := testKernel(t, name, Options{})
	_, s, err := baseOf(k).openFor(kernel.OpConnect, kernel.TCPAddr(ip, 1))
	if err != nil {
		t.Skip(err)
	}
	c := &conn{streamSock{s}}
	defer c.Close()
	c.b.own(&c.sock)
	// The system chooses a port, and then it is dialled.
	p, err := shortAddrOf(kernel.OpBind, kernel.TCPAddr(ip, 0), -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(int(c.fd), p.sockaddr()); err != nil {
		t.Skip(err)
	}
	sa, err := unix.Getsockname(int(c.fd))
	if err != nil {
		t.Fatal(err)
	}
	p = shortAddrFrom(sa)
	c.remote.set(p)
	if err := c.dial(&p, new(kernel.DialOptions)); err != nil {
		t.Fatal(err)
	}
	testReady(t, k, c, kernel.Writable)
	for range 2 {
		if err := c.Connected(); !errors.Is(err, kernel.ErrRefused) {
			t.Errorf("connected to itself: %v", err)
		}
	}
	c.Close()
	l, err := k.Listen(p.addr(c.b, -1), nil)
	if err == nil {
		l.Close()
	}
	return err
}
