package kerneltest

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// packetConnected: a connected socket sends to its peer and receives from it alone. Connecting sends nothing
// (UDP-25). What is written has no address (UDP-26).
func packetConnected(g *rig) {
	for _, ip := range g.families() {
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
		// A socket that is connected to all addresses is connected to this host, and its peer is told as that of its datagrams.
		e := g.bind(kernel.UDPAddr(ip, 0), nil)
		if err := e.Connect(kernel.UDPAddr(unspecified(ip), d.Local().Port())); err != nil {
			g.Fatal(err)
		}
		g.put(d, to(e.Local(), "of the peer"))
		if p := g.take(e, 1)[0]; p.Peer != e.Remote() || e.Remote() != d.Local() {
			g.Errorf("connected to %v; the peer is %v", e.Remote(), p.Peer)
		}
		// The addresses are known after Close too, though nobody has asked for ours since it was chosen.
		w := g.bind(kernel.UDPAddr(unspecified(ip), 0), nil)
		at := kernel.UDPAddr(ip, w.Local().Port())
		if err := w.Connect(d.Local()); err != nil {
			g.Fatal(err)
		}
		g.put(d, to(at, "to a socket that was bound to all addresses"))
		if p := g.take(w, 1)[0]; p.Local != ip && (p.Local.IsValid() || runtime.GOOS == "linux") {
			g.Errorf("came to %v; want %v", p.Local, ip)
		}
		w.Close()
		if w.Local() != at || w.Remote() != d.Local() {
			g.Errorf("UDP-25: closed, from %v to %v; want from %v to %v", w.Local(), w.Remote(), at, d.Local())
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
			if c.Local() != kernel.UDPAddr(loop, port) || c.Remote() != d.Local() {
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
	at := c.Local()
	c.Close()
	return at
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
	for _, ip := range g.families() {
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

// packetManyRefused: many refusals come to an end, and then the socket is Readable no more. What is told of a datagram is
// its own data, as far as the system returns it.
func packetManyRefused(g *rig) {
	for _, ip := range g.families() {
		for _, together := range []int{1, 5, 40} {
			c, peer := g.bind(kernel.UDPAddr(ip, 0), nil), g.nobody(ip)
			if err := c.Connect(peer); err != nil {
				g.Fatal(err)
			}
			told := 0
			each := func(list []kernel.Packet) {
				for _, p := range list {
					g.isSys("UDP-27: a refusal", p.Err, kernel.OpRead, kernel.ErrRefused)
					if p.Peer != peer || len(p.Data) > 3 || runtime.GOOS == "linux" && len(p.Data) < 3 {
						g.Errorf("UDP-27: of %q to %v", p.Data, p.Peer)
					}
					told++
				}
			}
			sent := 0
			for sent < 80 {
				var p []kernel.Packet
				for range together {
					p = append(p, to(kernel.Addr{}, fmt.Sprintf("%03d", sent)))
					sent++
				}
				g.put(c, p...)
			}
			g.becomes(c, kernel.Readable) // UDP-17
			tok := g.arm(c, kernel.Readable)
			for slices.ContainsFunc(g.wait(g.k.Now()+moment), func(e kernel.Event) bool { return e.Token == tok }) {
				for err := error(nil); err == nil; {
					var list []kernel.Packet
					if list, err = c.ReadPackets(); err != nil && err != kernel.ErrAgain {
						g.Fatal(err)
					}
					each(list)
				}
				if told > sent {
					g.Fatalf("UDP-15: %d were sent, and %d refused", sent, told)
				}
			}
			if ev := g.wait(0); len(ev) > 0 || told == 0 {
				g.Errorf("UDP-15: after %d refusals of %d Wait reports %v", told, sent, ev)
			}
			g.arm(c, 0)
			d := g.bind(peer, nil)
			g.put(c, to(kernel.Addr{}, "there"))
			g.gets(d, "there", c.Local())
			g.put(d, to(c.Local(), "back"))
			g.gets(c, "back", peer)
		}
	}
}

// packetRefusedBefore: a refusal is told of the peer to which the datagram went, also if the socket has another by then.
func packetRefusedBefore(g *rig) {
	for _, ip := range g.families() {
		c, d, peer := g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil), g.nobody(ip)
		if err := c.Connect(peer); err != nil {
			g.Fatal(err)
		}
		g.put(c, to(kernel.Addr{}, "x"))
		g.becomes(c, kernel.Readable)
		if err := c.Connect(d.Local()); err != nil {
			g.Fatal(err)
		}
		g.put(c, to(kernel.Addr{}, "y"))
		g.gets(d, "y", c.Local())
		g.put(d, to(c.Local(), "z"))
		refused := 0
		for got := false; !got || refused == 0; {
			for _, p := range g.some(c) {
				switch {
				case p.Err == nil && string(p.Data) == "z" && p.Peer == d.Local():
					got = true
				case p.Err != nil && (p.Peer == peer || runtime.GOOS != "linux"): // others do not say of which
					g.isSys("UDP-27: a refusal", p.Err, kernel.OpRead, kernel.ErrRefused)
					refused++
				default:
					g.Fatalf("%q of %v, %v", p.Data, p.Peer, p.Err)
				}
			}
		}
		if refused != 1 {
			g.Errorf("UDP-15: %d refusals", refused)
		}
		g.nothing(c)
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
