package native

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// testBind opens a datagram socket for a test.
func testBind(t testing.TB, k kernel.Kernel, a kernel.Addr, o *kernel.PacketOptions) kernel.PacketConn {
	t.Helper()
	p, ok := kernel.As[kernel.Packets](k)
	if !ok {
		t.Fatal("no kernel.Packets")
	}
	c, err := p.ListenPacket(a, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// testUDP is one on the IPv4 loopback address.
func testUDP(t testing.TB, k kernel.Kernel, o *kernel.PacketOptions) *udpConn {
	t.Helper()
	return testBind(t, k, kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), o).(*udpConn)
}

// equals are n datagrams of the same size to a.
func equals(a kernel.Addr, n, size int) []kernel.Packet {
	p := make([]kernel.Packet, n)
	for i := range p {
		p[i] = kernel.Packet{Data: bytes.Repeat([]byte{byte(i)}, size), Peer: a}
	}
	return p
}

// testPut sends p, which there is room for.
func testPut(t testing.TB, c kernel.PacketConn, p []kernel.Packet) {
	t.Helper()
	if n, err := c.WritePackets(p); n != len(p) || err != nil {
		t.Fatalf("%d of %d were sent: %v", n, len(p), err)
	}
}

// A train of datagrams is sent as one message, and received as one that is cut up where it was put together: the slot holds
// all of it, there is room for what tells the boundaries, and the last datagram may be shorter.
func TestPacketTrains(t *testing.T) {
	k := openFirst(t)
	for _, x := range []struct{ n, size, last int }{{64, 1000, 1000}, {64, 1000, 1}, {2, 32_000, 32_000}, {10, 6500, 6499}, {64, 3, 1}} {
		c, d := testUDP(t, k, nil), testUDP(t, k, nil)
		p := equals(d.Local(), x.n, x.size)
		p[x.n-1].Data = p[x.n-1].Data[:x.last]
		testPut(t, c, p)
		if out := c.b.out; out.used != 1 || out.count[0] != x.n {
			t.Errorf("%+v: %d messages were sent, the first of %d datagrams", x, out.used, out.count[0])
		}
		testReady(t, k, d, kernel.Readable)
		got, err := d.ReadPackets()
		if err != nil || len(got) != x.n {
			t.Fatalf("%+v: %d datagrams came in one message: %v", x, len(got), err)
		}
		if flags := d.b.in.msgs[0].Flags; flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			t.Errorf("%+v: something was cut: flags %#x", x, flags)
		}
		for i, q := range got {
			if !bytes.Equal(q.Data, p[i].Data) || q.Peer != c.Local() || q.Truncated {
				t.Errorf("%+v: datagram %d has %d bytes", x, i, len(q.Data))
			}
		}
		// What was received can be sent back as it is: what told the boundaries is not part of it.
		testPut(t, d, got)
		testReady(t, k, c, kernel.Readable)
		if back, err := c.ReadPackets(); err != nil || len(back) != x.n || !bytes.Equal(back[x.n-1].Data, p[x.n-1].Data) {
			t.Errorf("%+v: %d datagrams came back: %v", x, len(back), err)
		}
	}
}

// No more than 64 datagrams and 65,000 bytes are put together: the system would refuse the whole.
func TestPacketTrainLimits(t *testing.T) {
	k := openFirst(t)
	for _, x := range []struct{ n, size, first int }{{200, 10, 64}, {66, 1000, 64}, {66, 1015, 64}, {66, 1016, 63}, {3, 32_500, 2}, {3, 32_501, 1}} {
		c, d := testUDP(t, k, nil), testUDP(t, k, nil)
		testPut(t, c, equals(d.Local(), x.n, x.size))
		if n, err := c.WritePackets(equals(d.Local(), x.n, x.size)[:x.first+1]); err != nil || n != x.first+1 {
			t.Errorf("%+v: %d, %v", x, n, err)
		}
		if got := c.b.out.count[0]; got != x.first {
			t.Errorf("%+v: %d datagrams were put together", x, got)
		}
	}
}

// A socket that cannot send trains, because it computes no checksums, sends the same datagrams one by one, in their
// order, and tries no train again.
func TestPacketNoTrains(t *testing.T) {
	k := openFirst(t)
	c, d := testUDP(t, k, &kernel.PacketOptions{Control: func(fd uintptr) error {
		return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
	}}), testUDP(t, k, nil)
	p := equals(d.Local(), 40, 100)
	testPut(t, c, p)
	if !c.noGSO {
		t.Error("it goes on trying")
	}
	readAll(t, k, d, p)
	// A refusal for another reason turns nothing off.
	c = testUDP(t, k, nil)
	for i := range p {
		p[i].Local = netip.AddrFrom4([4]byte{192, 0, 2, 77})
	}
	n, err := c.WritePackets(p)
	if n != 0 || !errors.Is(err, kernel.ErrAddrUnavailable) || c.noGSO {
		t.Errorf("from an address that is not ours: %d, %v; no more trains: %v", n, err, c.noGSO)
	}
}

