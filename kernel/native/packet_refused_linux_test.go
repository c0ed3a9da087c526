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

// refusals reads until n refusals have come, and returns them, copied.
func refusals(t *testing.T, k kernel.Kernel, c kernel.PacketConn, n int) []kernel.Packet {
	t.Helper()
	got := receive(t, k, c, n)
	if len(got) != n {
		t.Fatalf("%d reports, want %d", len(got), n)
	}
	return got
}

// A connected socket whose peer has gone: the system hides all refusals but the first from a batch. Each of five datagrams is reported
// all the same, with its payload, in order, and none keeps the next one from being sent (UDP-15, UDP-21).
func TestPacketRefusedEach(t *testing.T) {
	for _, ip := range []netip.Addr{here4, here6} {
		eachPacket(t, func(t *testing.T, k kernel.Kernel) {
			c := udpAt(t, k, ip)
			to := deadPeer(t, ip)
			connectTo(t, c, to)
			for round := range 3 {
				p := run(kernel.Addr{}, 5, 30)
				for i := range p {
					p[i].Data = payload(10*round+i, 30+i*(round%2)) // of one size, which could be a run, and of several
				}
				sends(t, c, p) // UDP-21: all five
				for i, got := range refusals(t, k, c, 5) {
					var sys *kernel.SysError
					if string(got.Data) != string(p[i].Data) || !errors.Is(got.Err, kernel.ErrRefused) || !errors.As(got.Err, &sys) || got.Peer != to {
						t.Errorf("UDP-15: report %d is of %.8x to %v: %v", i, got.Data, got.Peer, got.Err)
					}
				}
				none(t, c)
			}
		})
	}
}

// A refusal that waits comes first, and the datagrams that have come after it (UDP-15, UDP-17). Then nothing is ready any more.
func TestPacketRefusedFirst(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		c := udpAt(t, k, here4)
		fd, from := rawUDP(t, here4)
		unix.Close(fd)
		connectTo(t, c, from)
		sends(t, c, run(kernel.Addr{}, 2, 10))
		fd = socketFor(t, unix.AF_INET, unix.SOCK_DGRAM)
		if err := unix.Bind(fd, sockaddrOf(from)); err != nil {
			t.Skip(err) // somebody else has the port
		}
		if err := unix.Sendto(fd, []byte("alive"), 0, sockaddrOf(c.Local())); err != nil {
			t.Fatal(err)
		}
		got := receive(t, k, c, 3)
		if len(got) != 3 || got[0].Err == nil || got[1].Err == nil || got[2].Err != nil || string(got[2].Data) != "alive" {
			t.Errorf("UDP-15: read %+v", got)
		}
		none(t, c)
		if waits(t, k, c, kernel.Readable, k.Now()+5*time.Millisecond) {
			t.Error("UDP-17: nothing is left, and the socket is ready")
		}
	})
}

// A failure alone makes a socket ready for what it waits for (UDP-17). One that waits for room can write, which does not lose
// what waits to be read.
func TestPacketFailureIsReady(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		for _, r := range []kernel.Ready{kernel.Readable, kernel.Writable} {
			c := udpAt(t, k, here4)
			connectTo(t, c, deadPeer(t, here4))
			sends(t, c, run(kernel.Addr{}, 1, 10))
			if !waits(t, k, c, r, k.Now()+10*time.Second) {
				t.Errorf("UDP-17: not ready for %v", r)
			}
			sends(t, c, run(kernel.Addr{}, 2, 10))
			refusals(t, k, c, 3)
			none(t, c)
		}
	})
}

// A refusal that a send has met is reported before the datagrams that have come meanwhile.
func TestPacketRefusedBySend(t *testing.T) {
	k := openFirst(t)
	c := udpAt(t, k, here4)
	fd, from := rawUDP(t, here4)
	connectTo(t, c, from)
	unix.Close(fd)
	sends(t, c, run(kernel.Addr{}, 1, 10))
	fd = socketFor(t, unix.AF_INET, unix.SOCK_DGRAM)
	if err := unix.Bind(fd, sockaddrOf(from)); err != nil {
		t.Skip(err)
	}
	sends(t, c, run(kernel.Addr{}, 1, 20)) // meets the refusal, and arrives
	if err := unix.Sendto(fd, []byte("alive"), 0, sockaddrOf(c.Local())); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, k, c, 2); len(got) != 2 || got[0].Err == nil || len(got[0].Data) != 10 || got[1].Err != nil {
		t.Errorf("UDP-15: read %+v", got)
	}
}

