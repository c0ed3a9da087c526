package kerneltest

import (
	"errors"
	"net/netip"
	"runtime"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// packetPeers: a datagram goes only to a peer of the socket's network and family, with a port (UDP-18, UDP-19, UDP-20).
// Those before it are sent.
func packetPeers(g *rig) {
	for _, ip := range g.families() {
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

// packetBroadcast: sending to a broadcast address must be allowed first, at the beginning or later (UDP-24). What is allowed
// comes to all sockets of all addresses that share the port.
func packetBroadcast(g *rig) {
	shared := &kernel.PacketOptions{Shared: true}
	d := g.bind(kernel.UDPAddr(netip.IPv4Unspecified(), 0), shared)
	e := g.bind(d.Local(), shared)
	// The first leaves the machine if it is allowed, so it never is here.
	world := kernel.UDPAddr(netip.AddrFrom4([4]byte{255, 255, 255, 255}), d.Local().Port())
	here := kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 255, 255, 255}), d.Local().Port())
	for _, allowed := range []bool{false, true} {
		c := g.bind(kernel.UDPAddr(local4(), 0), &kernel.PacketOptions{Broadcast: allowed})
		s := g.settings(c)
		for range 3 {
			if on, err := s.Broadcast(); err != nil || on != allowed {
				g.Errorf("UDP-24: Broadcast is %v, %v; want %v", on, err, allowed)
			}
			if allowed {
				g.put(c, to(here, "to all"))
				g.gets(d, "to all", c.Local()) // UDP-24
				g.gets(e, "to all", c.Local())
			} else {
				for _, all := range []kernel.Addr{world, here} {
					n, err := c.WritePackets([]kernel.Packet{to(c.Local(), "before"), to(all, "x")})
					if n != 1 {
						g.Errorf("UDP-24: %d were sent to %v", n, all)
					}
					g.isSys("UDP-24: a broadcast", err, kernel.OpWrite, kernel.ErrPermission)
					g.gets(c, "before", c.Local())
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
	for _, ip := range g.families() {
		all, here := netip.IPv6Unspecified(), []netip.Addr{ip}
		if ip.Is4() {
			all = netip.IPv4Unspecified()
			if runtime.GOOS == "linux" {
				here = append(here, netip.AddrFrom4([4]byte{127, 0, 0, 2}))
			}
		}
		s, c := g.bind(kernel.UDPAddr(all, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
		if s.Local().IP.Addr() != all {
			g.Errorf("Local is %v", s.Local())
		}
		for _, to1 := range append(here, here...) {
			at := kernel.UDPAddr(to1, s.Local().Port())
			g.put(c, to(at, "question"), to(at, "question"), to(at, "?"))
			for _, p := range g.take(s, 3) {
				if p.Local != to1 && (p.Local.IsValid() || runtime.GOOS == "linux") || p.Peer != c.Local() {
					g.Errorf("came to %v from %v; want %v from %v", p.Local, p.Peer, to1, c.Local())
				}
			}
			answer := kernel.Packet{Data: []byte("answer"), Peer: c.Local(), Local: to1}
			_, err := s.WritePackets([]kernel.Packet{answer})
			if errors.Is(err, kernel.ErrUnsupported) && runtime.GOOS != "linux" {
				continue
			}
			g.put(s, answer, answer, kernel.Packet{Data: []byte("longer answer"), Peer: c.Local(), Local: to1})
			for _, p := range g.take(c, 4) {
				if p.Peer != at || p.Local.IsValid() {
					g.Errorf("an answer %q from %v, to %v; want it from %v, and a socket with one address is not told", p.Data, p.Peer, p.Local, at)
				}
			}
			answer.Local = netip.AddrFrom4([4]byte{192, 0, 2, 77}) // for documentation, so no host has it
			if ip.Is6() {
				answer.Local = netip.MustParseAddr("2001:db8::77")
			}
			for _, p := range [][]kernel.Packet{{answer}, {answer, answer}} {
				_, err = s.WritePackets(p)
				g.isOne("from another's address", err, kernel.ErrAddrUnavailable, kernel.ErrNoRoute)
			}
		}
		g.nothing(c)
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

// packetLost: what the buffer of what comes has no room for is lost, and counted, if the system counts. What was sent together
// may count as one.
func packetLost(g *rig) {
	for _, together := range []int{1, 10} {
		g.lost(together)
	}
}

func (g *rig) lost(together int) {
	g.Helper()
	c, d := g.udp(), g.bind(kernel.UDPAddr(local4(), 0), &kernel.PacketOptions{RecvBuffer: 8192})
	s := g.settings(d)
	if n := s.Lost(); n != 0 {
		g.Errorf("%d are lost already", n)
	}
	const sent = 500
	for range sent / together {
		p := make([]kernel.Packet, together)
		for i := range p {
			p[i] = to(d.Local(), strings.Repeat("x", 200))
		}
		g.put(c, p...)
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
	if all := got + int(lost); got == 0 || got == sent || all > sent || lost != 0 && all < sent && together == 1 {
		g.Errorf("%d were sent, %d came and %d are lost", sent, got, lost)
	}
	if lost == 0 && runtime.GOOS == "linux" {
		g.Errorf("%d of %d came, and none is lost", got, sent)
	}
	d.Close()
	g.gone(d)
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
	// The default is 4 MiB, which the system may cut.
	d, err := g.packets().ListenPacket(kernel.UDPAddr(local4(), 0), nil)
	if err != nil {
		g.Fatal(err)
	}
	keep(g, d)
	if n, err := g.settings(d).RecvBuffer(); err != nil || n < 64<<10 || n > 2*kernel.DefaultPacketBuffer {
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
	group := onLoopback(netip.AddrFrom4([4]byte{239, 77, 77, 1}))
	read, fresh := g.udp(), g.udp() // one that was read empty, and one whose address nobody has asked for
	g.put(d, to(read.Local(), "x"))
	g.take(read, 1)
	for _, h := range []kernel.Handle{c, u, read, fresh} {
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
		"ReadPackets, empty":    func() error { _, err := read.ReadPackets(); return err },
		"WritePackets, fresh":   func() error { _, err := fresh.WritePackets([]kernel.Packet{to(d.Local(), "x")}); return err },
		"WritePackets, nothing": func() error { _, err := fresh.WritePackets(nil); return err },
		"Connect, fresh":        func() error { return fresh.Connect(d.Local()) },
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

// packetControl: Control is called with the number of a socket that is not bound yet, and its error is the result.
func packetControl(g *rig) {
	var got []uintptr
	var answer error
	o := &kernel.PacketOptions{Control: func(fd uintptr) error {
		got = append(got, fd)
		return answer
	}}
	for _, at := range []kernel.Addr{kernel.UDPAddr(local4(), 0), g.datagramName()} {
		c, err := g.packets().ListenPacket(at, o)
		g.supported("Control", err)
		keep(g, c)
		answer = errors.New("no")
		_, err = g.packets().ListenPacket(at, o)
		if !errors.Is(err, answer) {
			g.Errorf("Control failed, and ListenPacket says %v", err)
		}
		answer = nil
	}
	if len(got) != 4 || got[0] == got[1] {
		g.Errorf("Control was called for %v", got)
	}
}
