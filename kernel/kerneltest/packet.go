package kerneltest

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

func packetPromises() []promise {
	return []promise{
		{"PacketAddresses", packetAddresses},
		{"PacketReady", packetReady},
		{"PacketTokens", packetTokens},
		{"PacketLent", packetLent},
		{"PacketSizes", packetSizes},
		{"PacketTooLong", packetTooLong},
		{"PacketBatches", packetBatches},
		{"PacketTooLongInBatch", packetTooLongInBatch},
		{"PacketTrains", packetTrains},
		{"PacketConnected", packetConnected},
		{"PacketReconnected", packetReconnected},
		{"PacketRefused", packetRefused},
		{"PacketManyRefused", packetManyRefused},
		{"PacketRefusedBefore", packetRefusedBefore},
		{"PacketRefusedThenServed", packetRefusedThenServed},
		{"PacketUnheard", packetUnheard},
		{"PacketPeers", packetPeers},
		{"PacketBroadcast", packetBroadcast},
		{"PacketWildcard", packetWildcard},
		{"PacketReusePort", packetReusePort},
		{"PacketControl", packetControl},
		{"PacketAdopted", packetAdopted},
		{"PacketAdoptedLost", packetAdoptedLost},
		{"PacketNotAdopted", packetNotAdopted},
		{"PacketLost", packetLost},
		{"PacketSettings", packetSettings},
		{"PacketOptions", packetOptions},
		{"PacketInvalid", packetInvalid},
		{"PacketClosed", packetClosed},
		{"PacketKernelClosed", packetKernelClosed},
	}
}

// packets is the kernel's capability. A kernel without it has nothing to test.
func (g *rig) packets() kernel.Packets {
	g.Helper()
	p, ok := kernel.As[kernel.Packets](g.k)
	if !ok {
		g.Skip("no kernel.Packets")
	}
	return p
}

// bind opens a datagram socket. What comes has much room, also on a kernel whose own default is small.
func (g *rig) bind(a kernel.Addr, o *kernel.PacketOptions) kernel.PacketConn {
	g.Helper()
	var mine kernel.PacketOptions
	if o != nil {
		mine = *o
	}
	if a.Net == kernel.UDP && mine.RecvBuffer == 0 {
		mine.RecvBuffer = kernel.DefaultPacketBuffer
	}
	c, err := g.packets().ListenPacket(a, &mine)
	if err != nil {
		g.Fatalf("ListenPacket at %v: %v", a, err)
	}
	return keep(g, c)
}

// udp opens a UDP socket on a free port of the loopback address.
func (g *rig) udp() kernel.PacketConn {
	g.Helper()
	return g.bind(kernel.UDPAddr(local4(), 0), nil)
}

// families are this host's loopback addresses, without that of IPv6 if the system has none.
func (g *rig) families() []netip.Addr {
	g.Helper()
	c, err := g.packets().ListenPacket(kernel.UDPAddr(local6(), 0), nil)
	if errors.Is(err, kernel.ErrAddrUnavailable) || errors.Is(err, kernel.ErrUnsupported) {
		return []netip.Addr{local4()}
	}
	if err != nil {
		g.Fatal(err)
	}
	c.Close()
	return []netip.Addr{local4(), local6()}
}

// mostOf is how long a datagram can be over the family of ip.
func mostOf(ip netip.Addr) int {
	if ip.Is4() {
		return kernel.MaxDatagram
	}
	return kernel.MaxDatagram + 20
}

// put sends all of p.
func (g *rig) put(c kernel.PacketConn, p ...kernel.Packet) {
	g.Helper()
	for len(p) > 0 {
		n, err := c.WritePackets(p)
		if n < 0 || n > len(p) || n < len(p) && err == nil {
			g.Fatalf("WritePackets of %d sent %d, %v", len(p), n, err)
		}
		p = p[n:]
		switch err {
		case nil:
		case kernel.ErrAgain:
			g.becomes(c, kernel.Writable)
		default:
			g.Fatalf("WritePackets: %v", err)
		}
	}
}

// to is a datagram to a.
func to(a kernel.Addr, text string) kernel.Packet {
	return kernel.Packet{Data: []byte(text), Peer: a}
}

// some waits for datagrams and returns a copy of what one ReadPackets gives.
func (g *rig) some(c kernel.PacketConn) []kernel.Packet {
	g.Helper()
	for {
		p, err := c.ReadPackets()
		switch {
		case err == nil && len(p) == 0:
			g.Fatal("ReadPackets returned neither a datagram nor an error")
		case err == nil:
			p = slices.Clone(p)
			for i := range p {
				p[i].Data = slices.Clone(p[i].Data)
			}
			return p
		case err != kernel.ErrAgain:
			g.Fatalf("ReadPackets: %v", err)
		}
		g.becomes(c, kernel.Readable)
	}
}

