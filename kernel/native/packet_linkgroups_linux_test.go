package native

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

var parseIP = netip.MustParseAddr

// family is what the tests between hosts need of IPv4 and of IPv6.
type family struct{ any, a, a2, b, group, sourced string }

var families = []family{
	{"0.0.0.0", "10.77.0.1", "10.77.0.3", "10.77.0.2", "239.7.7.7", "232.7.7.7"},
	{"::", "fd77::1", "fd77::3", "fd77::2", "ff02::7777", "ff32::7777"},
}

// sendTo sends one datagram.
func sendTo(t *testing.T, c kernel.PacketConn, ip string, port uint16, text string) {
	t.Helper()
	sends(t, c, []kernel.Packet{{Data: []byte(text), Peer: kernel.UDPAddr(parseIP(ip), port)}})
}

// arrives fails unless the next datagram is text. So nothing that was sent before it has come.
func arrives(t *testing.T, h *links, c kernel.PacketConn, promise, text string) kernel.Packet {
	t.Helper()
	got := receive(t, h.k, c, 1)
	if len(got) != 1 || string(got[0].Data) != text {
		t.Fatalf("%s: %d datagrams, the first %q, want %q alone", promise, len(got), got[0].Data, text)
	}
	return got[0]
}

// join joins a group on the other host, and leave leaves it.
func (h *links) join(t *testing.T, c *udpConn, g kernel.Group) (err error) {
	h.in(t, h.b, func() { err = c.JoinGroup(g) })
	return err
}

func (h *links) leave(t *testing.T, c *udpConn, g kernel.Group) (err error) {
	h.in(t, h.b, func() { err = c.LeaveGroup(g) })
	return err
}

// What the one host sends to a group reaches the other after it has joined, and not before nor after it has left (MC-8, MC-9). The
// interface is a name, a number or an address (MC-5).
func hostsGroups(t *testing.T, h *links) {
	for _, f := range families {
		s := h.udp(t, h.a, f.any, 0, nil)
		h.in(t, h.a, func() {
			if err := s.SetMulticastInterface("wa"); err != nil {
				t.Fatal(err)
			}
		})
		var number string
		h.in(t, h.b, func() {
			at, err := net.InterfaceByName("wb")
			if err != nil {
				t.Fatal(err)
			}
			number = strconv.Itoa(at.Index)
		})
		for _, at := range []string{"wb", number, f.b} {
			r := h.udp(t, h.b, f.any, 0, nil)
			port := r.Local().Port()
			g := kernel.Group{IP: parseIP(f.group), Interface: at}
			send := func(text string) { t.Helper(); sendTo(t, s, f.group, port, text) }
			send("before")
			sendTo(t, s, f.b, port, "1")
			arrives(t, h, r, "MC-8", "1")
			left := func() error { return h.leave(t, r, g) }
			if err := left(); !errors.Is(err, kernel.ErrNotJoined) {
				t.Errorf("MC-6: leaving what was not joined: %v", err)
			}
			if err := h.join(t, r, g); err != nil {
				t.Fatalf("MC-5: joining at %s: %v", at, err)
			}
			send("joined")
			if p := arrives(t, h, r, "MC-8, MC-9", "joined"); p.Peer.IP.Addr().Unmap().Is4() != parseIP(f.a).Is4() || p.Peer.Port() != s.Local().Port() {
				t.Errorf("from %v", p.Peer)
			}
			var bad *kernel.GroupError
			if err := h.join(t, r, g); !errors.Is(err, kernel.ErrJoined) || !errors.As(err, &bad) || bad.Group != g || bad.Op != kernel.OpJoin {
				t.Errorf("MC-6: joining twice: %v", err)
			}
			if err := left(); err != nil {
				t.Error(err)
			}
			send("left")
			sendTo(t, s, f.b, port, "2")
			arrives(t, h, r, "MC-8", "2")
			for what, c := range map[kernel.Group]error{{IP: parseIP(f.b)}: kernel.ErrInvalidAddr, {IP: parseIP(f.group), Interface: "nosuch"}: kernel.ErrNoInterface,
				{IP: parseIP(f.group), Interface: "4711"}: kernel.ErrNoInterface, {IP: parseIP(f.group), Interface: "192.0.2.1"}: kernel.ErrNoInterface} {
				if err := h.join(t, r, what); !errors.Is(err, c) || !errors.As(err, &bad) || bad.Group != what {
					t.Errorf("MC-6: %v: %v, want %v", what, err, c)
				}
			}
		}
	}
}

