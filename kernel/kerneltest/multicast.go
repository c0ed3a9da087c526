package kerneltest

import (
	"errors"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
)

func multicastPromises() []promise {
	return []promise{
		{"Multicast", multicastDelivery},
		{"MulticastJoins", multicastJoins},
		{"MulticastSource", multicastSource},
		{"MulticastSettings", multicastSettings},
		{"MulticastRefused", multicastRefused},
	}
}

// The groups of the suite. The first two are for use within an organisation, and the third is one with a source.
var (
	group4  = netip.MustParseAddr("239.77.77.1")
	other4  = netip.MustParseAddr("239.77.77.2")
	source4 = netip.MustParseAddr("232.77.77.1")
	group6  = netip.MustParseAddr("ff12::7777")
)

// multicast is the capability of c.
func (g *rig) multicast(c kernel.PacketConn) kernel.Multicast {
	g.Helper()
	m, ok := kernel.PacketAs[kernel.Multicast](c)
	if !ok {
		g.Fatal("no kernel.Multicast")
	}
	return m
}

// member is a socket on port, shared, that is to receive from groups on the loopback interface.
func (g *rig) member(port uint16, groups ...kernel.Group) (kernel.PacketConn, kernel.Multicast) {
	g.Helper()
	c := g.bind(kernel.UDPAddr(netip.IPv4Unspecified(), port), &kernel.PacketOptions{Shared: true})
	m := g.multicast(c)
	for _, x := range groups {
		if err := m.JoinGroup(x); err != nil {
			g.Fatal(err)
		}
	}
	return c, m
}

// onLoopback is a group on the loopback interface, which has that address.
func onLoopback(ip netip.Addr) kernel.Group {
	if ip.Is4() {
		return kernel.Group{IP: ip, Interface: local4().String()}
	}
	return kernel.Group{IP: ip, Interface: local6().String()}
}

// caster is a socket that sends to groups by the loopback interface.
func (g *rig) caster() kernel.PacketConn {
	g.Helper()
	c := g.udp()
	if err := g.multicast(c).SetMulticastInterface(local4().String()); err != nil {
		g.Fatal(err)
	}
	return c
}

// multicastDelivery: sockets that share a port each get what is sent to a group that they have joined (MC-1), and
// nothing else. After leaving it they get nothing more (MC-8).
func multicastDelivery(g *rig) {
	first, m := g.member(0, onLoopback(group4))
	port := first.Local().Port()
	second, _ := g.member(port, onLoopback(group4), onLoopback(other4))
	third, _ := g.member(port)
	_, err := g.packets().ListenPacket(first.Local(), nil)
	g.isSys("MC-1: a socket that does not share", err, kernel.OpBind, kernel.ErrAddrInUse)
	c := g.caster()
	send := func(ip netip.Addr, text string) {
		g.Helper()
		g.put(c, to(kernel.UDPAddr(ip, port), text))
	}
	send(group4, "to both")
	g.gets(first, "to both", c.Local())  // MC-1
	g.gets(second, "to both", c.Local()) // MC-1
	send(other4, "to the second")
	g.gets(second, "to the second", c.Local())
	g.nothing(first)
	g.nothing(third) // MC-8
	batch := make([]kernel.Packet, 40)
	for i := range batch {
		batch[i] = to(kernel.UDPAddr(group4, port), "in a batch")
	}
	g.put(c, batch...)
	g.take(first, len(batch))
	g.take(second, len(batch))
	if err := m.LeaveGroup(onLoopback(group4)); err != nil {
		g.Fatal(err)
	}
	send(group4, "to the second, again")
	g.gets(second, "to the second, again", c.Local())
	g.nothing(first) // MC-8
	if err := m.JoinGroup(onLoopback(group4)); err != nil {
		g.Fatal(err)
	}
	send(group4, "to both, again")
	g.gets(first, "to both, again", c.Local())
	g.gets(second, "to both, again", c.Local())
	second.Close()
	g.gone(second)
	send(group4, "to the first")
	g.gets(first, "to the first", c.Local())
}

// isGroup fails unless err is a GroupError about x.
func (g *rig) isGroup(what string, err error, op string, x kernel.Group, kind error) {
	g.Helper()
	e, ok := errors.AsType[*kernel.GroupError](err)
	if !ok || e.Op != op || e.Group != x || !errors.Is(err, kind) {
		g.Errorf("%s: %v; want an error of %s about %v that is %v", what, err, op, x, kind)
	}
}

