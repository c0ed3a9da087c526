package sim_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// groups is the part of a socket that joins.
func groups(t *testing.T, c kernel.PacketConn) kernel.Multicast {
	t.Helper()
	m, ok := kernel.PacketAs[kernel.Multicast](c)
	if !ok {
		t.Fatal("a UDP socket has no groups")
	}
	return m
}

func group(ip, card, source string) kernel.Group {
	g := kernel.Group{IP: netip.MustParseAddr(ip), Interface: card}
	if source != "" {
		g.Source = netip.MustParseAddr(source)
	}
	return g
}

func (x *net0) join(c kernel.PacketConn, g kernel.Group) {
	x.t.Helper()
	if err := groups(x.t, c).JoinGroup(g); err != nil {
		x.t.Fatal(err)
	}
}

func noErr(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Who has joined hears the group, on every host, until it leaves (MC-1, MC-8).
func TestMulticastJoins(t *testing.T) {
	x := packetNet(t, 1, "a", "b", "c")
	shared := &kernel.PacketOptions{Shared: true}
	g := udp("224.0.0.9", 5)
	src := x.open("a", x.Host("a").UDPAddr(9), nil)
	a := x.open("a", udp("0.0.0.0", 5), nil)
	b1, b2, b3 := x.open("b", udp("0.0.0.0", 5), shared), x.open("b", g, shared), x.open("b", udp("0.0.0.0", 5), shared)
	b4 := x.open("b", x.Host("b").UDPAddr(5), shared)
	c := x.open("c", udp("0.0.0.0", 5), nil)
	for _, s := range []kernel.PacketConn{a, b1, b2, b4} {
		x.join(s, group("224.0.0.9", "", ""))
	}
	x.join(c, group("224.0.0.10", "", ""))
	x.send(src, g, "one")
	x.pass(time.Second)
	x.expect(a, "one 10.0.0.1:9 at 10.0.0.1") // MC-3
	x.expect(b1, "one 10.0.0.1:9 at 10.0.0.2")
	x.expect(b2, "one 10.0.0.1:9") // it is bound to the group
	for _, s := range []kernel.PacketConn{b3, b4, c} {
		x.expect(s)
	}
	noErr(t, groups(t, b1).LeaveGroup(group("224.0.0.9", "eth0", "")), groups(t, a).LeaveGroup(group("224.0.0.9", "10.0.0.1", "")))
	x.send(src, g, "two")
	x.pass(time.Second)
	x.expect(a)
	x.expect(b1)
	x.expect(b2, "two 10.0.0.1:9")
	if k := x.Packets(); k.Written != 2 || k.Sent != 3 || k.Copied != 1 || k.Read != 4 {
		t.Errorf("%+v", k)
	}

	a6, b6 := x.open("a", udp("::", 6), nil), x.open("b", udp("::", 6), nil)
	x.join(b6, group("ff02::9%eth0", "", ""))
	x.send(a6, kernel.UDPAddr(netip.MustParseAddr("ff02::9%eth0"), 6), "six")
	x.send(a6, udp("ff01::9", 6), "not beyond this host")
	if err := sendTo(a6, kernel.UDPAddr(netip.MustParseAddr("ff02::9%eth7"), 6), "x"); !errors.Is(err, kernel.ErrNoRoute) {
		t.Errorf("by an interface that is not there: %v", err)
	}
	x.pass(time.Second)
	x.expect(b6, "six [fd00::1]:6")
}

// A group can be heard of one sender alone.
func TestMulticastSource(t *testing.T) {
	x := packetNet(t, 1, "a", "b", "c")
	c := x.open("c", udp("0.0.0.0", 5), nil)
	x.join(c, group("232.0.0.1", "", "10.0.0.2"))
	for _, h := range []string{"a", "b"} {
		x.send(x.open(h, udp("0.0.0.0", 0), nil), udp("232.0.0.1", 5), h)
	}
	x.pass(time.Second)
	if all := got(c); len(all) != 1 || all[0][:10] != "b 10.0.0.2" {
		t.Errorf("%q", all)
	}
}

// The TTL, the loopback and the interface of what is sent.
func TestMulticastSettings(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	g := udp("224.0.0.9", 5)
	a, b := x.open("a", udp("0.0.0.0", 5), &kernel.PacketOptions{Shared: true}), x.open("b", udp("0.0.0.0", 5), nil)
	lo := x.open("a", udp("0.0.0.0", 5), &kernel.PacketOptions{Shared: true})
	x.join(a, group("224.0.0.9", "", ""))
	x.join(b, group("224.0.0.9", "", ""))
	x.join(lo, group("224.0.0.9", "lo", ""))
	m := groups(t, a)
	heard := func(what string, na, nb, nlo int) {
		t.Helper()
		x.send(a, g, "x")
		x.pass(time.Second)
		if ga, gb, gl := len(got(a)), len(got(b)), len(got(lo)); ga != na || gb != nb || gl != nlo {
			t.Errorf("%s: heard here %d, there %d, on the loopback %d", what, ga, gb, gl)
		}
	}
	ttl, err := m.MulticastTTL()
	if loop, also := m.MulticastLoopback(); ttl != 1 || !loop || err != nil || also != nil { // MC-2, MC-3
		t.Error(ttl, loop, err, also)
	}
	heard("by default", 1, 1, 0)
	noErr(t, m.SetMulticastLoopback(false))
	heard("MC-3, without loopback", 0, 1, 0)
	noErr(t, m.SetMulticastLoopback(true), m.SetMulticastTTL(0))
	heard("MC-2, TTL 0", 1, 0, 0)
	noErr(t, m.SetMulticastTTL(255))
	for _, name := range []string{"lo", "127.0.0.1", "1"} {
		noErr(t, m.SetMulticastInterface(name))
		heard("MC-4, interface "+name, 0, 0, 1)
	}
	noErr(t, m.SetMulticastInterface("10.0.0.1"))
	heard("MC-4, interface 10.0.0.1", 1, 1, 0)
	if name, err := m.MulticastInterface(); name != "10.0.0.1" || err != nil {
		t.Error(name, err)
	}
	for _, err := range []error{m.SetMulticastTTL(256), m.SetMulticastTTL(-1), m.SetMulticastInterface("eth1"), m.SetMulticastInterface("10.0.0.2")} {
		if _, ok := errors.AsType[*kernel.OptionError](err); !ok {
			t.Errorf("MC-2, MC-7: %v", err)
		}
	}
	if err := m.SetMulticastInterface("eth1"); !errors.Is(err, kernel.ErrNoInterface) {
		t.Error(err)
	}
	near := x.open("a", udp("127.0.0.1", 0), nil) // its address is on the loopback
	x.send(near, g, "x")
	x.pass(time.Second)
	if n := len(got(lo)); n != 1 || len(got(b)) != 0 {
		t.Errorf("from 127.0.0.1: %d on the loopback", n)
	}
}

// MC-6: an error has the operation, the group and the cause.
func TestMulticastErrors(t *testing.T) {
	x := packetNet(t, 1, "a")
	c := x.open("a", udp("0.0.0.0", 5), nil)
	m := groups(t, c)
	noErr(t, m.JoinGroup(group("224.0.0.9", "", "")))
	for _, e := range []struct {
		err  error
		want error
		op   string
	}{
		{m.JoinGroup(group("224.0.0.9", "eth0", "")), kernel.ErrJoined, "join"},
		{m.JoinGroup(group("10.0.0.1", "", "")), kernel.ErrInvalidAddr, "join"},
		{m.JoinGroup(group("ff02::1", "", "")), kernel.ErrInvalidAddr, "join"},
		{m.JoinGroup(group("224.0.0.10", "eth7", "")), kernel.ErrNoInterface, "join"},
		{m.LeaveGroup(group("224.0.0.10", "", "")), kernel.ErrNotJoined, "leave"},
		{m.LeaveGroup(group("224.0.0.9", "lo", "")), kernel.ErrNotJoined, "leave"},
		{m.LeaveGroup(group("224.0.0.9", "", "10.0.0.1")), kernel.ErrNotJoined, "leave"},
	} {
		g, ok := errors.AsType[*kernel.GroupError](e.err)
		if !ok || !errors.Is(e.err, e.want) || g.Op != e.op || !g.Group.IP.IsValid() {
			t.Errorf("MC-6: %v, want %v", e.err, e.want)
		}
	}
	for i := range 19 {
		noErr(t, m.JoinGroup(kernel.Group{IP: netip.AddrFrom4([4]byte{224, 1, 1, byte(i)})}))
	}
	if err := m.JoinGroup(group("224.2.2.2", "", "")); !errors.Is(err, kernel.ErrNoResources) {
		t.Errorf("the 21st group: %v", err)
	}
}

// A machine with several programs hears what is sent to a group, or to everybody, once.
func TestGroupHeardOnceByMachine(t *testing.T) {
	for _, beside := range []bool{false, true} {
		x := packetNet(t, 1, "a", "c")
		if beside {
			x.Host("a").Beside("b")
			x.Host("a").Beside("d")
		}
		group := udp("224.1.2.3", 7)
		s, c := x.open("a", udp("0.0.0.0", 7), nil), x.open("c", udp("0.0.0.0", 8), &kernel.PacketOptions{Broadcast: true})
		noErr(t, s.(kernel.Multicast).JoinGroup(kernel.Group{IP: group.IP.Addr()}))
		x.send(c, group, "group")
		x.send(c, udp("255.255.255.255", 7), "all")
		x.pass(time.Second)
		if all := got(s); len(all) != 2 {
			t.Errorf("beside %v: %v have come", beside, all)
		}
		if beside { // without loopback a program does not hear the group, from whichever program of its machine
			b := x.open("b", udp("0.0.0.0", 9), nil)
			noErr(t, b.(kernel.Multicast).SetMulticastLoopback(false))
			x.send(b, group, "own")
			x.pass(time.Second)
			x.expect(s)
		}
		if k := x.Packets(); k.Sent != 2+1 { // host c hears what it sends to everybody, and refuses it
			t.Errorf("beside %v: %+v", beside, k)
		}
	}
}