// readAll reads what p is from d.
func readAll(t *testing.T, k kernel.Kernel, d kernel.PacketConn, p []kernel.Packet) {
	t.Helper()
	for i := 0; i < len(p); {
		testReady(t, k, d, kernel.Readable)
		got, err := d.ReadPackets()
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range got {
			if i == len(p) || !bytes.Equal(q.Data, p[i].Data) || q.Err != nil {
				t.Fatalf("datagram %d has %d bytes, %v", i, len(q.Data), q.Err)
			}
			i++
		}
	}
}

// A batch is sent and received without allocation, to and from a peer in a zone too.
func TestPacketAllocations(t *testing.T) {
	ips := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	if ip, ok := linkLocal(t); ok {
		ips = append(ips, ip)
	}
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		for _, ip := range ips {
			c, d := testBind(t, k, kernel.UDPAddr(ip, 0), nil), testBind(t, k, kernel.UDPAddr(ip, 0), nil)
			p := equals(d.Local(), 40, 64)
			for i := range 20 {
				p[i].Data = p[i].Data[:i] // these cannot be put together
			}
			var err error
			turn := func() {
				n := 0
				if n, err = c.WritePackets(p); n != len(p) {
					return
				}
				for got := 0; got < len(p) && err == nil; {
					var q []kernel.Packet
					if q, err = d.ReadPackets(); err == kernel.ErrAgain {
						err = nil
					}
					got += len(q)
				}
			}
			turn()
			if n := testing.AllocsPerRun(50, turn); n != 0 || err != nil {
				t.Errorf("%s, %v: %v allocations for 40 datagrams, %v", name, ip, n, err)
			}
		}
	}
}

// UDP-28: a train is received and sent without allocation, as one.
func TestPacketTrainAllocations(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		c, d := testUDP(t, k, nil), testUDP(t, k, nil)
		p := []kernel.Packet{{Data: make([]byte, 60*1000), Peer: d.Local(), Segment: 1000}}
		var err error
		trains := 0
		turn := func() {
			if _, err = c.WritePackets(p); err != nil {
				return
			}
			for got := 0; got < len(p[0].Data); {
				q, again := d.ReadTrains()
				if again != nil && again != kernel.ErrAgain {
					err = again
					return
				}
				for i := range q {
					got += len(q[i].Data)
					if q[i].Segment == 1000 && q[i].Datagrams() == 60 {
						trains++
					}
				}
			}
		}
		turn()
		if n := testing.AllocsPerRun(50, turn); n != 0 || err != nil || trains != 52 {
			t.Errorf("UDP-28: %s: %v allocations for a train, %v; %d of 52 came whole", name, n, err, trains)
		}
	}
}

// Each refused datagram is read, with its data, in the order of the sends, though a batch to a dead peer stops at every
// second one and hides why (UDP-15, UDP-27). A socket that is not connected asks for none.
func TestPacketRefusals(t *testing.T) {
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		c, gone := testUDP(t, k, nil), testUDP(t, k, nil)
		gone.Close()
		if v, err := unix.GetsockoptInt(int(c.fd), unix.IPPROTO_IP, unix.IP_RECVERR); v != 0 || err != nil {
			t.Errorf("%s: not connected, and IP_RECVERR is %d, %v", name, v, err)
		}
		if err := c.Connect(gone.Local()); err != nil {
			t.Fatal(err)
		}
		var p []kernel.Packet
		for i := range 7 {
			p = append(p, kernel.Packet{Data: []byte(fmt.Sprint("datagram ", i))})
			p[i].Data = append(p[i].Data, make([]byte, i)...) // each is longer, so no two are one message
		}
		testPut(t, c, p)
		got := 0
		for got < len(p) {
			testReady(t, k, c, kernel.Readable) // UDP-17: the event tells of an error alone
			q, err := c.ReadPackets()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range q {
				if !errors.Is(r.Err, kernel.ErrRefused) || !bytes.Equal(r.Data, p[got].Data) || r.Peer != gone.Local() {
					t.Errorf("%s: UDP-27: refusal %d is of %q to %v: %v", name, got, r.Data, r.Peer, r.Err)
				}
				got++
			}
		}
		if q, err := c.ReadPackets(); err != kernel.ErrAgain {
			t.Errorf("%s: UDP-15: %v, %v", name, q, err)
		}
	}
}

