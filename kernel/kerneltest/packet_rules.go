package kerneltest

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// packetPeers: a datagram goes only to a peer of the socket's network and family, with a port (UDP-18, UDP-19, UDP-20).
// Those before it are sent.
func packetPeers(g *rig) {
	for _, ip := range []netip.Addr{local4(), local6()} {
		other := local6()
		if ip.Is6() {
			other = local4()
		}
		c, d := g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
		for a, kind := range map[kernel.Addr]error{
			{}:                                 kernel.ErrInvalidAddr, // UDP-18
			kernel.UDPAddr(netip.Addr{}, 7):    kernel.ErrInvalidAddr,
			kernel.UDPAddr(ip, 0):              kernel.ErrInvalidAddr,
			kernel.UDPAddr(other, 7):           kernel.ErrInvalidAddr, // UDP-20
			{Net: kernel.UDP, Name: "host"}:    kernel.ErrInvalidAddr, // UDP-19
			kernel.UNIXDatagramAddr("x"):       kernel.ErrInvalidAddr,
			kernel.UNIXDatagramAddr(""):        kernel.ErrInvalidAddr,
			kernel.TCPAddr(ip, 7):              kernel.ErrUnsupported,
			kernel.UNIXAddr("x"):               kernel.ErrUnsupported,
			{Net: kernel.Pipe, Name: "of a P"}: kernel.ErrUnsupported,
		} {
			n, err := c.WritePackets([]kernel.Packet{to(d.Local(), "before"), to(a, "x")})
			if n != 1 {
				g.Errorf("to %v: %d were sent", a, n)
			}
			g.isAddr("WritePackets", err, kernel.OpWrite, a, kind)
			g.gets(d, "before", c.Local())
			g.isAddr("Connect", c.Connect(a), kernel.OpConnect, a, kind)
			if !c.Remote().IsZero() {
				g.Errorf("connected to %v", c.Remote())
			}
		}
	}
}

// packetBroadcast: sending to a broadcast address must be allowed first (UDP-24).
func packetBroadcast(g *rig) {
	all := kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 255, 255, 255}), 9)
	for _, allowed := range []bool{false, true} {
		c := g.bind(kernel.UDPAddr(local4(), 0), &kernel.PacketOptions{Broadcast: allowed})
		s := g.settings(c)
		for range 2 {
			if on, err := s.Broadcast(); err != nil || on != allowed {
				g.Errorf("UDP-24: Broadcast is %v, %v; want %v", on, err, allowed)
			}
			n, err := c.WritePackets([]kernel.Packet{to(all, "x")})
			switch {
			case allowed && errors.Is(err, kernel.ErrPermission):
				g.Errorf("UDP-24: allowed, and %v", err)
			case !allowed:
				g.isSys("UDP-24: a broadcast", err, kernel.OpWrite, kernel.ErrPermission)
				if n != 0 {
					g.Errorf("UDP-24: %d were sent", n)
				}
			}
			allowed = !allowed
			if err := s.SetBroadcast(allowed); err != nil {
				g.Fatal(err)
			}
		}
	}
}

// settings are those of c.
func (g *rig) settings(c kernel.PacketConn) kernel.PacketSettings {
	g.Helper()
	s, ok := kernel.PacketAs[kernel.PacketSettings](c)
	if !ok {
		g.Fatal("no kernel.PacketSettings")
	}
	return s
}