// The scope of a group of IPv6 is where it is joined, unless Group.Interface says otherwise (MC-5, MC-9).
func hostsGroupScopes(t *testing.T, h *links) {
	f := families[1]
	s := h.udp(t, h.a, f.any, 0, nil)
	h.in(t, h.a, func() {
		if err := s.SetMulticastInterface("wa"); err != nil {
			t.Fatal(err)
		}
	})
	for scope, comes := range map[string]bool{"wb": true, "lo": false} {
		r := h.udp(t, h.b, f.any, 0, nil)
		g := kernel.Group{IP: parseIP(f.group).WithZone(scope)}
		if err := h.join(t, r, g); err != nil {
			t.Fatal(err)
		}
		sendTo(t, s, f.group, r.Local().Port(), "1")
		if comes {
			arrives(t, h, r, "MC-9", "1")
		}
		sendTo(t, s, f.b, r.Local().Port(), "2")
		arrives(t, h, r, "MC-5, scope "+scope, "2")
		if err := h.leave(t, r, g); err != nil {
			t.Error(err)
		}
	}
}

// A group that was joined for one source brings what that one sends, and nothing of others (MC-9).
func hostsSources(t *testing.T, h *links) {
	for _, f := range families {
		r := h.udp(t, h.b, f.any, 0, nil)
		g := kernel.Group{IP: parseIP(f.sourced), Interface: "wb", Source: parseIP(f.a)}
		if err := h.join(t, r, g); err != nil {
			t.Fatal(err)
		}
		if err := h.join(t, r, g); !errors.Is(err, kernel.ErrJoined) {
			t.Errorf("MC-6: joining twice: %v", err)
		}
		good, bad := h.udp(t, h.a, f.a, 0, nil), h.udp(t, h.a, f.a2, 0, nil)
		for _, s := range []*udpConn{good, bad} {
			h.in(t, h.a, func() {
				if err := s.SetMulticastInterface("wa"); err != nil {
					t.Fatal(err)
				}
			})
		}
		sendTo(t, bad, f.sourced, r.Local().Port(), "bad")
		sendTo(t, good, f.sourced, r.Local().Port(), "good")
		if p := arrives(t, h, r, "MC-9", "good"); p.Peer != good.Local() {
			t.Errorf("MC-9: from %v, want %v", p.Peer, good.Local())
		}
		if err := h.leave(t, r, g); err != nil {
			t.Error(err)
		}
		if err := h.leave(t, r, g); !errors.Is(err, kernel.ErrNotJoined) {
			t.Errorf("MC-6: leaving twice: %v", err)
		}
		sendTo(t, good, f.sourced, r.Local().Port(), "left")
		sendTo(t, good, f.b, r.Local().Port(), "end")
		arrives(t, h, r, "MC-8", "end")
	}
}

// The TTL is one by default, and with zero nothing leaves the host (MC-2). What leaves by another interface does not come
// (MC-4, MC-7). Our own datagrams come back unless that is switched off (MC-3).
func hostsReach(t *testing.T, h *links) {
	for _, f := range families {
		r := h.udp(t, h.b, f.any, 0, nil)
		g := kernel.Group{IP: parseIP(f.group), Interface: "wb"}
		if err := h.join(t, r, g); err != nil {
			t.Fatal(err)
		}
		port := r.Local().Port()
		s, own := h.udp(t, h.a, f.any, 0, nil), h.udp(t, h.a, f.any, port, nil)
		h.in(t, h.a, func() {
			if err := own.JoinGroup(kernel.Group{IP: parseIP(f.group), Interface: "wa"}); err != nil {
				t.Fatal(err)
			}
			if err := s.SetMulticastInterface("nosuch"); !errors.Is(err, kernel.ErrNoInterface) {
				t.Errorf("MC-7: %v", err)
			}
			if err := s.SetMulticastInterface("lo"); err != nil {
				t.Errorf("MC-4: %v", err)
			}
		})
		send := func(text string) { t.Helper(); sendTo(t, s, f.group, port, text) }
		send("lo")
		h.in(t, h.a, func() {
			if err := s.SetMulticastInterface("wa"); err != nil {
				t.Errorf("MC-4: %v", err)
			}
		})
		if n, err := s.MulticastTTL(); n != 1 || err != nil {
			t.Errorf("MC-2: %d, %v", n, err)
		}
		send("1")
		if err := s.SetMulticastTTL(0); err != nil {
			t.Error(err)
		}
		send("0")
		for _, n := range []int{255, 1} {
			if err := s.SetMulticastTTL(n); err != nil {
				t.Errorf("MC-2: %v", err)
			}
		}
		if err := s.SetMulticastLoopback(false); err != nil {
			t.Error(err)
		}
		send("away")
		if err := s.SetMulticastLoopback(true); err != nil {
			t.Error(err)
		}
		send("end")
		arrivesAll(t, h, r, "MC-2, MC-4", "1", "away", "end")
		arrivesAll(t, h, own, "MC-3", "1", "0", "end")
	}
}

