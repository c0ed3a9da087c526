package native

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Somebody closes the reserve, and a listener gets its number. The reserve that is given up then is not the listener.
func TestReserveGone(t *testing.T) {
	for _, name := range Names() {
		leaktest.KeepsDescriptors(t)
		b := openWith(t, name)
		if err := b.Reserve(); err != nil {
			t.Fatal(err)
		}
		fd := b.reserved
		unix.Close(fd)
		h, err := b.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(h.(*listener).fd); got != fd {
			t.Fatalf("%s: the number %d was not used again, but %d", name, fd, got)
		}
		if b.Release() {
			t.Errorf("%s: there was a reserve to give up", name)
		}
		if err := isOpen(fd); err != nil {
			t.Errorf("%s: the listener is closed: %v", name, err)
		}
		if err := b.Reserve(); err != nil || b.reserved == fd || !b.Release() {
			t.Errorf("%s: another reserve: %v", name, err)
		}
		h.Close()
	}
}