// take reads n datagrams, and fails if there are more, or if one of them is an error.
func (g *rig) take(c kernel.PacketConn, n int) []kernel.Packet {
	g.Helper()
	var all []kernel.Packet
	for len(all) < n {
		all = append(all, g.some(c)...)
	}
	for _, p := range all {
		if p.Err != nil {
			g.Fatalf("a datagram is %v", p.Err)
		}
	}
	if len(all) != n {
		g.Fatalf("%d datagrams came, and %d were sent", len(all), n)
	}
	return all
}

// gets reads one datagram and checks what is in it and from whom it is.
func (g *rig) gets(c kernel.PacketConn, text string, from kernel.Addr) kernel.Packet {
	g.Helper()
	p := g.take(c, 1)[0]
	if string(p.Data) != text || p.Peer != from || p.Truncated {
		g.Errorf("got %.40q from %v, cut: %v; want %.40q from %v", p.Data, p.Peer, p.Truncated, text, from)
	}
	return p
}

// nothing fails if a datagram comes within a moment.
func (g *rig) nothing(c kernel.PacketConn) {
	g.Helper()
	g.quiet(c, kernel.Readable)
	if p, err := c.ReadPackets(); err != kernel.ErrAgain {
		g.Fatalf("ReadPackets: %v, %v", p, err)
	}
}

// packetAddresses: a port of zero is one that is free, the address is known, and nobody else gets it until the
// socket is closed (UDP-1, UDP-3). IPv4 and IPv6 each have ports of their own (UDP-2).
func packetAddresses(g *rig) {
	for _, ip := range g.families() {
		c := g.bind(kernel.UDPAddr(ip, 0), nil)
		at := c.Local()
		if at.Net != kernel.UDP || at.IP.Addr() != ip || at.Port() == 0 || !c.Remote().IsZero() {
			g.Errorf("UDP-3: Local is %v, Remote %v", at, c.Remote())
		}
		_, err := g.packets().ListenPacket(at, nil)
		g.isSys("UDP-1: a second socket", err, kernel.OpBind, kernel.ErrAddrInUse)
		d := g.bind(kernel.UDPAddr(ip, 0), nil)
		g.put(d, to(at, "hello"))
		g.gets(c, "hello", d.Local()) // UDP-9
		g.put(c, to(d.Local(), "goodbye"))
		g.gets(d, "goodbye", at)
		if err := c.Close(); err != nil {
			g.Fatal(err)
		}
		g.gone(c)
		if c.Local() != at {
			g.Errorf("closed: Local is %v", c.Local())
		}
		again := g.bind(at, nil) // UDP-6
		g.nothing(again)
		g.put(d, to(at, "hello again"))
		g.gets(again, "hello again", d.Local())
	}
	all4 := g.bind(kernel.UDPAddr(netip.IPv4Unspecified(), 0), nil)
	all6 := g.bind(kernel.UDPAddr(netip.IPv6Unspecified(), all4.Local().Port()), nil) // UDP-2
	c := g.udp()
	g.put(c, to(kernel.UDPAddr(local4(), all4.Local().Port()), "four"))
	g.gets(all4, "four", c.Local())
	g.nothing(all6)
}

// packetReady: a socket is Readable as long as there is a datagram, and Writable.
func packetReady(g *rig) {
	c, d := g.udp(), g.udp()
	g.quiet(d, kernel.Readable)
	for range 3 {
		g.becomes(d, kernel.Writable)
	}
	if p, err := d.ReadPackets(); err != kernel.ErrAgain {
		g.Errorf("nothing has come: %v, %v", p, err)
	}
	g.put(c, to(d.Local(), "a"), to(d.Local(), ""))
	for range 3 {
		g.becomes(d, kernel.Readable)
	}
	g.becomes(d, kernel.Readable|kernel.Writable)
	g.take(d, 2)
	g.quiet(d, kernel.Readable)
	n, err := c.WritePackets(nil)
	if n != 0 || err != nil {
		g.Errorf("nothing was sent: %d, %v", n, err)
	}
}

