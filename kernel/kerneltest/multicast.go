package kerneltest

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/whorl-go/whorl/kernel"
)

func multicastPromises() []promise {
	return []promise{
		{"Multicast", multicastDelivery},
		{"MulticastUnicast", multicastUnicast},
		{"MulticastLoopback", multicastLoopback},
		{"MulticastInterfaces", multicastInterfaces},
		{"MulticastMany", multicastMany},
		{"MulticastJoins", multicastJoins},
		{"MulticastAdopted", multicastAdopted},
		{"MulticastSource", multicastSource},
		{"MulticastSettings", multicastSettings},
		{"MulticastRefused", multicastRefused},
	}
}

// The groups of the suite, of each family: two for everybody, and one of those that have sources. They are joined on the
// loopback interface alone.
func groupsOf(ip netip.Addr) (one, other, sourced netip.Addr) {
	if ip.Is4() {
		return netip.MustParseAddr("239.77.77.1"), netip.MustParseAddr("239.77.77.2"), netip.MustParseAddr("232.77.77.1")
	}
	return netip.MustParseAddr("ff12::7777"), netip.MustParseAddr("ff12::7778"), netip.MustParseAddr("ff32::7777")
}

// unspecified is any address of the family of ip.
func unspecified(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// multicast is the capability of c.
func (g *rig) multicast(c kernel.PacketConn) kernel.Multicast {
	g.Helper()
	m, ok := kernel.PacketAs[kernel.Multicast](c)
	if !ok {
		g.Fatal("no kernel.Multicast")
	}
	return m
}

// join fails if that fails.
func (g *rig) join(c kernel.PacketConn, groups ...kernel.Group) {
	g.Helper()
	for _, x := range groups {
		if err := g.multicast(c).JoinGroup(x); err != nil {
			g.Fatal(err)
		}
	}
}

func (g *rig) leave(c kernel.PacketConn, x kernel.Group) {
	g.Helper()
	if err := g.multicast(c).LeaveGroup(x); err != nil {
		g.Fatal(err)
	}
}

// member is a socket on port, shared, that is to receive from groups on the loopback interface.
func (g *rig) member(ip netip.Addr, port uint16, groups ...kernel.Group) kernel.PacketConn {
	g.Helper()
	c := g.bind(kernel.UDPAddr(unspecified(ip), port), &kernel.PacketOptions{Shared: true})
	g.join(c, groups...)
	return c
}

// onLoopback is a group on the loopback interface.
func onLoopback(ip netip.Addr) kernel.Group {
	if ip.Is4() {
		return kernel.Group{IP: ip, Interface: local4().String()}
	}
	return kernel.Group{IP: ip, Interface: local6().String()}
}

// caster is a socket of ip, a loopback address, that sends to groups by the loopback interface.
func (g *rig) caster(ip netip.Addr) kernel.PacketConn {
	g.Helper()
	c := g.bind(kernel.UDPAddr(ip, 0), nil)
	if err := g.multicast(c).SetMulticastInterface(ip.String()); err != nil {
		g.Fatal(err)
	}
	return c
}

// casting are the families whose groups can be reached by the loopback interface. Systems may have no route there for IPv6.
func (g *rig) casting() (list []netip.Addr) {
	g.Helper()
	for _, ip := range g.families() {
		one, _, _ := groupsOf(ip)
		c := g.caster(ip)
		switch _, err := c.WritePackets([]kernel.Packet{to(kernel.UDPAddr(one, c.Local().Port()), "x")}); {
		case errors.Is(err, kernel.ErrNoRoute):
		case err != nil:
			g.Fatal(err)
		default:
			list = append(list, ip)
		}
	}
	if len(list) == 0 {
		g.Skip("no route to a group by the loopback interface")
	}
	return list
}

// multicastDelivery: sockets that share a port each get what is sent to a group that they have joined (MC-1), and
// nothing else. After leaving it they get nothing more (MC-8). Both families are alike (MC-9).
func multicastDelivery(g *rig) {
	for _, ip := range g.casting() {
		one, two, _ := groupsOf(ip)
		first := g.member(ip, 0, onLoopback(one))
		port := first.Local().Port()
		second := g.member(ip, port, onLoopback(one), onLoopback(two))
		third := g.member(ip, port)
		_, err := g.packets().ListenPacket(first.Local(), nil)
		g.isSys("MC-1: a socket that does not share", err, kernel.OpBind, kernel.ErrAddrInUse)
		c := g.caster(ip)
		send := func(group netip.Addr, text string) {
			g.Helper()
			g.put(c, to(kernel.UDPAddr(group, port), text))
		}
		send(one, "to both")
		g.gets(first, "to both", c.Local())  // MC-1, MC-9
		g.gets(second, "to both", c.Local()) // MC-1
		send(two, "to the second")
		g.gets(second, "to the second", c.Local())
		g.nothing(first)
		g.nothing(third) // MC-8
		batch := make([]kernel.Packet, 40)
		for i := range batch {
			batch[i] = to(kernel.UDPAddr(one, port), fmt.Sprintf("%03d", i))
		}
		g.put(c, batch...)
		g.inOrder(first, 0, len(batch))
		g.inOrder(second, 0, len(batch))
		g.leave(first, onLoopback(one))
		send(one, "to the second, again")
		g.gets(second, "to the second, again", c.Local())
		g.nothing(first) // MC-8
		g.join(first, onLoopback(one))
		send(one, "to both, again")
		g.gets(first, "to both, again", c.Local())
		g.gets(second, "to both, again", c.Local())
		second.Close()
		g.gone(second)
		send(one, "to the first")
		g.gets(first, "to the first", c.Local())
		g.nothing(third)
	}
}

// multicastUnicast: what is sent to the address that sockets share goes to one of them, and of a group Local is
// the address of the interface by which it came.
func multicastUnicast(g *rig) {
	for _, ip := range g.casting() {
		one, _, _ := groupsOf(ip)
		first := g.member(ip, 0, onLoopback(one))
		second := g.member(ip, first.Local().Port(), onLoopback(one))
		c := g.caster(ip)
		const sent = 5
		for range sent {
			g.put(c, to(kernel.UDPAddr(ip, first.Local().Port()), "to one"))
		}
		g.put(c, to(kernel.UDPAddr(one, first.Local().Port()), "to both")) // it comes last
		alone := 0
		for _, d := range []kernel.PacketConn{first, second} {
			for last := false; !last; {
				for _, p := range g.some(d) {
					if string(p.Data) == "to one" {
						alone++
						continue
					}
					last = true
					if ip.Is4() && p.Local.IsValid() && p.Local != ip {
						g.Errorf("%q came to %v", p.Data, p.Local)
					}
				}
			}
		}
		if alone != sent {
			g.Errorf("MC-1: %d datagrams to the shared address of %d came", alone, sent)
		}
	}
}

// multicastLoopback: what a socket sends to a group comes back to this host (MC-3). Whether it does not when that is switched
// off cannot be seen here: systems deliver what leaves by the loopback interface all the same.
func multicastLoopback(g *rig) {
	for _, ip := range g.casting() {
		one, _, _ := groupsOf(ip)
		d, c := g.member(ip, 0, onLoopback(one)), g.caster(ip)
		at := kernel.UDPAddr(one, d.Local().Port())
		g.put(c, to(at, "by default"))
		g.gets(d, "by default", c.Local()) // MC-3
		for _, on := range []bool{false, true} {
			if err := g.multicast(c).SetMulticastLoopback(on); err != nil {
				g.Fatal(err)
			}
		}
		g.put(c, to(at, "our own"))
		g.gets(d, "our own", c.Local()) // MC-3
		if err := g.multicast(c).SetMulticastTTL(0); err != nil {
			g.Fatal(err)
		}
		g.put(c, to(at, "on this host"))
		g.gets(d, "on this host", c.Local()) // MC-2
	}
}

// multicastInterfaces: an interface can be meant by its name, its number, and for IPv6 by the scope of the group.
func multicastInterfaces(g *rig) {
	if runtime.GOOS != "linux" {
		return // the loopback interface has another name there
	}
	for _, ip := range g.casting() {
		one, _, _ := groupsOf(ip)
		all := []kernel.Group{{IP: one, Interface: "lo"}, {IP: one, Interface: "1"}, {IP: one, Interface: ip.String()}}
		if ip.Is6() {
			all = append(all, kernel.Group{IP: one.WithZone("lo")})
		}
		for _, x := range all {
			d, c := g.member(ip, 0, x), g.bind(kernel.UDPAddr(unspecified(ip), 0), nil)
			for _, y := range all {
				g.isGroup("joined by another name", g.multicast(d).JoinGroup(y), kernel.OpJoin, y, kernel.ErrJoined)
			}
			at := kernel.UDPAddr(x.IP, d.Local().Port())
			if x.Interface != "" {
				if err := g.multicast(c).SetMulticastInterface(x.Interface); err != nil {
					g.Fatal(err)
				}
			}
			g.put(c, to(at, "by "+x.Interface))
			if p := g.take(d, 1)[0]; string(p.Data) != "by "+x.Interface || p.Peer.Port() != c.Local().Port() { // MC-4
				g.Errorf("MC-4: %q from %v", p.Data, p.Peer)
			}
			g.leave(d, x)
			g.isGroup("MC-6: left", g.multicast(d).LeaveGroup(x), kernel.OpLeave, x, kernel.ErrNotJoined)
		}
	}
}

// multicastMany: a system may let a socket join a limited number of groups, and says so.
func multicastMany(g *rig) {
	c := g.bind(kernel.UDPAddr(local4(), 0), nil)
	var err error
	joined := 0
	for ; err == nil && joined < 1000; joined++ {
		x := onLoopback(netip.AddrFrom4([4]byte{239, 77, byte(joined >> 8), byte(joined)}))
		if err = g.multicast(c).JoinGroup(x); err != nil {
			g.isGroup("one group too many", err, kernel.OpJoin, x, kernel.ErrNoResources)
		}
	}
	if joined < 10 || err == nil && runtime.GOOS == "linux" && joined < 1000 {
		g.Errorf("%d groups, and then %v", joined, err)
	}
	g.leave(c, onLoopback(netip.AddrFrom4([4]byte{239, 77, 0, 0})))
	g.join(c, onLoopback(netip.AddrFrom4([4]byte{239, 77, 0, 0})))
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
	for _, ip := range g.families() {
		m := g.multicast(g.bind(kernel.UDPAddr(ip, 0), nil))
		one, two, _ := groupsOf(ip)
		foreign, _, _ := groupsOf(local6())
		if ip.Is6() {
			foreign, _, _ = groupsOf(local4())
		}
		mine, other, theirs := onLoopback(one), onLoopback(two), onLoopback(foreign)
		g.isGroup("MC-6: not joined", m.LeaveGroup(mine), kernel.OpLeave, mine, kernel.ErrNotJoined)
		for range 2 {
			if err := m.JoinGroup(mine); err != nil {
				g.Fatal(err)
			}
			g.isGroup("joined twice", m.JoinGroup(mine), kernel.OpJoin, mine, kernel.ErrJoined)
			g.isGroup("MC-6: another group", m.LeaveGroup(other), kernel.OpLeave, other, kernel.ErrNotJoined)
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
			g.isGroup("MC-6: interface "+name, m.JoinGroup(x), kernel.OpJoin, x, kernel.ErrNoInterface)
		}
		if ip.Is6() { // the scope of a group is the interface too
			x := kernel.Group{IP: one.WithZone("nosuch0")}
			g.isGroup("MC-6: the scope of no interface", m.JoinGroup(x), kernel.OpJoin, x, kernel.ErrNoInterface)
		}
	}
}

// multicastAdopted: who adopts a socket may join what its owner has joined, as a successor does that has the same groups in
// its configuration (ADOPT-8). Joining it twice is an error as ever, and leaving it ends it for both (MC-6, MC-8).
func multicastAdopted(g *rig) {
	a := g.adopter()
	for _, ip := range g.casting() {
		one, two, _ := groupsOf(ip)
		mine, other := onLoopback(one), onLoopback(two)
		d := g.member(ip, 0, mine)
		fd := g.numberOf(d)
		x, err := a.AdoptPacketConn(fd, nil)
		if err != nil {
			g.Fatal(err)
		}
		keep(g, x)
		g.closeNumbers(fd)
		g.join(x, mine)
		byNumber := mine
		byNumber.Interface = "1"
		for _, again := range []kernel.Group{mine, byNumber} {
			g.isGroup("MC-6: joined twice", g.multicast(x).JoinGroup(again), kernel.OpJoin, again, kernel.ErrJoined)
		}
		g.join(x, other)
		g.isGroup("MC-6: joined twice", g.multicast(x).JoinGroup(other), kernel.OpJoin, other, kernel.ErrJoined)
		c, at := g.caster(ip), kernel.UDPAddr(one, d.Local().Port())
		g.put(c, to(at, "once"))
		g.gets(x, "once", c.Local())
		g.nothing(d)
		g.leave(x, mine)
		g.isGroup("MC-6: left", g.multicast(x).LeaveGroup(mine), kernel.OpLeave, mine, kernel.ErrNotJoined)
		g.put(c, to(at, "to nobody"))
		g.nothing(x) // MC-8
		g.join(x, mine)
		g.put(c, to(at, "again"))
		g.gets(x, "again", c.Local())
	}
}

// multicastSource: of a group that was joined for one source only that one's datagrams come (MC-9).
func multicastSource(g *rig) {
	for _, ip := range g.casting() {
		_, _, group := groupsOf(ip)
		mine, strange := onLoopback(group), onLoopback(group)
		mine.Source = ip
		strange.Source = netip.AddrFrom4([4]byte{192, 0, 2, 77}) // for documentation, so no host has it
		if ip.Is6() {
			strange.Source = netip.MustParseAddr("2001:db8::77")
		}
		d := g.member(ip, 0)
		m := g.multicast(d)
		if err := m.JoinGroup(strange); errors.Is(err, kernel.ErrUnsupported) {
			g.Skip(err)
		} else if err != nil {
			g.Fatal(err)
		}
		g.isGroup("joined twice", m.JoinGroup(strange), kernel.OpJoin, strange, kernel.ErrJoined)
		g.isGroup("MC-6: another source", m.LeaveGroup(mine), kernel.OpLeave, mine, kernel.ErrNotJoined)
		c, at := g.caster(ip), kernel.UDPAddr(group, d.Local().Port())
		g.put(c, to(at, "not for it"))
		g.nothing(d) // MC-9
		g.join(d, mine)
		g.put(c, to(at, "for it"))
		g.gets(d, "for it", c.Local()) // MC-9
		g.leave(d, mine)
		g.put(c, to(at, "not for it"))
		g.nothing(d) // MC-8
		g.leave(d, strange)
	}
}

// multicastSettings: the TTL is 1 unless it was set (MC-2), and our own datagrams come back unless that was switched
// off (MC-3). The interface is what was set (MC-4).
func multicastSettings(g *rig) {
	for _, ip := range g.families() {
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