// What this host itself says of a datagram, here that it is too long, the write has told. It is no report, and leaves nothing to
// wait for.
func TestPacketLocalError(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		c := udpAt(t, k, here4)
		fd, to := rawUDP(t, here4)
		connectTo(t, c, to)
		if err := unix.SetsockoptInt(int(c.fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO); err != nil {
			t.Fatal(err)
		}
		for range 40 { // more than a read looks at
			if n, err := c.WritePackets([]kernel.Packet{{Data: make([]byte, 65507)}, {Data: make([]byte, 65508)}}); n > 1 || !errors.Is(err, kernel.ErrMessageSize) {
				t.Fatal(n, err)
			}
			unix.Recvfrom(fd, make([]byte, 1), unix.MSG_DONTWAIT)
		}
		sends(t, c, run(kernel.Addr{}, 1, 10))
		for range 30 {
			if got, err := c.ReadPackets(); err != kernel.ErrAgain {
				t.Fatalf("%d reports, %v", len(got), err)
			}
		}
		if waits(t, k, c, kernel.Readable, k.Now()+5*time.Millisecond) {
			t.Error("the socket is ready for ever")
		}
	})
}

// Without a fixed peer, one that has gone neither fails what is sent to others nor is reported (UDP-15).
func TestPacketUnconnectedRefusal(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		for _, keeps := range []bool{false, true} { // also if somebody has the system keep what was not delivered
			c := packetConn(t, k, kernel.UDPAddr(here4, 0), &kernel.PacketOptions{Control: func(fd uintptr) error {
				return unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, on(keeps))
			}})
			gone := deadPeer(t, here4)
			fd, to := rawUDP(t, here4)
			for range 30 {
				p := []kernel.Packet{{Data: []byte("a"), Peer: gone}, {Data: []byte("b"), Peer: to}, {Data: []byte("c"), Peer: gone}, {Data: []byte("d"), Peer: to}}
				sends(t, c, p)
				takes(t, fd, []kernel.Packet{p[1], p[3]})
			}
			if err := unix.Sendto(fd, []byte("alive"), 0, sockaddrOf(c.Local())); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, k, c, 1); len(got) != 1 || got[0].Err != nil {
				t.Errorf("UDP-15: read %+v", got)
			}
			for range 6 {
				if _, err := c.ReadPackets(); err != kernel.ErrAgain {
					t.Errorf("UDP-15: %v", err)
				}
			}
			if waits(t, k, c, kernel.Readable, k.Now()+5*time.Millisecond) {
				t.Error("the socket is ready for ever")
			}
		}
	})
}

// A closed socket says so, whatever it did before.
func TestPacketClosed(t *testing.T) {
	k := openFirst(t)
	for what, use := range map[string]func(c *udpConn){
		"new":   func(*udpConn) {},
		"named": func(c *udpConn) { c.Local() },
		"read":  func(c *udpConn) { sends(t, c, run(c.Local(), 1, 1)); receive(t, k, c, 1) },
	} {
		c := udpAt(t, k, here4)
		use(c)
		c.Close()
		if _, err := c.ReadPackets(); !errors.Is(err, kernel.ErrClosed) {
			t.Errorf("%s: ReadPackets: %v", what, err)
		}
		if _, err := c.WritePackets([]kernel.Packet{{Peer: kernel.UDPAddr(here4, 9)}}); !errors.Is(err, kernel.ErrClosed) {
			t.Errorf("%s: WritePackets: %v", what, err)
		}
		if err := c.Connect(kernel.UDPAddr(here4, 9)); !errors.Is(err, kernel.ErrClosed) {
			t.Errorf("%s: Connect: %v", what, err)
		}
		for name, err := range map[string]error{"SetBroadcast": c.SetBroadcast(true), "SetSendBuffer": c.SetSendBuffer(4096), "JoinGroup": c.JoinGroup(kernel.Group{IP: netip.AddrFrom4([4]byte{224, 0, 0, 251})}),
			"SetMulticastTTL": c.SetMulticastTTL(1), "SetMulticastLoopback": c.SetMulticastLoopback(true), "SetMulticastInterface": c.SetMulticastInterface("lo")} {
			if !errors.Is(err, kernel.ErrClosed) {
				t.Errorf("%s: %s: %v", what, name, err)
			}
		}
	}
}

