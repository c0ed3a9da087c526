package kerneltest

import (
	"errors"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// adopter skips the test if the kernel does not adopt sockets, or does not number them.
func (g *rig) adopter() kernel.Adopter {
	g.Helper()
	a, ok := kernel.As[kernel.Adopter](g.k)
	if _, numbers := kernel.As[kernel.Descriptors](g.k); !ok || !numbers {
		g.Skip("this kernel adopts no sockets")
	}
	return a
}

// packetAdopted: an adopted socket is the caller's, with its address, its peer and what waits in it (ADOPT-1, ADOPT-7). Closing
// it closes a duplicate (ADOPT-4, ADOPT-6), and the file of a UNIX socket stays (ADOPT-15).
func packetAdopted(g *rig) {
	a := g.adopter()
	ats := []kernel.Addr{g.datagramName()}
	for _, ip := range g.families() {
		ats = append(ats, kernel.UDPAddr(ip, 0))
	}
	for _, at := range ats {
		mine, other := at, at
		if at.Net == kernel.UNIXDatagram {
			other = g.datagramName()
		}
		c, d := g.bind(mine, nil), g.bind(other, nil)
		for _, connected := range []bool{false, true} {
			if connected {
				if err := c.Connect(d.Local()); err != nil {
					g.Fatal(err)
				}
			}
			g.put(d, to(c.Local(), "early"))
			fd := g.numberOf(c)
			x, err := a.AdoptPacketConn(fd, nil)
			if err != nil {
				g.Fatalf("ADOPT-1: %v: %v", at, err)
			}
			keep(g, x)
			g.closeNumbers(fd)
			if x.Local() != c.Local() || x.Remote() != c.Remote() {
				g.Errorf("ADOPT-7: adopted %v to %v as %v to %v", c.Local(), c.Remote(), x.Local(), x.Remote())
			}
			g.gets(x, "early", d.Local()) // ADOPT-4
			g.nothing(c)
			out := to(d.Local(), "out")
			if connected {
				out.Peer = kernel.Addr{}
			}
			g.put(x, out, out, out)
			for _, p := range g.take(d, 3) {
				if p.Peer != c.Local() || string(p.Data) != "out" {
					g.Errorf("ADOPT-8: %q from %v", p.Data, p.Peer)
				}
			}
			if err := x.Close(); err != nil {
				g.Fatal(err)
			}
			g.gone(x)
			g.put(d, to(c.Local(), "late")) // ADOPT-15: by its name
			g.gets(c, "late", d.Local())    // ADOPT-6
		}
	}
}

// packetAdoptedLost: what was lost before a socket was adopted is its owner's to count, so that two programs, one of which hands over to
// the other, do not count it twice.
func packetAdoptedLost(g *rig) {
	a := g.adopter()
	c, d := g.udp(), g.bind(kernel.UDPAddr(local4(), 0), &kernel.PacketOptions{RecvBuffer: 8192})
	overflow := func() {
		for range 200 {
			g.put(c, to(d.Local(), strings.Repeat("x", 200)))
		}
	}
	overflow()
	before := g.settings(d).Lost()
	if before == 0 {
		g.Skip("this system does not count what is lost")
	}
	fd := g.numberOf(d)
	x, err := a.AdoptPacketConn(fd, nil)
	if err != nil {
		g.Fatal(err)
	}
	keep(g, x)
	g.closeNumbers(fd)
	if n := g.settings(x).Lost(); n != 0 {
		g.Errorf("%d are lost already, of which the owner counts %d", n, before)
	}
	overflow()
	if n, all := g.settings(x).Lost(), g.settings(d).Lost(); n == 0 || n != all-before {
		g.Errorf("%d are lost since the adoption, and %d of %d for the owner", n, all-before, all)
	}
}

// packetNotAdopted: what is no datagram socket is not adopted as one, nor one as a stream or a listener (ADOPT-17), and
// neither is what is not open (ADOPT-3).
func packetNotAdopted(g *rig) {
	a := g.adopter()
	bad := g.numberOf(g.udp())
	g.closeNumbers(bad)
	is := func(what string, err error, kind error) {
		g.Helper()
		if e, ok := errors.AsType[*kernel.AdoptError](err); !ok || !errors.Is(err, kind) || e.Reason == "" {
			g.Errorf("%s: %v (%T); want %v", what, err, err, kind)
		}
	}
	_, err := a.AdoptPacketConn(bad, nil)
	is("ADOPT-3: not open", err, kernel.ErrBadDescriptor)
	open := g.numberOf(g.udp())
	_, err = a.AdoptPacketConn(beyond(open), nil)
	is("ADOPT-3: the number of none", err, kernel.ErrBadDescriptor)
	g.closeNumbers(open)
	for _, h := range []kernel.Handle{g.listen(local4(), nil), g.listenOn(g.name(), nil)} {
		fd := g.numberOf(h)
		_, err := a.AdoptPacketConn(fd, nil)
		is("ADOPT-17: a stream as a datagram socket", err, kernel.ErrUnsupported)
		g.closeNumbers(fd)
	}
	for _, at := range []kernel.Addr{kernel.UDPAddr(local4(), 0), g.datagramName()} {
		fd := g.numberOf(g.bind(at, nil))
		_, err := a.AdoptConn(fd, nil)
		is("ADOPT-17: a datagram socket as a connection", err, kernel.ErrUnsupported)
		_, err = a.AdoptListener(fd, nil)
		is("ADOPT-17: a datagram socket as a listener", err, kernel.ErrUnsupported)
		_, err = a.AdoptPacketConn(fd, &kernel.PacketOptions{ReusePort: true})
		g.isOption("AdoptPacketConn", err, "ReusePort")
		_, err = a.AdoptPacketConn(fd, &kernel.PacketOptions{Shared: true})
		g.isOption("AdoptPacketConn", err, "Shared")
		_, err = a.AdoptPacketConn(fd, &kernel.PacketOptions{UNIX: kernel.UNIXOptions{Mode: 0o600}})
		g.isOption("AdoptPacketConn", err, "UNIX")
		g.closeNumbers(fd)
	}
}