// packetTokens: each socket is reported under its own token, as long as it is armed. Closing it disarms it.
func packetTokens(g *rig) {
	for _, at := range [][2]kernel.Addr{{kernel.UDPAddr(local4(), 0), kernel.UDPAddr(local4(), 0)}, {g.datagramName(), g.datagramName()}} {
		c, d, e := g.bind(at[0], nil), g.bind(at[1], nil), g.bind(kernel.Addr{Net: at[0].Net, IP: at[0].IP}, nil)
		first, second := g.arm(c, kernel.Readable), g.arm(d, kernel.Readable)
		g.exactly(g.k.Now() + moment)
		report := func(want ...uint32) {
			g.Helper()
			seen := map[uint32]bool{}
			g.until("readiness", func(ev kernel.Event) { seen[ev.Token] = true }, func() bool { return len(seen) >= len(want) })
			for _, tok := range want {
				if !seen[tok] || len(seen) != len(want) {
					g.Fatalf("tokens %v were reported; want %v", seen, want)
				}
			}
		}
		g.put(e, to(d.Local(), "x"))
		report(second)
		g.put(e, to(c.Local(), "x"))
		report(first, second)
		g.arm(c, 0)
		report(second)
		g.armAs(d, second+1000, kernel.Readable)
		report(second + 1000)
		d.Close()
		g.gone(d)
		g.exactly(g.k.Now() + moment)
		report(g.arm(c, kernel.Readable))
		g.take(c, 1)
		c.Close()
		g.gone(c)
	}
}

// packetLent: what a read returns stays as it is until the next read of any socket, whatever else is done.
func packetLent(g *rig) {
	for _, at := range [][2]kernel.Addr{{kernel.UDPAddr(local4(), 0), kernel.UDPAddr(local4(), 0)}, {g.datagramName(), g.datagramName()}} {
		c, d := g.bind(at[0], nil), g.bind(at[1], nil)
		g.put(c, to(d.Local(), "first"), to(d.Local(), "next"))
		var lent, kept []kernel.Packet
		for len(lent) == 0 {
			g.becomes(d, kernel.Readable)
			var err error
			if lent, err = d.ReadPackets(); err != nil && err != kernel.ErrAgain {
				g.Fatal(err)
			}
		}
		for _, p := range lent {
			p.Data = slices.Clone(p.Data)
			kept = append(kept, p)
		}
		g.put(d, to(c.Local(), "other"), to(c.Local(), "words"), to(c.Local(), "again"))
		g.put(c, to(d.Local(), "third"), to(d.Local(), "fourth"))
		g.becomes(c, kernel.Readable)
		if err := d.Connect(c.Local()); err != nil {
			g.Fatal(err)
		}
		d.Close()
		g.gone(d)
		g.bind(kernel.UDPAddr(local4(), 0), nil)
		if string(lent[0].Data) != "first" || lent[0].Peer != c.Local() {
			g.Errorf("read %q from %v", lent[0].Data, lent[0].Peer)
		}
		for i, p := range lent {
			if string(p.Data) != string(kept[i].Data) || p.Peer != kept[i].Peer {
				g.Errorf("datagram %d was %q from %v and became %q from %v", i, kept[i].Data, kept[i].Peer, p.Data, p.Peer)
			}
		}
	}
}

// packetSizes: empty datagrams (UDP-11) and the longest arrive whole, over both families.
func packetSizes(g *rig) {
	for _, ip := range g.families() {
		most := mostOf(ip)
		c, d := g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
		for _, size := range []int{0, 1, 1472, 1473, 9000, 65000, 65001, most} {
			text := strings.Repeat("x", size)
			g.put(c, to(d.Local(), text))
			g.gets(d, text, c.Local())
		}
		g.put(c, to(d.Local(), ""), to(d.Local(), ""), to(d.Local(), "end"))
		for i, p := range g.take(d, 3) {
			if want := []string{"", "", "end"}[i]; string(p.Data) != want {
				g.Errorf("UDP-11: datagram %d is %q", i, p.Data)
			}
		}
	}
}

// packetTooLong: a datagram that is too long is refused as such. Those before it are sent, and those behind it
// can be (UDP-21).
func packetTooLong(g *rig) {
	for _, ip := range g.families() {
		most := mostOf(ip)
		c, d := g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
		p := []kernel.Packet{to(d.Local(), "before"), to(d.Local(), strings.Repeat("x", most+1)), to(d.Local(), "behind")}
		n, err := c.WritePackets(p)
		if n != 1 {
			g.Errorf("UDP-21: %d were sent", n)
		}
		g.isSys("UDP-21: too long", err, kernel.OpWrite, kernel.ErrMessageSize)
		g.put(c, p[2])
		if got := g.take(d, 2); string(got[0].Data) != "before" || string(got[1].Data) != "behind" {
			g.Errorf("got %q and %q", got[0].Data, got[1].Data)
		}
		if err := c.Connect(d.Local()); err != nil {
			g.Fatal(err)
		}
		_, err = c.WritePackets([]kernel.Packet{{Data: p[1].Data}})
		g.isSys("UDP-21: too long, connected", err, kernel.OpWrite, kernel.ErrMessageSize)
		g.put(c, to(kernel.Addr{}, "connected"))
		g.gets(d, "connected", c.Local())
		if p, err := c.ReadPackets(); err != kernel.ErrAgain { // it may have been reported as readable, in vain
			g.Errorf("UDP-21: the send has told it, and so does ReadPackets: %v, %v", p, err)
		}
		g.nothing(c)
	}
}