// A link-local address without its interface is refused before the system is asked, for which it would be invalid (UDP-9). A mapped
// address is one of IPv6, and a socket of IPv6 alone has no way to it.
func TestPacketAddresses(t *testing.T) {
	k := openFirst(t)
	bare := netip.MustParseAddr("fe80::1")
	p, _ := kernel.As[kernel.Packets](k)
	if c, err := p.ListenPacket(kernel.UDPAddr(bare, 0), nil); c != nil || !errors.Is(err, kernel.ErrInvalidAddr) {
		t.Errorf("listening: %v, %v", c, err)
	}
	c := udpAt(t, k, here6)
	for _, a := range []kernel.Addr{kernel.UDPAddr(bare, 9), kernel.UDPAddr(bare.WithZone("nosuch0"), 9)} {
		if n, err := c.WritePackets([]kernel.Packet{{Peer: a}}); n != 0 || !errors.Is(err, kernel.ErrInvalidAddr) {
			t.Errorf("sending to %v: %v", a, err)
		}
		if err := c.Connect(a); !errors.Is(err, kernel.ErrInvalidAddr) {
			t.Errorf("connecting to %v: %v", a, err)
		}
	}
	six := packetConn(t, k, kernel.UDPAddr(netip.IPv6Unspecified(), 0), nil)
	if n, err := six.WritePackets([]kernel.Packet{{Peer: kernel.UDPAddr(netip.AddrFrom16(here4.As16()), 9)}}); n != 0 || !errors.Is(err, kernel.ErrNoRoute) {
		t.Errorf("sending to a mapped address: %v", err)
	}
	mapped := packetConn(t, k, kernel.UDPAddr(netip.AddrFrom16(here4.As16()), 0), nil)
	if mapped.Local().IP.Addr() != here4 {
		t.Errorf("bound to a mapped address, the socket is at %v", mapped.Local())
	}
	if at, ok := linkLocal(t); ok {
		r := udpAt(t, k, at)
		s := udpAt(t, k, at)
		sends(t, s, run(r.Local(), 2, 10))
		for _, got := range receive(t, k, r, 2) {
			if got.Peer != s.Local() || got.Peer.IP.Addr().Zone() == "" {
				t.Errorf("UDP-9: from %v, want %v", got.Peer, s.Local())
			}
		}
	}
}

// Reports that a send has taken from the system, because it had no room, are there for whoever waits to read, on every kernel (UDP-15,
// UDP-17).
func TestPacketHeld(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		for _, before := range []bool{false, true} { // armed to read already
			c := udpAt(t, k, here4)
			connectTo(t, c, deadPeer(t, here4))
			ready := kernel.Writable
			if before {
				ready |= kernel.Readable
			}
			if err := k.Arm(c, 8, ready); err != nil {
				t.Fatal(err)
			}
			sends(t, c, run(kernel.Addr{}, 3, 10))
			c.blocked(c.b.packetMemory())
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

// A peer of this host that had answered goes away. The run that is on its way then is refused as one, and the report has one
// datagram of it, not several together. Those behind it are refused one by one (UDP-15).
func TestPacketRefusedRun(t *testing.T) {
	k := openFirst(t)
	c, peer := udpAt(t, k, here4), udpAt(t, k, here4)
	connectTo(t, c, peer.Local())
	sends(t, peer, run(c.Local(), 1, 1))
	receive(t, k, c, 1)
	peer.Close()
	sends(t, c, run(kernel.Addr{}, 5, 10))
	for i, got := range refusals(t, k, c, 1) {
		if string(got.Data) != string(payload(i, 10)) {
			t.Errorf("UDP-15: the report has %x", got.Data)
		}
	}
	sends(t, c, run(kernel.Addr{}, 5, 10))
	for i, got := range refusals(t, k, c, 5) {
		if string(got.Data) != string(payload(i, 10)) {
			t.Errorf("UDP-15: report %d has %x", i, got.Data)
		}
	}
}
