package native

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// adoptPacket adopts the datagram socket fd.
func adoptPacket(t *testing.T, k kernel.Kernel, fd int) kernel.PacketConn {
	t.Helper()
	a, _ := kernel.As[kernel.Adopter](k)
	c, err := a.AdoptPacketConn(fd, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What adoption turns on is off again at the end, if the owner of the socket had it off, and stays on if the owner had it on
// (ADOPT-15).
func TestAdoptPacketOptions(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		for _, ip := range []netip.Addr{here4, netip.IPv6Loopback()} {
			options := map[string][2]int{"IP_RECVERR": {unix.IPPROTO_IP, unix.IP_RECVERR}, "IP_PKTINFO": {unix.IPPROTO_IP, unix.IP_PKTINFO}}
			if ip.Is6() {
				options = map[string][2]int{"IPV6_RECVERR": {unix.IPPROTO_IPV6, unix.IPV6_RECVERR}, "IPV6_RECVPKTINFO": {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO}}
			}
			for name, o := range options {
				for owners := range 2 {
					bound := ip
					refusals := o[1] == unix.IP_RECVERR || o[1] == unix.IPV6_RECVERR
					if !refusals { // our address matters where there may be several
						bound = netip.IPv4Unspecified()
						if ip.Is6() {
							bound = netip.IPv6Unspecified()
						}
					}
					fd, _ := rawUDP(t, bound)
					if refusals {
						if err := unix.Connect(fd, sockaddrOf(deadPeer(t, ip))); err != nil {
							t.Fatal(err)
						}
					}
					if err := unix.SetsockoptInt(fd, o[0], o[1], owners); err != nil {
						t.Fatal(err)
					}
					c := adoptPacket(t, k, fd)
					if v, err := unix.GetsockoptInt(fd, o[0], o[1]); v != 1 || err != nil {
						t.Errorf("%s is %d while it is adopted, %v", name, v, err)
					}
					c.Close()
					if v, err := unix.GetsockoptInt(fd, o[0], o[1]); v != owners || err != nil {
						t.Errorf("ADOPT-15: %s was %d, and is %d afterwards, %v", name, owners, v, err)
					}
				}
			}
		}
	})
}

// A socket without a peer, whose owner has asked for its error queue, is read and sent by as any other: one receiver's error
// fails no datagram to another, and does not wake the loop for ever.
func TestAdoptPacketForeignErrors(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		fd, at := rawUDP(t, here4)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
			t.Fatal(err)
		}
		c, d := adoptPacket(t, k, fd), udpAt(t, k, here4)
		dead := deadPeer(t, here4)
		for range 3 {
			lost, found := kernel.Packet{Data: []byte("lost"), Peer: dead}, kernel.Packet{Data: []byte("found"), Peer: d.Local()}
			sends(t, c, []kernel.Packet{lost})
			sends(t, c, []kernel.Packet{found}) // the system tells of the first one here
			if got := receive(t, k, d, 1); string(got[0].Data) != "found" || got[0].Peer != at {
				t.Errorf("got %v", got)
			}
		}
		if !waits(t, k, c, kernel.Readable, k.Now()+10*time.Second) {
			t.Fatal("the system says nothing of the error, so this tests nothing")
		}
		if p, err := c.ReadPackets(); err != kernel.ErrAgain {
			t.Errorf("read %v, %v", p, err)
		}
		if waits(t, k, c, kernel.Readable, k.Now()+5*time.Millisecond) {
			t.Error("it is readable for ever")
		}
		sends(t, d, []kernel.Packet{{Data: []byte("hello"), Peer: at}})
		if got := receive(t, k, c, 1); string(got[0].Data) != "hello" {
			t.Errorf("got %v", got)
		}
	})
}

// A sender whose file is named "@x" is told as "./@x", not as the abstract name, so that an answer goes to it.
func TestUnixgramFileNamedAt(t *testing.T) {
	t.Chdir(t.TempDir())
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		c := packetConn(t, k, kernel.UNIXDatagramAddr("./c"+t.Name()[len("TestUnixgramFileNamedAt/"):]), nil)
		fd := socketFor(t, unix.AF_UNIX, unix.SOCK_DGRAM)
		raw := unix.RawSockaddrUnix{Family: unix.AF_UNIX, Path: [108]int8{'@', 'x'}} // package unix would make it abstract
		if _, _, errno := syscall.Syscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&raw)), unsafe.Sizeof(raw)); errno != 0 {
			t.Fatal(errno)
		}
		defer unix.Unlink("./@x")
		if err := unix.Sendto(fd, []byte("question"), 0, &unix.SockaddrUnix{Name: c.Local().Name}); err != nil {
			t.Fatal(err)
		}
		got := receive(t, k, c, 1)
		if got[0].Peer != kernel.UNIXDatagramAddr("./@x") {
			t.Errorf("the sender is %v", got[0].Peer)
		}
		sends(t, c, []kernel.Packet{{Data: []byte("answer"), Peer: got[0].Peer}})
		b := make([]byte, 10)
		if n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT); err != nil || string(b[:n]) != "answer" {
			t.Errorf("it gets %q, %v", b[:max(n, 0)], err)
		}
	})
}
