package native

import (
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Sending and receiving allocates nothing: over IPv4 and IPv6, connected or not, in runs or one by one, and over UNIX sockets with one
// peer.
func TestPacketAllocations(t *testing.T) {
	k := openFirst(t)
	udp4 := func() (s, r kernel.PacketConn) { return udpAt(t, k, here4), udpAt(t, k, here4) }
	udp6 := func() (s, r kernel.PacketConn) { return udpAt(t, k, here6), udpAt(t, k, here6) }
	local := func() (s, r kernel.PacketConn) {
		return unixgramAt(t, k, filepath.Join(t.TempDir(), "s")), unixgramAt(t, k, filepath.Join(t.TempDir(), "r"))
	}
	for what, c := range map[string]struct {
		open      func() (s, r kernel.PacketConn)
		connected bool
		sizes     []int
	}{
		"IPv4":            {udp4, false, []int{10, 20, 0, 30}},
		"IPv4, run":       {udp4, false, []int{50, 50, 50, 50, 50, 50, 20}},
		"IPv4, connected": {udp4, true, []int{10, 20, 0, 30}},
		"connected, run":  {udp4, true, []int{50, 50, 50, 50, 50, 50, 20}},
		"IPv6":            {udp6, false, []int{10, 20, 0, 30}},
		"IPv6, run":       {udp6, false, []int{50, 50, 50, 50, 50, 50, 20}},
		"IPv6, connected": {udp6, true, []int{10, 20, 0, 30}},
		"UNIX":            {local, false, []int{10, 20, 0, 30}},
		"UNIX, connected": {local, true, []int{10, 20, 0, 30}},
	} {
		s, r := c.open()
		to := r.Local()
		if c.connected {
			connectTo(t, s, to)
			to = kernel.Addr{}
			if u, ok := s.(*udpConn); ok { // a run leaves only to a peer that has answered
				sends(t, r, run(s.Local(), 1, 1))
				receive(t, k, u, 1)
			}
		}
		var p []kernel.Packet
		for i, size := range c.sizes {
			p = append(p, kernel.Packet{Data: payload(i, size), Peer: to})
		}
		bad := ""
		got := testing.AllocsPerRun(100, func() {
			if n, err := s.WritePackets(p); n != len(p) || err != nil {
				bad = "not all were sent"
			}
			for n := 0; n < len(p); {
				batch, err := r.ReadPackets()
				if err != nil && err != kernel.ErrAgain {
					bad = err.Error()
				}
				n += len(batch)
			}
		})
		if got != 0 || bad != "" {
			t.Errorf("%s: %v allocations, %s", what, got, bad)
		}
	}
}

// FuzzPacketControl: control messages of any content are read without leaving their bytes, and the datagrams of a slot have
// together what the slot has, whatever size they name.
func FuzzPacketControl(f *testing.F) {
	gro := make([]byte, unix.CmsgSpace(4))
	putControl(gro, unix.IPPROTO_UDP, unix.UDP_GRO, 4)
	gro[unix.CmsgLen(0)] = 7
	info4 := make([]byte, unix.CmsgSpace(unix.SizeofInet4Pktinfo))
	putControl(info4, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	info6 := make([]byte, unix.CmsgSpace(unix.SizeofInet6Pktinfo))
	putControl(info6, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	failed := make([]byte, unix.CmsgSpace(48))
	putControl(failed, unix.IPPROTO_IP, unix.IP_RECVERR, 48)
	failed[unix.CmsgLen(0)], failed[unix.CmsgLen(4)] = byte(unix.ECONNREFUSED), unix.SO_EE_ORIGIN_ICMP
	f.Add([]byte{}, 100)
	f.Add(gro, 100)
	f.Add(append(info4, gro...), 1000)
	f.Add(append(info6, gro[:len(gro)-3]...), 10)
	f.Add(failed, 0)
	f.Add(failed[:20], 0)
	f.Add(append(gro, make([]byte, 40)...), 65536)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if len(b) > controlSize {
			b = b[:controlSize]
		}
		m := &packetBuffers{slots: make([]byte, slotSize)}
		n := copy(m.inExtra[0][:], b)
		m.in[0].n = uint32(min(max(size, 0), slotSize))
		m.in[0].SetControllen(n)
		s := &udpConn{packetSock: packetSock{sock: sock{b: new(base)}}}
		s.unpack(m, 0)
		total := 0
		for i, p := range m.packets {
			total += len(p.Data)
			if i > 0 && len(p.Data) == 0 || i > 0 && len(p.Data) > len(m.packets[0].Data) {
				t.Fatalf("datagram %d has %d bytes, the first %d", i, len(p.Data), len(m.packets[0].Data))
			}
		}
		if total != int(m.in[0].n) || len(m.packets) == 0 {
			t.Fatalf("%d datagrams of %d bytes together, want %d", len(m.packets), total, m.in[0].n)
		}
		if e := errorOf(m.inExtra[0][:n]); e != 0 && n < unix.CmsgLen(5) {
			t.Fatalf("an error of %d bytes: %v", n, e)
		}
	})
}

// FuzzPacketName: names of any content are read without leaving their bytes, and an address that is read and written again is
// the same.
func FuzzPacketName(f *testing.F) {
	for _, a := range []string{"127.0.0.1", "::1", "fe80::1%7"} {
		p, _ := shortIP("", kernel.UDPAddr(here4, 4711), here4, -1)
		if a == "::1" {
			p, _ = shortIP("", kernel.UDPAddr(here6, 4711), here6, -1)
		}
		if a == "fe80::1%7" {
			p.kind, p.scope = inet6, 7
		}
		var name [nameSize]byte
		f.Add(name[:p.encode(&name)])
	}
	f.Add([]byte{unix.AF_UNIX, 0, 0, 'a', 'b'})
	f.Add([]byte{unix.AF_UNIX, 0, '/', 'a', 0})
	f.Add([]byte{unix.AF_UNIX})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > nameSize {
			b = b[:nameSize]
		}
		var p, q shortAddr
		p.decode(b)
		if p.kind != noAddr {
			var name [nameSize]byte
			n := p.encode(&name)
			if q.decode(name[:n]); p != q {
				t.Fatalf("%+v became %+v", p, q)
			}
		}
		u := &unixgramConn{}
		if a := u.peer(b); a != u.peer(b) || len(a.Name) > len(b) {
			t.Fatalf("%x is %v, then %v", b, a, u.peer(b))
		}
		if w := (&udpConn{}); p.scope == 0 && w.peer(b).IP.Port() != p.port {
			t.Fatalf("%x has port %d, want %d", b, w.peer(b).IP.Port(), p.port)
		}
	})
}
