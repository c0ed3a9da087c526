package testworld_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/testworld"
)

// On Linux a listener on any one address, also another one of the loopback network, takes its port from the
// unspecified address, for listeners and for dials.
func TestBindUnspecified(t *testing.T) {
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			k := w.Open(t)
			defer k.Close()
			other := listen(t, k, netip.MustParseAddr("127.0.0.1"))
			for _, x := range []struct{ one, any netip.Addr }{
				{netip.MustParseAddr("127.0.0.1"), any4}, {netip.MustParseAddr("127.0.0.2"), any4}, {netip.IPv6Loopback(), any6},
			} {
				port := listen(t, k, x.one).Local().Port()
				if l, err := k.Listen(kernel.TCPAddr(x.any, port), nil); !errors.Is(err, kernel.ErrAddrInUse) {
					t.Errorf("Listen on %v beside %v: %v, %v; want ErrAddrInUse", x.any, x.one, l, err)
				}
				if x.any != any4 {
					continue
				}
				from := &kernel.DialOptions{Bind: kernel.TCPAddr(x.any, port)}
				if c, err := k.Dial(other.Local(), from); !errors.Is(err, kernel.ErrAddrInUse) {
					t.Errorf("Dial from %v beside a listener on %v: %v, %v; want ErrAddrInUse", x.any, x.one, c, err)
				}
			}
		})
	}
}

// listen listens on a free port of ip until the test ends.
func listen(t *testing.T, k kernel.Kernel, ip netip.Addr) kernel.Listener {
	t.Helper()
	l, err := k.Listen(kernel.TCPAddr(ip, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