// packetWildcard: a socket with all addresses is told to which one a datagram came, and an answer can come from it.
func packetWildcard(g *rig) {
	for all, ip := range map[netip.Addr]netip.Addr{netip.IPv4Unspecified(): local4(), netip.IPv6Unspecified(): local6()} {
		s, c := g.bind(kernel.UDPAddr(all, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
		if s.Local().IP.Addr() != all {
			g.Errorf("Local is %v", s.Local())
		}
		at := kernel.UDPAddr(ip, s.Local().Port())
		for range 3 {
			g.put(c, to(at, "question"), to(at, "question"), to(at, "?"))
			for _, p := range g.take(s, 3) {
				if p.Local != ip || p.Peer != c.Local() {
					g.Errorf("came to %v from %v; want %v from %v", p.Local, p.Peer, ip, c.Local())
				}
			}
			g.put(s, kernel.Packet{Data: []byte("answer"), Peer: c.Local(), Local: ip})
			if p := g.gets(c, "answer", at); p.Local.IsValid() {
				g.Errorf("a socket with one address was told %v", p.Local)
			}
		}
	}
}

// packetReusePort: sockets that all say so have one port, and each datagram goes to one of them.
func packetReusePort(g *rig) {
	shared := &kernel.PacketOptions{ReusePort: true}
	first, err := g.packets().ListenPacket(kernel.UDPAddr(local4(), 0), shared)
	g.supported("ReusePort", err)
	keep(g, first)
	second := g.bind(first.Local(), shared)
	_, err = g.packets().ListenPacket(first.Local(), nil)
	g.isSys("without ReusePort", err, kernel.OpBind, kernel.ErrAddrInUse)
	for range 10 {
		g.put(g.udp(), to(first.Local(), "x"))
	}
	got := 0
	g.arm(first, kernel.Readable)
	g.arm(second, kernel.Readable)
	g.until("ten datagrams", nil, func() bool {
		for _, c := range []kernel.PacketConn{first, second} {
			if p, err := c.ReadPackets(); err == nil {
				got += len(p)
			}
		}
		return got >= 10
	})
	if got != 10 {
		g.Errorf("%d datagrams came of 10", got)
	}
}

// packetLost: what the buffer of what comes has no room for is lost, and counted, if the system counts.
func packetLost(g *rig) {
	c, d := g.udp(), g.bind(kernel.UDPAddr(local4(), 0), &kernel.PacketOptions{RecvBuffer: 8192})
	s := g.settings(d)
	if n := s.Lost(); n != 0 {
		g.Errorf("%d are lost already", n)
	}
	const sent = 500
	for range sent {
		g.put(c, to(d.Local(), strings.Repeat("x", 200)))
	}
	got := 0
	for {
		p, err := d.ReadPackets()
		got += len(p)
		if err == kernel.ErrAgain {
			if tok := g.arm(d, kernel.Readable); len(g.wait(g.k.Now()+moment)) == 0 {
				g.armAs(d, tok, 0)
				break
			}
		} else if err != nil {
			g.Fatal(err)
		}
	}
	lost := s.Lost()
	if got == 0 || got == sent || lost != 0 && got+int(lost) != sent {
		g.Errorf("%d were sent, %d came and %d are lost", sent, got, lost)
	}
	d.Close()
	if n := s.Lost(); n != lost {
		g.Errorf("closed: %d are lost", n)
	}
}

// packetSettings: what was set is what the system has.
func packetSettings(g *rig) {
	c := g.bind(kernel.UDPAddr(local4(), 0), &kernel.PacketOptions{SendBuffer: 10_000, RecvBuffer: 20_000})
	s := g.settings(c)
	size := func(what string, get func() (int, error), want int) {
		g.Helper()
		if n, err := get(); err != nil || n < want || n > 2*want {
			g.Errorf("%s is %d, %v; want %d", what, n, err, want)
		}
	}
	size("SendBuffer", s.SendBuffer, 10_000)
	size("RecvBuffer", s.RecvBuffer, 20_000)
	if err := errors.Join(s.SetSendBuffer(30_000), s.SetRecvBuffer(40_000)); err != nil {
		g.Fatal(err)
	}
	size("SendBuffer set", s.SendBuffer, 30_000)
	size("RecvBuffer set", s.RecvBuffer, 40_000)
	for _, bad := range []int{0, -1, 1<<30 + 1} {
		g.isOption("SetSendBuffer", s.SetSendBuffer(bad), "SendBuffer")
		g.isOption("SetRecvBuffer", s.SetRecvBuffer(bad), "RecvBuffer")
	}
	if n, err := g.settings(g.udp()).RecvBuffer(); err != nil || n < 64<<10 {
		g.Errorf("by default RecvBuffer is %d, %v", n, err)
	}
}

// packetOptions: options that cannot be are refused before anything was opened.
func packetOptions(g *rig) {
	udp, path := kernel.UDPAddr(local4(), 0), g.datagramName()
	for _, x := range []struct {
		at     kernel.Addr
		o      kernel.PacketOptions
		option string
	}{
		{udp, kernel.PacketOptions{SendBuffer: -1}, "SendBuffer"},
		{udp, kernel.PacketOptions{RecvBuffer: 1<<30 + 1}, "RecvBuffer"},
		{udp, kernel.PacketOptions{UNIX: kernel.UNIXOptions{Mode: 0o600}}, "UNIX"},
		{path, kernel.PacketOptions{ReusePort: true}, "ReusePort"},
		{path, kernel.PacketOptions{Shared: true}, "Shared"},
		{path, kernel.PacketOptions{Broadcast: true}, "Broadcast"},
		{path, kernel.PacketOptions{UNIX: kernel.UNIXOptions{Mode: 0o1600}}, "Mode"},
		{kernel.UNIXDatagramAddr(""), kernel.PacketOptions{UNIX: kernel.UNIXOptions{Mode: 0o600}}, "UNIX"},
	} {
		_, err := g.packets().ListenPacket(x.at, &x.o)
		g.isOption("ListenPacket", err, x.option)
	}
}

// packetInvalid: what is no address of datagrams is refused in the same way everywhere (UDP-2).
func packetInvalid(g *rig) {
	for a, kind := range map[kernel.Addr]error{
		{}:                                                kernel.ErrInvalidAddr,
		kernel.UDPAddr(netip.Addr{}, 7):                   kernel.ErrInvalidAddr,
		{Net: kernel.UDP, Name: "host"}:                   kernel.ErrInvalidAddr, // UDP-2
		kernel.TCPAddr(local4(), 0):                       kernel.ErrUnsupported,
		kernel.UNIXAddr("x"):                              kernel.ErrUnsupported,
		kernel.UNIXDatagramAddr("a\x00b"):                 kernel.ErrInvalidAddr,
		kernel.UNIXDatagramAddr("@"):                      kernel.ErrInvalidAddr,
		kernel.UNIXDatagramAddr(longestPlus1):             kernel.ErrInvalidAddr,
		kernel.UDPAddr(netip.MustParseAddr("fe80::1"), 0): kernel.ErrInvalidAddr, // which network?
	} {
		_, err := g.packets().ListenPacket(a, nil)
		g.isAddr("ListenPacket", err, kernel.OpListen, a, kind)
	}
	nowhere := kernel.UDPAddr(netip.AddrFrom4([4]byte{192, 0, 2, 77}), 0) // for documentation, so no host has it
	_, err := g.packets().ListenPacket(nowhere, nil)
	g.isSys("another's address", err, kernel.OpBind, kernel.ErrAddrUnavailable)
}

const longestPlus1 = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" // MaxUNIXName + 1

// packetClosed: after Close every call is ErrClosed, bare. Only Close does nothing.
func packetClosed(g *rig) {
	c, d := g.udp(), g.udp()
	g.put(d, to(c.Local(), "there is something to read"))
	g.becomes(c, kernel.Readable)
	s, m := g.settings(c), g.multicast(c)
	u := g.bind(g.datagramName(), nil)
	group := kernel.Group{IP: group4}
	for _, h := range []kernel.Handle{c, u} {
		if err := h.Close(); err != nil {
			g.Errorf("Close: %v", err)
		}
		g.gone(h)
	}
	for name, call := range map[string]func() error{
		"ReadPackets":           func() error { _, err := c.ReadPackets(); return err },
		"WritePackets":          func() error { _, err := c.WritePackets([]kernel.Packet{to(d.Local(), "x")}); return err },
		"Connect":               func() error { return c.Connect(d.Local()) },
		"Arm":                   func() error { return g.k.Arm(c, 1, kernel.Readable) },
		"SetBroadcast":          func() error { return s.SetBroadcast(true) },
		"Broadcast":             func() error { _, err := s.Broadcast(); return err },
		"SetSendBuffer":         func() error { return s.SetSendBuffer(8192) },
		"SendBuffer":            func() error { _, err := s.SendBuffer(); return err },
		"SetRecvBuffer":         func() error { return s.SetRecvBuffer(8192) },
		"RecvBuffer":            func() error { _, err := s.RecvBuffer(); return err },
		"JoinGroup":             func() error { return m.JoinGroup(group) },
		"LeaveGroup":            func() error { return m.LeaveGroup(group) },
		"SetMulticastTTL":       func() error { return m.SetMulticastTTL(1) },
		"MulticastTTL":          func() error { _, err := m.MulticastTTL(); return err },
		"SetMulticastLoopback":  func() error { return m.SetMulticastLoopback(true) },
		"MulticastLoopback":     func() error { _, err := m.MulticastLoopback(); return err },
		"SetMulticastInterface": func() error { return m.SetMulticastInterface("") },
		"MulticastInterface":    func() error { _, err := m.MulticastInterface(); return err },
		"UNIX: ReadPackets":     func() error { _, err := u.ReadPackets(); return err },
		"UNIX: WritePackets":    func() error { _, err := u.WritePackets([]kernel.Packet{to(u.Local(), "x")}); return err },
		"UNIX: Connect":         func() error { return u.Connect(u.Local()) },
		"UNIX: Arm":             func() error { return g.k.Arm(u, 1, kernel.Readable) },
	} {
		if err := call(); err != kernel.ErrClosed {
			g.Errorf("%s after Close: %v", name, err)
		}
	}
	for _, h := range []kernel.Handle{c, u} {
		if err := h.Close(); err != nil {
			g.Errorf("a second Close: %v", err)
		}
	}
}

// packetKernelClosed: when the kernel is closed, ListenPacket is ErrClosed, bare.
func packetKernelClosed(g *rig) {
	p, path := g.packets(), g.datagramName()
	if err := g.k.Close(); err != nil {
		g.Fatal(err)
	}
	for _, a := range []kernel.Addr{kernel.UDPAddr(local4(), 0), path, kernel.UNIXDatagramAddr("")} {
		if _, err := p.ListenPacket(a, nil); err != kernel.ErrClosed {
			g.Errorf("%v: %v", a, err)
		}
	}
}
