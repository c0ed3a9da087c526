package native

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// sendTrain sends data from a socket of the test as one message that the system divides every size bytes.
func sendTrain(t *testing.T, fd int, to kernel.Addr, data []byte, size int) {
	t.Helper()
	control := make([]byte, unix.CmsgSpace(2))
	putControl(control, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], uint16(size))
	if err := unix.Sendmsg(fd, data, control, sockaddrOf(to), 0); err != nil {
		t.Fatal(err)
	}
}

// A train of joined datagrams is divided where its sender divided it (UDP-9): the size is the int of four bytes in its control
// message, the last one may be shorter, and a single datagram has no such message. A slot holds the longest train.
func TestPacketTrainReceived(t *testing.T) {
	for _, ip := range []netip.Addr{here4, here6} {
		for _, c := range []struct{ n, size, last int }{{2, 1000, 1000}, {2, 1000, 1}, {64, 1000, 1000}, {50, 1300, 7}, {64, 1, 1}, {1, 1000, 1000}, {3, 20000, 5000}} {
			k := openFirst(t)
			r := udpAt(t, k, ip)
			if !r.receives {
				t.Skip("the system joins nothing")
			}
			fd, from := rawUDP(t, ip)
			want := run(from, c.n, c.size)
			want[c.n-1].Data = want[c.n-1].Data[:c.last]
			var all []byte
			for _, p := range want {
				all = append(all, p.Data...)
			}
			sendTrain(t, fd, r.Local(), all, c.size)
			if !waits(t, k, r, kernel.Readable, kernel.Forever) {
				t.Fatal("nothing came")
			}
			got, err := r.ReadPackets()
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, want) // UDP-9
			for _, p := range got {
				if p.Peer != from {
					t.Errorf("UDP-9: from %v, want %v", p.Peer, from)
				}
			}
			none(t, r)
		}
	}
}

// A plain datagram leaves a slot without control messages, and a short one with a short name. The next use of the slot
// has room for all again: the boundaries of a train are not lost.
func TestPacketSlotReset(t *testing.T) {
	k := openFirst(t)
	r := udpAt(t, k, here4)
	fd, from := rawUDP(t, here4)
	want := run(from, 4, 500)
	for range 3 {
		if err := unix.Sendto(fd, want[0].Data, 0, sockaddrOf(r.Local())); err != nil {
			t.Fatal(err)
		}
		same(t, receive(t, k, r, 1), want[:1])
		var all []byte
		for _, p := range want {
			all = append(all, p.Data...)
		}
		sendTrain(t, fd, r.Local(), all, 500)
		same(t, receive(t, k, r, 4), want)
	}
}

// Datagrams of one size to one peer leave as messages of at most 64, and of at most 65,000 bytes. 64, 65 and 129 datagrams
// all arrive, one by one, in order.
func TestPacketTrainSent(t *testing.T) {
	for _, ip := range []netip.Addr{here4, here6} {
		for _, c := range []struct {
			n, size  int
			messages []int
		}{{64, 100, []int{64}}, {65, 100, []int{64, 1}}, {129, 100, []int{64, 64, 1}}, {60, 1400, []int{46, 14}}, {51, 1300, []int{50, 1}}, {3, 40000, []int{1, 1, 1}}} {
			k := openFirst(t)
			s := udpAt(t, k, ip)
			if s.sends != divides {
				t.Skip("the system divides nothing")
			}
			fd, to := rawUDP(t, ip)
			p := run(to, c.n, c.size)
			sends(t, s, p)
			if got := s.b.packets.count[:len(c.messages)]; string(asBytes(got)) != string(asBytes(c.messages)) {
				t.Errorf("%d of %d bytes: messages of %d datagrams, want %d", c.n, c.size, got, c.messages)
			}
			takes(t, fd, p)
		}
	}
}

func asBytes(n []int) (b []byte) {
	for _, i := range n {
		b = append(b, byte(i))
	}
	return b
}

// A receiver that has joining on gets a run as one message, with the size of its datagrams.
func TestPacketTrainWhole(t *testing.T) {
	k := openFirst(t)
	s := udpAt(t, k, here4)
	fd, to := rawUDP(t, here4)
	if s.sends != divides || unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) != nil {
		t.Skip("the system joins nothing")
	}
	p := run(to, 10, 100)
	p[9].Data = p[9].Data[:30]
	sends(t, s, p)
	buf, control := make([]byte, 65536), make([]byte, 64)
	n, m, _, _, err := unix.Recvmsg(fd, buf, control, 0)
	var local netip.Addr
	if size := readControl(control[:m], n, &local); n != 930 || size != 100 || err != nil {
		t.Errorf("%d bytes that are divided by %d, %v", n, size, err)
	}
}

// Datagrams of many sizes, empty ones among them, to two peers in turn: each peer gets its own in the order in which they were
// written (UDP-11).
func TestPacketOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		k := openFirst(t)
		s := udpAt(t, k, here4)
		var fds [2]int
		var to [2]kernel.Addr
		for i := range fds {
			fds[i], to[i] = rawUDP(t, here4)
		}
		var all []kernel.Packet
		var each [2][]kernel.Packet
		sizes := []int{0, 1, 50, 50, 50, 50, 100, 100, 1000}
		size, peer := 0, 0
		for i := range 150 {
			if rnd.IntN(3) == 0 {
				size = sizes[rnd.IntN(len(sizes))]
			}
			if rnd.IntN(8) == 0 {
				peer = 1 - peer
			}
			p := kernel.Packet{Data: payload(i, size), Peer: to[peer]}
			all, each[peer] = append(all, p), append(each[peer], p)
		}
		sends(t, s, all)
		for i := range fds {
			takes(t, fds[i], each[i]) // UDP-11
		}
	}
}

