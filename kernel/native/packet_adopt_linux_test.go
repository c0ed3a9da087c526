package native

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Joining is not turned on for a socket that others read too: they would take a train for one datagram. If it is on, trains are
// divided, also if only Control turned it on (ADOPT-8).
func TestPacketAdoptJoining(t *testing.T) {
	for _, how := range []string{"off", "on", "by Control"} {
		k := openFirst(t)
		a, _ := kernel.As[kernel.Adopter](k)
		fd, at := rawUDP(t, here4)
		turn := func(fd uintptr) error { return unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) }
		o := &kernel.PacketOptions{}
		switch how {
		case "on":
			if err := turn(uintptr(fd)); err != nil {
				t.Skip(err)
			}
		case "by Control":
			o.Control = turn
		}
		c, err := a.AdoptPacketConn(fd, o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO); err != nil || (v != 0) != (how != "off") {
			t.Errorf("ADOPT-8: %s: joining is %d, %v", how, v, err)
		}
		peer, from := rawUDP(t, here4)
		want := run(from, 5, 100)
		var all []byte
		for _, p := range want {
			all = append(all, p.Data...)
		}
		sendTrain(t, peer, at, all, 100)
		same(t, receive(t, k, c, 5), want)
	}
}

// An adopted socket may have the system keep what was not delivered, without a peer. It is read all the same, and is not ready for ever.
func TestPacketAdoptKeeping(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		a, _ := kernel.As[kernel.Adopter](k)
		fd, at := rawUDP(t, here4)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
			t.Fatal(err)
		}
		peer, _ := rawUDP(t, here4)
		c, err := a.AdoptPacketConn(fd, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		gone := deadPeer(t, here4)
		for range 40 {
			sends(t, c, run(gone, 1, 10))
		}
		if err := unix.Sendto(peer, []byte("in"), 0, sockaddrOf(at)); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, k, c, 1); len(got) != 1 || string(got[0].Data) != "in" {
			t.Errorf("UDP-15: %+v", got)
		}
		for range 6 {
			if _, err := c.ReadPackets(); err != kernel.ErrAgain {
				t.Error(err)
			}
		}
		if waits(t, k, c, kernel.Readable, k.Now()+5e6) {
			t.Error("the socket is ready for ever")
		}
	})
}