func arrivesAll(t *testing.T, h *links, c kernel.PacketConn, promise string, want ...string) {
	t.Helper()
	got := receive(t, h.k, c, len(want))
	for i, p := range got {
		if i >= len(want) || string(p.Data) != want[i] {
			t.Errorf("%s: datagram %d is %q; want %q", promise, i, p.Data, want)
		}
	}
}

// Two sockets share a port, and each gets what is sent to the groups that it has joined itself (MC-1, MC-8).
func hostsOthers(t *testing.T, h *links) {
	for _, f := range families {
		one := h.udp(t, h.b, f.any, 0, &kernel.PacketOptions{Shared: true})
		two := h.udp(t, h.b, f.any, one.Local().Port(), &kernel.PacketOptions{Shared: true})
		g := kernel.Group{IP: parseIP(f.group), Interface: "wb"}
		g2 := kernel.Group{IP: parseIP(f.group).Next(), Interface: "wb"}
		for c, groups := range map[*udpConn][]kernel.Group{one: {g}, two: {g2}} {
			for _, g := range groups {
				if err := h.join(t, c, g); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := h.udp(t, h.a, f.any, 0, nil)
		h.in(t, h.a, func() {
			if err := s.SetMulticastInterface("wa"); err != nil {
				t.Fatal(err)
			}
		})
		sendTo(t, s, f.group, one.Local().Port(), "one")
		sendTo(t, s, g2.IP.String(), one.Local().Port(), "two")
		arrives(t, h, one, "MC-1", "one")
		arrives(t, h, two, "MC-8", "two")
		none(t, one)
	}
}

// A broadcast, limited or to the network, needs permission, and then reaches the other host (UDP-24).
func hostsBroadcast(t *testing.T, h *links) {
	r := h.udp(t, h.b, "0.0.0.0", 0, nil)
	s := h.udp(t, h.a, "0.0.0.0", 0, nil)
	for _, to := range []string{"255.255.255.255", "10.77.0.255"} {
		p := []kernel.Packet{{Data: []byte(to), Peer: kernel.UDPAddr(parseIP(to), r.Local().Port())}}
		if err := s.SetBroadcast(false); err != nil {
			t.Fatal(err)
		}
		if n, err := s.WritePackets(p); n != 0 || !errors.Is(err, kernel.ErrPermission) {
			t.Errorf("UDP-24: %s: %d, %v", to, n, err)
		}
		if err := s.SetBroadcast(true); err != nil {
			t.Fatal(err)
		}
		sends(t, s, p)
		if got := arrives(t, h, r, "UDP-24", to); got.Local != parseIP("10.77.0.2") {
			t.Errorf("it came to %v", got.Local)
		}
	}
}

// A run of datagrams that are longer than the link takes cannot be one message. One by one they are cut by the system, and all
// arrive, in order; shorter ones are a run again.
func hostsLongRuns(t *testing.T, h *links) {
	for _, f := range families {
		for _, connected := range []bool{false, true} {
			r, s := h.udp(t, h.b, f.b, 0, nil), h.udp(t, h.a, f.a, 0, nil)
			to := r.Local()
			if connected {
				connectTo(t, s, to)
				to = kernel.Addr{}
			}
			var p []kernel.Packet
			for i, size := range []int{2000, 2000, 2000, 2000, 2000, 1000, 1000, 1000, 3000, 3000, 500, 500} {
				p = append(p, kernel.Packet{Data: payload(i, size), Peer: to})
			}
			for range 3 {
				sends(t, s, p)
				same(t, receive(t, h.k, r, len(p)), p)
			}
			if s.noGSO {
				t.Error("runs are given up")
			}
			none(t, s)
		}
	}
}

// A connected socket has no room, since nobody answers for its peer on the link, and has reports to read. Waiting for room alone then
// sleeps, and what was reported is not lost (UDP-15, UDP-17).
func hostsNoRoom(t *testing.T, h *links) {
	for name, value := range map[string]string{"retrans_time_ms": "50", "mcast_solicit": "2", "unres_qlen_bytes": "1000000"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/neigh/wa/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		inner := &links{k: k, a: h.a, b: h.b}
		s := inner.udp(t, h.a, "10.77.0.1", 0, &kernel.PacketOptions{SendBuffer: 4608})
		connectTo(t, s, kernel.UDPAddr(parseIP("10.77.0.99"), 9))
		fill := func() {
			for {
				if _, err := s.WritePackets(run(kernel.Addr{}, 1, 900)); err == kernel.ErrAgain {
					return
				} else if err != nil && !errors.Is(err, kernel.ErrNoRoute) { // a report that has come in the meantime
					t.Fatal(err)
				}
			}
		}
		fill()
		if err := k.Arm(s, 9, kernel.Writable); err != nil {
			t.Fatal(err)
		}
		ev := make([]kernel.Event, 4)
		waited := 0
		for until := k.Now() + 400*time.Millisecond; k.Now() < until; waited++ {
			n, err := k.Wait(ev, until)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				fill()
			}
		}
		if waited > 60 {
			t.Errorf("%s: UDP-17: %d waits in 400 ms", name, waited)
		}
		if !waits(t, k, s, kernel.Readable, k.Now()+10*time.Second) {
			t.Fatalf("%s: UDP-15: the reports are lost", name)
		}
		got, err := s.ReadPackets()
		if err != nil || !errors.Is(got[0].Err, kernel.ErrNoRoute) || len(got[0].Data) == 0 || got[0].Peer != s.Remote() {
			t.Errorf("%s: UDP-15: %+v, %v", name, got, err)
		}
		s.Close()
	}
}

// A socket of ping has datagrams, and is not of UDP (ADOPT-17).
func hostsPing(t *testing.T, h *links) {
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0); err != nil {
		t.Skip(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 77}); err != nil {
		t.Fatal(err)
	}
	a, _ := kernel.As[kernel.Adopter](h.k)
	if c, err := a.AdoptPacketConn(fd, nil); c != nil || !errors.Is(err, kernel.ErrUnsupported) {
		t.Errorf("ADOPT-17: %v, %v", c, err)
	}
}

