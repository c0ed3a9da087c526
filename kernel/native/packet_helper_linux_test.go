package native

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

var here4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// packetConn opens a datagram socket of k for the test.
func packetConn(t *testing.T, k kernel.Kernel, a kernel.Addr, o *kernel.PacketOptions) kernel.PacketConn {
	t.Helper()
	p, _ := kernel.As[kernel.Packets](k)
	c, err := p.ListenPacket(a, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// udpAt is packetConn for a free port of ip.
func udpAt(t *testing.T, k kernel.Kernel, ip netip.Addr) *udpConn {
	t.Helper()
	return packetConn(t, k, kernel.UDPAddr(ip, 0), nil).(*udpConn)
}

// rawUDP is a UDP socket of the test, at a free port of ip. It waits at most ten seconds for input.
func rawUDP(t *testing.T, ip netip.Addr) (int, kernel.Addr) {
	t.Helper()
	a := kernel.UDPAddr(ip, 0)
	fd := socketFor(t, familyOf(a), unix.SOCK_DGRAM)
	if err := unix.Bind(fd, sockaddrOf(a)); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, kernel.UDPAddr(ip, shortAddrFrom(sa).port)
}

func sockaddrOf(a kernel.Addr) unix.Sockaddr {
	p, _ := shortIP(kernel.OpConnect, a, a.IP.Addr(), -1)
	return p.sockaddr()
}

// receive reads n datagrams, which are copied.
func receive(t *testing.T, k kernel.Kernel, c kernel.PacketConn, n int) []kernel.Packet {
	t.Helper()
	var all []kernel.Packet
	until := k.Now() + 10*time.Second
	for len(all) < n {
		got, err := c.ReadPackets()
		if err == kernel.ErrAgain {
			if !waits(t, k, c, kernel.Readable, until) {
				t.Fatalf("%d datagrams of %d came", len(all), n)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range got {
			p.Data = append([]byte(nil), p.Data...)
			all = append(all, p)
		}
	}
	return all
}

// waits tells whether c is ready for r before until.
func waits(t *testing.T, k kernel.Kernel, c kernel.Handle, r kernel.Ready, until time.Duration) bool {
	t.Helper()
	if err := k.Arm(c, 77, r); err != nil {
		t.Fatal(err)
	}
	defer k.Arm(c, 77, 0)
	ev := make([]kernel.Event, 8)
	for k.Now() < until {
		n, err := k.Wait(ev, until)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ev[:n] {
			if e.Token == 77 {
				return true
			}
		}
	}
	return false
}

// none fails if there is a datagram to read.
func none(t *testing.T, c kernel.PacketConn) {
	t.Helper()
	for range 2 { // the first may be ErrAgain without asking the system
		if got, err := c.ReadPackets(); err != kernel.ErrAgain {
			t.Errorf("read %d datagrams, %v; want none", len(got), err)
		}
	}
}

// payload is a datagram of that size that begins with its number, as far as there is room.
func payload(i, size int) []byte {
	b := make([]byte, max(size, 4))
	binary.BigEndian.PutUint32(b, uint32(i))
	for j := 4; j < len(b); j++ {
		b[j] = byte(i + j)
	}
	return b[:size]
}

// run is n numbered datagrams of that size to a peer.
func run(peer kernel.Addr, n, size int) []kernel.Packet {
	p := make([]kernel.Packet, n)
	for i := range p {
		p[i] = kernel.Packet{Data: payload(i, size), Peer: peer}
	}
	return p
}

// sends fails unless all of p is sent at once.
func sends(t *testing.T, c kernel.PacketConn, p []kernel.Packet) {
	t.Helper()
	if n, err := c.WritePackets(p); n != len(p) || err != nil {
		t.Fatalf("%d datagrams of %d were sent: %v", n, len(p), err)
	}
}

// same fails unless got has the data of want, in order.
func same(t *testing.T, got, want []kernel.Packet) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d datagrams, want %d", len(got), len(want))
	}
	for i := range got {
		if string(got[i].Data) != string(want[i].Data) || got[i].Err != nil || got[i].Truncated {
			t.Fatalf("datagram %d: %d bytes, %.8x, %v; want %d, %.8x", i, len(got[i].Data), got[i].Data, got[i].Err, len(want[i].Data), want[i].Data)
		}
	}
}
