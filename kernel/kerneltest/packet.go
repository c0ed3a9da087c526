package kerneltest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

func packetPromises() []promise {
	return []promise{
		{"PacketAddresses", packetAddresses},
		{"PacketReady", packetReady},
		{"PacketSizes", packetSizes},
		{"PacketTooLong", packetTooLong},
		{"PacketBatches", packetBatches},
		{"PacketConnected", packetConnected},
		{"PacketReconnected", packetReconnected},
		{"PacketRefused", packetRefused},
		{"PacketRefusedThenServed", packetRefusedThenServed},
		{"PacketUnheard", packetUnheard},
		{"PacketPeers", packetPeers},
		{"PacketBroadcast", packetBroadcast},
		{"PacketWildcard", packetWildcard},
		{"PacketReusePort", packetReusePort},
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

// bind opens a datagram socket.
func (g *rig) bind(a kernel.Addr, o *kernel.PacketOptions) kernel.PacketConn {
	g.Helper()
	c, err := g.packets().ListenPacket(a, o)
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
	for _, ip := range []netip.Addr{local4(), local6()} {
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
	g.put(c, to(d.Local(), "a"), to(d.Local(), "b"))
	for range 3 {
		g.becomes(d, kernel.Readable)
	}
	g.becomes(d, kernel.Readable|kernel.Writable)
	g.take(d, 2)
	g.quiet(d, kernel.Readable)
	g.put(c, to(d.Local(), "c"))
	g.arm(d, kernel.Readable)
	g.wait(kernel.Forever)
	d.Close()
	g.gone(d)
	g.exactly(g.k.Now() + moment) // FDS-18
	n, err := c.WritePackets(nil)
	if n != 0 || err != nil {
		g.Errorf("nothing was sent: %d, %v", n, err)
	}
}

// packetSizes: empty datagrams (UDP-11) and the longest arrive whole, over both families.
func packetSizes(g *rig) {
	for ip, most := range map[netip.Addr]int{local4(): kernel.MaxDatagram, local6(): kernel.MaxDatagram + 20} {
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
	for ip, most := range map[netip.Addr]int{local4(): kernel.MaxDatagram, local6(): kernel.MaxDatagram + 20} {
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

// packetBatches: datagrams that are sent together arrive one by one and in their order, whatever their sizes and
// peers are. The caller may use the memory again at once.
func packetBatches(g *rig) {
	c, d, e := g.udp(), g.udp(), g.udp()
	shapes := map[string]func(i int) int{
		"equal":       func(int) int { return 100 },
		"every third": func(i int) int { return 100 + i%3/2 },
		"falling":     func(i int) int { return 300 - i },
		"some empty":  func(i int) int { return i % 5 * 40 },
		"tiny":        func(int) int { return 4 },
	}
	for shape, size := range shapes {
		for _, n := range []int{1, 2, 17, 63, 64, 65, 200} {
			var p []kernel.Packet
			var want [2][]string
			for i := range n {
				text := (fmt.Sprintf("%03d.", i) + strings.Repeat("x", 400))[:size(i)]
				peer := 0
				if shape == "every third" && i%7 == 0 {
					peer = 1
				}
				p = append(p, to([]kernel.PacketConn{d, e}[peer].Local(), text))
				want[peer] = append(want[peer], text)
			}
			g.put(c, p...)
			for i := range p {
				clear(p[i].Data)
			}
			for peer, r := range []kernel.PacketConn{d, e} {
				for i, q := range g.take(r, len(want[peer])) {
					if string(q.Data) != want[peer][i] || q.Peer != c.Local() {
						g.Fatalf("%s: datagram %d of %d is %.20q, %d bytes from %v; want %.20q, %d bytes", shape, i, n, q.Data, len(q.Data), q.Peer,
							want[peer][i], len(want[peer][i]))
					}
				}
			}
		}
	}
}

// packetConnected: a connected socket sends to its peer and receives from it alone. Connecting sends nothing
// (UDP-25). What is written has no address (UDP-26).
func packetConnected(g *rig) {
	for _, ip := range []netip.Addr{local4(), local6()} {
		c, d, other := g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
		g.put(other, to(c.Local(), "early"))
		g.becomes(c, kernel.Readable)
		if err := c.Connect(d.Local()); err != nil {
			g.Fatal(err)
		}
		if c.Remote() != d.Local() {
			g.Errorf("UDP-25: Remote is %v", c.Remote())
		}
		g.gets(c, "early", other.Local()) // it says whose it is
		g.nothing(d)                      // UDP-25
		g.put(other, to(c.Local(), "of a stranger"))
		g.put(d, to(c.Local(), "of the peer"))
		g.gets(c, "of the peer", d.Local())
		g.nothing(c)
		g.put(c, kernel.Packet{Data: []byte("1")}, kernel.Packet{}, kernel.Packet{Data: []byte("3")})
		got := g.take(d, 3)
		if string(got[0].Data) != "1" || len(got[1].Data) != 0 || string(got[2].Data) != "3" || got[2].Peer != c.Local() {
			g.Errorf("got %q %q %q from %v", got[0].Data, got[1].Data, got[2].Data, got[2].Peer)
		}
		for _, a := range []kernel.Addr{d.Local(), other.Local()} { // UDP-26
			n, err := c.WritePackets([]kernel.Packet{{Data: []byte("x")}, to(a, "x")})
			if n != 1 {
				g.Errorf("UDP-26: %d were sent", n)
			}
			g.isAddr("UDP-26: an address", err, kernel.OpWrite, a, kernel.ErrInvalidAddr)
		}
	}
}

// packetReconnected: a second Connect takes the place of the first. The port stays.
func packetReconnected(g *rig) {
	for _, ip := range []netip.Addr{local4(), netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		c, loop := g.bind(kernel.UDPAddr(ip, 0), nil), local4()
		if ip.Is6() {
			loop = local6()
		}
		port := c.Local().Port()
		var last kernel.PacketConn
		for i := range 3 {
			d := g.bind(kernel.UDPAddr(loop, 0), nil)
			if err := c.Connect(d.Local()); err != nil {
				g.Fatal(err)
			}
			if c.Local().Port() != port || c.Remote() != d.Local() {
				g.Fatalf("connected from %v to %v; want port %d and %v", c.Local(), c.Remote(), port, d.Local())
			}
			text := fmt.Sprint("to ", i)
			g.put(c, to(kernel.Addr{}, text))
			g.gets(d, text, kernel.UDPAddr(loop, port))
			g.put(d, to(kernel.UDPAddr(loop, port), "back"))
			g.gets(c, "back", d.Local())
			if last != nil {
				g.put(last, to(kernel.UDPAddr(loop, port), "of the last one"))
				g.nothing(c)
			}
			last = d
		}
	}
}

// nobody is an address at which no socket is.
func (g *rig) nobody(ip netip.Addr) kernel.Addr {
	g.Helper()
	c := g.bind(kernel.UDPAddr(ip, 0), nil)
	c.Close()
	return c.Local()
}

// refused reads refusals from a until there are none for a moment, and returns how many there were.
func (g *rig) refused(c kernel.PacketConn, peer kernel.Addr) (n int) {
	g.Helper()
	for {
		g.becomes(c, kernel.Readable) // UDP-17
		for _, p := range g.some(c) {
			if p.Peer != peer {
				g.Errorf("UDP-27: a refusal of a datagram to %v; it went to %v", p.Peer, peer)
			}
			if p.Err == nil {
				g.Fatalf("a datagram %q", p.Data)
			}
			g.isSys("UDP-27: a refusal", p.Err, kernel.OpRead, kernel.ErrRefused)
			n++
		}
		tok := g.arm(c, kernel.Readable)
		ev := g.wait(g.k.Now() + moment)
		g.arm(c, 0)
		if !slices.ContainsFunc(ev, func(e kernel.Event) bool { return e.Token == tok }) {
			return n
		}
	}
}

// packetRefused: if nobody is at the peer's port, a connected socket reads that, for the datagrams that it has sent
// (UDP-15, UDP-27), also if it sends on meanwhile. A send does not tell of it (UDP-21).
func packetRefused(g *rig) {
	for _, ip := range []netip.Addr{local4(), local6()} {
		for _, n := range []int{1, 5} {
			c, peer := g.bind(kernel.UDPAddr(ip, 0), nil), g.nobody(ip)
			if err := c.Connect(peer); err != nil {
				g.Fatal(err)
			}
			for range 3 {
				var p []kernel.Packet
				for i := range n {
					p = append(p, to(kernel.Addr{}, strings.Repeat("x", i+1)))
				}
				g.put(c, p...)
				if got := g.refused(c, peer); got < 1 || got > n {
					g.Errorf("UDP-15: %d datagrams were sent, and %d refused", n, got)
				}
				g.nothing(c)
			}
		}
	}
}

// packetRefusedThenServed: a refusal ends nothing. When somebody is there, the next datagrams arrive, and so do
// the answers.
func packetRefusedThenServed(g *rig) {
	c, peer := g.udp(), g.nobody(local4())
	if err := c.Connect(peer); err != nil {
		g.Fatal(err)
	}
	g.put(c, to(kernel.Addr{}, "1"))
	g.becomes(c, kernel.Readable)
	d := g.bind(peer, nil)
	g.put(c, to(kernel.Addr{}, "2"), to(kernel.Addr{}, "3")) // the refusal is not read yet
	if got := g.take(d, 2); string(got[0].Data) != "2" || string(got[1].Data) != "3" {
		g.Errorf("got %q and %q", got[0].Data, got[1].Data)
	}
	g.put(d, to(c.Local(), "answer"))
	refusals, answers := 0, 0
	for refusals+answers < 2 {
		for _, p := range g.some(c) {
			switch {
			case p.Err == nil && string(p.Data) == "answer":
				answers++
			case errors.Is(p.Err, kernel.ErrRefused):
				refusals++
			default:
				g.Fatalf("%q, %v", p.Data, p.Err)
			}
		}
	}
	if refusals != 1 || answers != 1 {
		g.Errorf("UDP-21: %d refusals and %d answers", refusals, answers)
	}
	g.nothing(c)
}

// packetUnheard: a socket that is not connected hears of no refusal, and a peer that is gone changes nothing for others
// (UDP-15).
func packetUnheard(g *rig) {
	c, d, nobody := g.udp(), g.udp(), g.nobody(local4())
	for range 3 {
		g.put(c, to(nobody, "x"), to(d.Local(), "there"), to(nobody, "x"), to(nobody, "y"))
		g.gets(d, "there", c.Local())
		g.nothing(c)
	}
}