// Slices that are neighbours in memory make one vector, others one each.
func TestPacketVectors(t *testing.T) {
	k := openFirst(t)
	s := udpAt(t, k, here4)
	fd, to := rawUDP(t, here4)
	dense := make([]byte, 1024)
	var p []kernel.Packet
	for i := range 8 {
		copy(dense[i*128:], payload(i, 128))
		p = append(p, kernel.Packet{Data: dense[i*128 : (i+1)*128], Peer: to})
	}
	for i := range 8 { // whole objects, perhaps neighbours by chance
		p = append(p, kernel.Packet{Data: payload(8+i, 128), Peer: to})
	}
	for range 50 {
		sends(t, s, p)
		takes(t, fd, p)
	}
}

// A system that cannot divide, here because the socket wants no checksums, refuses a run. Then its datagrams leave one by one,
// and no further run is tried on that socket.
func TestPacketTrainRefused(t *testing.T) {
	k := openFirst(t)
	s := packetConn(t, k, kernel.UDPAddr(here4, 0), &kernel.PacketOptions{Control: func(fd uintptr) error {
		return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
	}}).(*udpConn)
	fd, to := rawUDP(t, here4)
	p := run(to, 70, 100)
	sends(t, s, p)
	takes(t, fd, p)
	if s.sends != neverDivides {
		t.Error("runs are still tried")
	}
}

// A read gives what at most 16 messages held. The rest follows, in order, and ErrAgain comes only when there is no more.
func TestPacketBatchBounded(t *testing.T) {
	k := openFirst(t)
	r := udpAt(t, k, here4)
	fd, from := rawUDP(t, here4)
	want := run(from, 100, 20)
	for _, p := range want {
		if err := unix.Sendto(fd, p.Data, 0, sockaddrOf(r.Local())); err != nil {
			t.Fatal(err)
		}
	}
	var got []kernel.Packet
	for len(got) < 100 {
		batch, err := r.ReadPackets()
		if err != nil || len(batch) > packetSlots {
			t.Fatalf("%d datagrams in a batch, %v, after %d", len(batch), err, len(got))
		}
		for _, p := range batch {
			p.Data = append([]byte(nil), p.Data...)
			got = append(got, p)
		}
	}
	same(t, got, want)
	none(t, r)
}

// A message that is refused for good ends the batch: the count says how many left before it, and those behind it leave when it is
// skipped (UDP-21).
func TestPacketSkipped(t *testing.T) {
	k := openFirst(t)
	s := udpAt(t, k, here4)
	fd, to := rawUDP(t, here4)
	_, six := rawUDP(t, here6)
	for what, c := range map[string]struct {
		bad  kernel.Packet
		want error
	}{
		"too long":       {kernel.Packet{Data: make([]byte, kernel.MaxDatagram+1), Peer: to}, kernel.ErrMessageSize},
		"broadcast":      {kernel.Packet{Data: []byte("x"), Peer: kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 255, 255, 255}), 9)}, kernel.ErrPermission},
		"another family": {kernel.Packet{Peer: six}, kernel.ErrInvalidAddr},
		"no address":     {kernel.Packet{}, kernel.ErrInvalidAddr},
		"mapped":         {kernel.Packet{Peer: kernel.UDPAddr(netip.AddrFrom16(here4.As16()), 9)}, kernel.ErrInvalidAddr},
	} {
		p := run(to, 9, 50)
		p[5] = c.bad
		if n, err := s.WritePackets(p); n != 5 || !errors.Is(err, c.want) {
			t.Errorf("UDP-21: %s: %d sent, %v, want %v", what, n, err, c.want)
		}
		sends(t, s, p[6:])
		takes(t, fd, append(p[:5:5], p[6:]...))
	}
	p := run(to, 2, kernel.MaxDatagram)
	sends(t, s, p)
	takes(t, fd, p)
}

// What came to a socket at all addresses says to which; an answer leaves from there. What is received can be sent back as it is.
func TestPacketLocal(t *testing.T) {
	for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 9}), here6} {
		k := openFirst(t)
		any := netip.IPv4Unspecified()
		if ip.Is6() {
			any = netip.IPv6Unspecified()
		}
		r := udpAt(t, k, any)
		fd, from := rawUDP(t, ip)
		all := make([]byte, 300)
		sendTrain(t, fd, kernel.UDPAddr(ip, r.Local().Port()), all, 100)
		got := receive(t, k, r, 3)
		for _, p := range got {
			if p.Local != ip || p.Peer != from {
				t.Errorf("from %v to %v, want from %v to %v", p.Peer, p.Local, from, ip)
			}
		}
		sends(t, r, got)
		for range 3 {
			n, sa, err := unix.Recvfrom(fd, all, 0)
			if err != nil || n != 100 {
				t.Fatal(n, err)
			}
			p := shortAddrFrom(sa)
			if a := asUDP(p.addr(baseOf(k), -1)); a.IP.Addr() != ip {
				t.Errorf("answered from %v, want %v", a, ip)
			}
		}
	}
}
