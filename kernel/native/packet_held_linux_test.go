package native

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// eachPacket calls test with every kernel of this system.
func eachPacket(t *testing.T, test func(t *testing.T, k kernel.Kernel)) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) { test(t, testKernel(t, name, Options{})) })
	}
}

// deadPeer is an address of ip at which nobody listens. Its socket keeps the port, and refuses everybody: it is connected to itself.
func deadPeer(t *testing.T, ip netip.Addr) kernel.Addr {
	t.Helper()
	fd, a := rawUDP(t, ip)
	if err := unix.Connect(fd, sockaddrOf(a)); err != nil {
		t.Fatal(err)
	}
	return a
}

// connectTo is Connect, of a socket of ours.
func connectTo(t *testing.T, c kernel.PacketConn, a kernel.Addr) {
	t.Helper()
	if err := c.Connect(a); err != nil {
		t.Fatal(err)
	}
}

// Reports that a send has taken from the system, because it had no room, are there for whoever waits to read, on every kernel (UDP-15,
// UDP-17).
func TestPacketHeld(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		type held struct {
			ip     netip.Addr
			before kernel.Ready // what it is armed for already
		}
		for _, x := range []held{{here4, 0}, {here4, kernel.Readable}, {netip.IPv6Loopback(), 0}} {
			c := udpAt(t, k, x.ip)
			connectTo(t, c, deadPeer(t, x.ip))
			ready := kernel.Writable | x.before
			if err := k.Arm(c, 8, ready); err != nil {
				t.Fatal(err)
			}
			sends(t, c, []kernel.Packet{{Data: []byte("a")}, {Data: []byte("bc")}, {Data: []byte("def")}})
			c.hold()
			if err := k.Arm(c, 8, kernel.Readable); err != nil {
				t.Fatal(err)
			}
			ev := make([]kernel.Event, 4)
			comes := func(d time.Duration) bool { // and stays armed
				n, err := k.Wait(ev, k.Now()+d)
				return err == nil && n == 1 && ev[0] == kernel.Event{Token: 8, Ready: kernel.Readable}
			}
			if !comes(10 * time.Second) {
				t.Fatal("UDP-15: the reports are lost")
			}
			if got, err := c.ReadPackets(); err != nil || len(got) != 3 || !errors.Is(got[2].Err, kernel.ErrRefused) {
				t.Errorf("UDP-15: %d reports, %v", len(got), err)
			}
			if comes(5 * time.Millisecond) {
				t.Error("UDP-17: the socket is ready for ever")
			}
			sends(t, c, run(kernel.Addr{}, 1, 10))
			if !comes(10 * time.Second) {
				t.Error("UDP-17: the socket is not watched any more")
			}
			c.Close()
		}
	})
}