// The link goes away while a group is joined on it. Everything then is a typed error, and nothing waits (MC-6, MC-7).
func hostsLinkGone(t *testing.T, h *links) {
	type pair struct {
		r, s *udpConn
		g    kernel.Group
	}
	var pairs []pair
	for _, f := range families {
		p := pair{h.udp(t, h.b, f.any, 0, nil), h.udp(t, h.a, f.any, 0, nil), kernel.Group{IP: parseIP(f.group), Interface: "wb"}}
		if err := h.join(t, p.r, p.g); err != nil {
			t.Fatal(err)
		}
		h.in(t, h.a, func() {
			if err := p.s.SetMulticastInterface("wa"); err != nil {
				t.Fatal(err)
			}
		})
		pairs = append(pairs, p)
	}
	ip(t, "link del wa")
	for _, p := range pairs {
		none(t, p.r)
		if waits(t, h.k, p.r, kernel.Readable, h.k.Now()+5*time.Millisecond) {
			t.Error("the socket is ready for ever")
		}
		var bad *kernel.GroupError
		if err := h.leave(t, p.r, p.g); err != nil {
			t.Errorf("MC-6: leaving: %v", err)
		}
		if err := h.join(t, p.r, p.g); !errors.Is(err, kernel.ErrNoInterface) || !errors.As(err, &bad) {
			t.Errorf("MC-6: joining: %v", err)
		}
		var refused *kernel.OptionError
		h.in(t, h.a, func() {
			if err := p.s.SetMulticastInterface("wa"); !errors.Is(err, kernel.ErrNoInterface) || !errors.As(err, &refused) {
				t.Errorf("MC-7: %v", err)
			}
		})
		var sys *kernel.SysError
		if n, err := p.s.WritePackets([]kernel.Packet{{Peer: kernel.UDPAddr(p.g.IP, p.r.Local().Port())}}); n != 0 || !errors.As(err, &sys) {
			t.Errorf("sending: %d, %v", n, err)
		} else {
			t.Log(err)
		}
	}
}