// multicastJoins: joining twice, leaving what was not joined, what is no group, and an interface that there is not are
// errors that say what is wrong with which group (MC-6).
func multicastJoins(g *rig) {
	for _, ip := range []netip.Addr{local4(), local6()} {
		m := g.multicast(g.bind(kernel.UDPAddr(ip, 0), nil))
		mine, theirs := onLoopback(group4), onLoopback(group6)
		if ip.Is6() {
			mine, theirs = theirs, mine
		}
		g.isGroup("MC-6: not joined", m.LeaveGroup(mine), kernel.OpLeave, mine, kernel.ErrNotJoined)
		for range 2 {
			if err := m.JoinGroup(mine); err != nil {
				g.Fatal(err)
			}
			g.isGroup("joined twice", m.JoinGroup(mine), kernel.OpJoin, mine, kernel.ErrJoined)
			elsewhere := mine
			elsewhere.Interface = ""
			g.isGroup("MC-6: not joined there", m.LeaveGroup(elsewhere), kernel.OpLeave, elsewhere, kernel.ErrNotJoined)
			if err := m.LeaveGroup(mine); err != nil {
				g.Fatal(err)
			}
			g.isGroup("MC-6: left", m.LeaveGroup(mine), kernel.OpLeave, mine, kernel.ErrNotJoined)
		}
		for what, x := range map[string]kernel.Group{
			"no address":       {},
			"no group":         {IP: ip, Interface: mine.Interface},
			"the other family": theirs,
			"a source of the other family": {IP: mine.IP, Interface: mine.Interface,
				Source: netip.MustParseAddr(theirs.Interface)},
			"a group as source": {IP: mine.IP, Interface: mine.Interface, Source: mine.IP},
		} {
			g.isGroup("MC-6: join "+what, m.JoinGroup(x), kernel.OpJoin, x, kernel.ErrInvalidAddr)
			g.isGroup("MC-6: leave "+what, m.LeaveGroup(x), kernel.OpLeave, x, kernel.ErrInvalidAddr)
		}
		for _, name := range []string{"nosuch0", "192.0.2.77", "2001:db8::77", "4000000000", "-1", "0"} {
			x := kernel.Group{IP: mine.IP, Interface: name}
			g.isGroup("interface "+name, m.JoinGroup(x), kernel.OpJoin, x, kernel.ErrNoInterface)
		}
	}
}

// multicastSource: of a group that was joined for one source only that one's datagrams come.
func multicastSource(g *rig) {
	mine, strange := onLoopback(source4), onLoopback(source4)
	mine.Source = local4()
	strange.Source = netip.AddrFrom4([4]byte{192, 0, 2, 77})
	d, m := g.member(0)
	if err := m.JoinGroup(strange); errors.Is(err, kernel.ErrUnsupported) {
		g.Skip(err)
	} else if err != nil {
		g.Fatal(err)
	}
	g.isGroup("joined twice", m.JoinGroup(strange), kernel.OpJoin, strange, kernel.ErrJoined)
	g.isGroup("MC-6: another source", m.LeaveGroup(mine), kernel.OpLeave, mine, kernel.ErrNotJoined)
	c, at := g.caster(), kernel.UDPAddr(source4, d.Local().Port())
	g.put(c, to(at, "not for it"))
	g.nothing(d)
	if err := m.JoinGroup(mine); err != nil {
		g.Fatal(err)
	}
	g.put(c, to(at, "for it"))
	g.gets(d, "for it", c.Local())
	if err := m.LeaveGroup(mine); err != nil {
		g.Fatal(err)
	}
	g.put(c, to(at, "not for it"))
	g.nothing(d) // MC-8
	if err := m.LeaveGroup(strange); err != nil {
		g.Fatal(err)
	}
}

// multicastSettings: the TTL is 1 unless it was set (MC-2), and our own datagrams come back unless that was switched
// off (MC-3). The interface is what was set (MC-4).
func multicastSettings(g *rig) {
	for _, ip := range []netip.Addr{local4(), local6()} {
		m := g.multicast(g.bind(kernel.UDPAddr(ip, 0), nil))
		for _, want := range []int{1, 0, 7, 255, 1} {
			if n, err := m.MulticastTTL(); want == 1 && (err != nil || n != 1) {
				g.Errorf("MC-2: the TTL is %d, %v", n, err)
			}
			if err := m.SetMulticastTTL(want); err != nil {
				g.Fatal(err)
			}
			for _, bad := range []int{-1, 256, 1 << 20} {
				g.isOption("MC-2: SetMulticastTTL", m.SetMulticastTTL(bad), "MulticastTTL")
			}
			if n, err := m.MulticastTTL(); err != nil || n != want {
				g.Errorf("MC-2: the TTL is %d, %v; want %d", n, err, want)
			}
			if want == 255 {
				_ = m.SetMulticastTTL(1)
			}
		}
		for _, want := range []bool{true, false, true} {
			if want {
				if on, err := m.MulticastLoopback(); err != nil || !on {
					g.Errorf("MC-3: it does not come back: %v", err)
				}
			}
			if err := m.SetMulticastLoopback(want); err != nil {
				g.Fatal(err)
			}
			if on, err := m.MulticastLoopback(); err != nil || on != want {
				g.Errorf("MC-3: it comes back: %v, %v; want %v", on, err, want)
			}
			_ = m.SetMulticastLoopback(true)
		}
		if name, err := m.MulticastInterface(); err != nil || name != "" {
			g.Errorf("MC-4: by default it is %q, %v", name, err)
		}
		for _, want := range []string{ip.String(), "", ip.String()} {
			if err := m.SetMulticastInterface(want); err != nil {
				g.Fatal(err)
			}
			err := m.SetMulticastInterface("nosuch0")
			if e, ok := errors.AsType[*kernel.OptionError](err); !ok || e.Option != "MulticastInterface" || !errors.Is(err, kernel.ErrNoInterface) {
				g.Errorf("MC-7: a bad interface: %v", err)
			}
			if name, err := m.MulticastInterface(); err != nil || name != want {
				g.Errorf("MC-4: it is %q, %v; want %q", name, err, want)
			}
		}
	}
}

// multicastRefused: what is no UDP socket of the network has no groups.
func multicastRefused(g *rig) {
	if _, ok := kernel.PacketAs[kernel.Multicast](g.bind(g.datagramName(), nil)); ok {
		g.Error("a UNIX socket is a Multicast")
	}
}