// The lengths of names that one read has left do not shorten those of the next.
func TestPacketNames(t *testing.T) {
	k := openFirst(t)
	dir := t.TempDir()
	d := testBind(t, k, kernel.UNIXDatagramAddr(dir+"/d"), nil)
	long := testBind(t, k, kernel.UNIXDatagramAddr(dir+"/"+strings.Repeat("x", 90-len(dir))), nil)
	short := testBind(t, k, kernel.UNIXDatagramAddr("@"+filepath.Base(dir)), nil)
	none := testBind(t, k, kernel.UNIXDatagramAddr(""), nil)
	c4, d4 := testUDP(t, k, nil), testUDP(t, k, nil)
	v6 := kernel.UDPAddr(netip.IPv6Loopback(), 0)
	c6, d6 := testBind(t, k, v6, nil), testBind(t, k, v6, nil)
	for range 2 {
		for _, x := range []struct{ from, to kernel.PacketConn }{{none, d}, {long, d}, {c4, d4}, {short, d}, {c6, d6}, {long, d}, {none, d}} {
			testPut(t, x.from, []kernel.Packet{{Data: []byte("x"), Peer: x.to.Local()}})
			want := x.from.Local()
			if x.from == none {
				want = kernel.Addr{}
			}
			if p, err := x.to.ReadPackets(); err != nil || len(p) != 1 || p[0].Peer != want {
				t.Errorf("%v, %v; want one from %v", p, err, want)
			}
		}
	}
}

// Descriptors that come with a datagram, and that nobody asked for, are closed.
func TestPacketDescriptors(t *testing.T) {
	k := openFirst(t)
	d := testBind(t, k, kernel.UNIXDatagramAddr(filepath.Join(t.TempDir(), "d")), nil)
	fd := socketFor(t, unix.AF_UNIX, unix.SOCK_DGRAM)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	err := unix.Sendmsg(fd, []byte("with a descriptor"), unix.UnixRights(pipe[1]), &unix.SockaddrUnix{Name: d.Local().Name}, 0)
	unix.Close(pipe[1])
	if err != nil {
		t.Fatal(err)
	}
	if p, err := d.ReadPackets(); err != nil || len(p) != 1 || string(p[0].Data) != "with a descriptor" || p[0].Truncated {
		t.Errorf("%v, %v", p, err)
	}
	if n, err := unix.Read(pipe[0], make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the descriptor is still open somewhere: %d, %v", n, err)
	}
}

// A datagram can come from any of our addresses, and from no other.
func TestPacketSource(t *testing.T) {
	k := openFirst(t)
	ip := netip.AddrFrom4([4]byte{127, 0, 0, 3})
	s, c := testBind(t, k, kernel.UDPAddr(netip.IPv4Unspecified(), 0), nil), testUDP(t, k, nil)
	at := kernel.UDPAddr(ip, s.Local().Port())
	testPut(t, c, equals(at, 3, 10))
	p, err := s.ReadPackets()
	if err != nil || len(p) != 3 || p[2].Local != ip {
		t.Fatalf("%v, %v; want three to %v", p, err, ip)
	}
	answer := equals(c.Local(), 3, 10)
	for i := range answer {
		answer[i].Local = p[i].Local
	}
	testPut(t, s, answer)
	if p, err := c.ReadPackets(); err != nil || len(p) != 3 || p[2].Peer != at {
		t.Errorf("%v, %v; want three from %v", p, err, at)
	}
	for _, x := range []struct {
		from netip.Addr
		is   error
	}{{netip.AddrFrom4([4]byte{192, 0, 2, 77}), kernel.ErrAddrUnavailable}, {netip.IPv6Loopback(), kernel.ErrInvalidAddr}} {
		n, err := s.WritePackets([]kernel.Packet{answer[0], {Peer: c.Local(), Local: x.from}})
		if n != 1 || !errors.Is(err, x.is) {
			t.Errorf("from %v: %d, %v", x.from, n, err)
		}
	}
}

// An interface is known by its name, its number and each of its addresses.
func TestPacketInterfaces(t *testing.T) {
	k := openFirst(t)
	for _, x := range []struct {
		at, group string
		names     []string
	}{{"127.0.0.1", "239.77.77.3", []string{"lo", "1", "127.0.0.1", "::1"}}, {"::1", "ff12::7773", []string{"lo", "1", "127.0.0.1", "::1", "::1%lo"}}} {
		c := testBind(t, k, kernel.UDPAddr(netip.MustParseAddr(x.at), 0), nil).(*udpConn)
		for _, name := range x.names {
			g := kernel.Group{IP: netip.MustParseAddr(x.group), Interface: name}
			if err := c.SetMulticastInterface(name); err != nil {
				t.Error(err)
			}
			if err := c.JoinGroup(g); err != nil {
				t.Error(err)
			}
			for _, other := range x.names {
				g := kernel.Group{IP: g.IP, Interface: other}
				if err := c.JoinGroup(g); !errors.Is(err, kernel.ErrJoined) {
					t.Errorf("joined on %s, and on %s: %v", name, other, err)
				}
			}
			if err := c.LeaveGroup(g); err != nil {
				t.Error(err)
			}
		}
		for _, none := range []string{"::1%eth0", "fe80::77", "127.0.0.77", "lo0", "1.5", "999999"} {
			if err := c.SetMulticastInterface(none); !errors.Is(err, kernel.ErrNoInterface) {
				t.Errorf("interface %s: %v", none, err)
			}
		}
	}
}

