package native

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestBindSharesPorts: two connections from one address to two destinations may have the same
// port, if Bind has none (TCP-32).
func TestBindSharesPorts(t *testing.T) {
	for _, name := range Names() {
		// 127.0.0.3 is this test's own, so nobody else takes the port.
		for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 3}), netip.IPv6Loopback()} {
			t.Run(name+" "+ip.String(), func(t *testing.T) {
				k := testKernel(t, name, Options{})
				for tries := 0; ; tries++ {
					err := shareAPort(t, k, ip)
					if err == nil {
						return
					}
					// Another process may have had the port in the meantime.
					if tries == 20 || !errors.Is(err, kernel.ErrAddrUnavailable) && !errors.Is(err, kernel.ErrAddrInUse) {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// TestPollRefused: what poll(2) refuses is an error of Wait.
func TestPollRefused(t *testing.T) {
	k := testKernel(t, "poll", Options{})
	_, c, _ := testPair(t, k)
	if err := k.Arm(c, 1, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	noDescriptors(t, func() { // poll takes no more than the process may have
		n, err := k.Wait(make([]kernel.Event, 1), k.Now()+10*time.Second)
		if n != 0 || !errors.Is(err, unix.EINVAL) {
			t.Errorf("Wait: %d, %v", n, err)
		}
	})
	c.Write([]byte("x"))
	testReady(t, k, c, kernel.Writable)
}

// shareAPort connects three times from one port of ip, which is the only one there is.
func shareAPort(t *testing.T, k kernel.Kernel, ip netip.Addr) error {
	free, err := k.Listen(kernel.TCPAddr(ip, 0), nil)
	if err != nil {
		t.Skip(err)
	}
	port := free.Local().Port()
	free.Close()
	for range 3 {
		l, err := k.Listen(kernel.TCPAddr(ip, 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := dialFromOnly(t, k, l.Local(), port)
		if err != nil {
			return err
		}
		defer c.Abort()
		testReady(t, k, c, kernel.Writable)
		if err := c.Connected(); err != nil || c.Local() != kernel.TCPAddr(ip, port) {
			t.Errorf("connected from %v, want port %d: %v", c.Local(), port, err)
		}
	}
	return nil
}

// dialFromOnly dials to a from its own address, on a socket that has no port to choose but
// port.
func dialFromOnly(t *testing.T, k kernel.Kernel, a kernel.Addr, port uint16) (*conn, error) {
	t.Helper()
	p, s, err := baseOf(k).openFor(kernel.OpConnect, a)
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{streamSock{s}}
	c.b.own(&c.sock)
	c.remote.set(p)
	if err := unix.SetsockoptInt(int(c.fd), unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, int(port)|int(port)<<16); err != nil {
		c.Close()
		t.Skip(err) // Linux 6.3 has it
	}
	if err := c.dial(&p, &kernel.DialOptions{Bind: kernel.TCPAddr(a.IP.Addr(), 0)}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