// Control messages of any shape are read without harm, and say nothing that is not in them.
func FuzzParseControl(f *testing.F) {
	b := make([]byte, controlSize)
	n := putControl(b, unix.SOL_UDP, unix.UDP_GRO, 4)
	copy(b[unix.SizeofCmsghdr:], []byte{0, 4, 0, 0})
	n += putControl(b[n:], unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	f.Add(b[:n])
	f.Add(b[:n-5])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := parseControl(b)
		if len(b) < unix.SizeofCmsghdr+4 && c != (control{}) {
			t.Errorf("%x is %+v", b, c)
		}
	})
}

// The system says the length of a datagram in four bytes, and takes it in two.
func TestParseControl(t *testing.T) {
	b := make([]byte, controlSize)
	n := putControl(b, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 16) // of no interest
	m := n + unix.SizeofCmsghdr
	n += putControl(b[n:], unix.SOL_UDP, unix.UDP_GRO, 4)
	b[m], b[m+1], b[m+2] = 0x34, 0x12, 1
	if c := parseControl(b[:n]); c.segment != 0x11234 && c.segment != 0x34120100 {
		t.Errorf("%+v", c)
	}
	if c := parseControl(b[:n-4]); c.segment != 0 && n-4 < m+4 {
		t.Errorf("cut: %+v", c)
	}
	k := openFirst(t)
	c := testUDP(t, k, nil)
	testPut(t, c, equals(c.Local(), 2, 5))
	if h := (*unix.Cmsghdr)(c.b.out.msgs[0].controlHeader()); h.Type != unix.UDP_SEGMENT || int(h.Len) != unix.CmsgLen(2) {
		t.Errorf("sent with %+v", h)
	}
}

// controlHeader is the first control message.
func (m *message) controlHeader() unsafe.Pointer { return unsafe.Pointer(m.Control) }

// A refusal is read also if somebody else has taken the error of the socket: another holder of it, or a send in a batch.
func TestPacketRefusalTaken(t *testing.T) {
	k := openFirst(t)
	c, gone := testUDP(t, k, nil), testUDP(t, k, nil)
	gone.Close()
	if err := c.Connect(gone.Local()); err != nil {
		t.Fatal(err)
	}
	testPut(t, c, []kernel.Packet{{Data: []byte("x")}})
	if v, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || v != int(unix.ECONNREFUSED) {
		t.Fatalf("the error is %d, %v", v, err)
	}
	testReady(t, k, c, kernel.Readable) // UDP-17
	if p, err := c.ReadPackets(); err != nil || len(p) != 1 || !errors.Is(p[0].Err, kernel.ErrRefused) {
		t.Errorf("UDP-27: %v, %v", p, err)
	}
	// One that a send has met is read before what has come, so a peer that sends all the time does not hide it.
	testPut(t, c, []kernel.Packet{{Data: []byte("y")}})
	d := testBind(t, k, gone.Local(), nil)
	testPut(t, c, []kernel.Packet{{Data: []byte("z")}})
	testPut(t, d, []kernel.Packet{{Data: []byte("answer"), Peer: c.Local()}})
	if p, err := c.ReadPackets(); err != nil || len(p) != 1 || !errors.Is(p[0].Err, kernel.ErrRefused) || string(p[0].Data) != "y" {
		t.Errorf("UDP-27: %v, %v", p, err)
	}
	if p, err := c.ReadPackets(); err != nil || len(p) != 1 || string(p[0].Data) != "answer" {
		t.Errorf("%v, %v", p, err)
	}
}

// A socket with all addresses that is connected a second time gets the address from which the way to the new peer begins,
// and keeps its port (UDP-25).
func TestPacketReconnectedElsewhere(t *testing.T) {
	ip, ok := linkLocal(t)
	if !ok {
		t.Skip("no link-local address here")
	}
	k := openFirst(t)
	c := testBind(t, k, kernel.UDPAddr(netip.IPv6Unspecified(), 0), nil)
	port := c.Local().Port()
	for _, at := range []netip.Addr{netip.IPv6Loopback(), ip, netip.IPv6Loopback()} {
		d := testBind(t, k, kernel.UDPAddr(at, 0), nil)
		if err := c.Connect(d.Local()); err != nil {
			t.Fatal(err)
		}
		if want := kernel.UDPAddr(at, port); c.Local() != want {
			t.Errorf("UDP-25: connected to %v from %v, want %v", d.Local(), c.Local(), want)
		}
	}
}
