package kernel_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

var (
	ip4  = netip.MustParseAddr("127.0.0.1")
	ip6  = netip.MustParseAddr("fe80::1")
	eth0 = netip.MustParseAddr("fe80::1%eth0")
	eth1 = netip.MustParseAddr("fe80::1%eth1")
)

// ADDR-1: each kind of address says its network, text, host and port.
func TestAddrKinds(t *testing.T) {
	for _, c := range []struct {
		a             kernel.Addr
		network, text string
		host          string
		port          uint16
	}{
		{kernel.TCPAddr(ip4, 80), "tcp", "127.0.0.1:80", "127.0.0.1", 80},
		{kernel.Addr{Net: kernel.UDP, IP: netip.AddrPortFrom(ip4, 53)}, "udp", "127.0.0.1:53", "127.0.0.1", 53},
		{kernel.TCPAddr(ip6, 80), "tcp", "[fe80::1]:80", "fe80::1", 80},
		// ADDR-7: the scope is part of the host.
		{kernel.TCPAddr(eth0, 80), "tcp", "[fe80::1%eth0]:80", "fe80::1%eth0", 80},
		{kernel.HostAddr("example.org", 443), "tcp", "example.org:443", "example.org", 443},
		{kernel.Addr{Net: kernel.UNIX, Name: "/run/x"}, "unix", "/run/x", "/run/x", 0},
		{kernel.Addr{Net: kernel.UNIX}, "unix", "unix", "", 0},
		{kernel.Addr{Net: kernel.UNIXDatagram, Name: "/run/y"}, "unixgram", "/run/y", "/run/y", 0},
		{kernel.Addr{Net: kernel.Pipe}, "pipe", "pipe", "", 0},
		{kernel.Addr{Net: kernel.Process}, "process", "process", "", 0},
		{kernel.Addr{}, "", "", "", 0},
		{kernel.Addr{Net: 99}, "net99", "net99", "", 0},
	} {
		if c.a.Network() != c.network || c.a.Net.String() != c.network || c.a.String() != c.text {
			t.Errorf("ADDR-1: %#v is %q %q", c.a, c.a.Network(), c.a.String())
		}
		if c.a.Host() != c.host || c.a.Port() != c.port {
			t.Errorf("ADDR-1 ADDR-7: %#v is host %q, port %d", c.a, c.a.Host(), c.a.Port())
		}
		if c.a.IsZero() != (c.network == "") {
			t.Errorf("%#v: IsZero is %v", c.a, c.a.IsZero())
		}
		if net.Addr(c.a).String() != c.text {
			t.Errorf("ADDR-1: as net.Addr %q", net.Addr(c.a).String())
		}
	}
}

// ADDR-3: addresses are equal if and only if all their fields are. Equal ones are one map
// key.
func TestAddrValues(t *testing.T) {
	different := func() []kernel.Addr {
		return []kernel.Addr{
			{},
			kernel.TCPAddr(ip4, 80),
			kernel.TCPAddr(ip4, 81),
			kernel.TCPAddr(netip.MustParseAddr("127.0.0.2"), 80),
			kernel.TCPAddr(netip.MustParseAddr("::ffff:127.0.0.1"), 80),
			{Net: kernel.UDP, IP: netip.AddrPortFrom(ip4, 80)},
			kernel.TCPAddr(ip6, 80),
			kernel.TCPAddr(eth0, 80),
			kernel.TCPAddr(eth1, 80),
			kernel.HostAddr("127.0.0.1", 80),
			{Net: kernel.UNIX},
			{Net: kernel.UNIX, Name: "a"},
			{Net: kernel.UNIX, Name: "./a"}, // ADDR-4: names are compared, not files
			{Net: kernel.UNIXDatagram, Name: "a"},
			{Net: kernel.Pipe},
			{Net: kernel.Process},
		}
	}
	seen := map[kernel.Addr]int{}
	twins := different()
	for i, a := range different() {
		seen[a] = i
		for j, b := range twins {
			if (a == b) != (i == j) {
				t.Errorf("ADDR-3: %v and %v: equal is %v", a, b, a == b)
			}
		}
	}
	for i, b := range twins {
		if got, ok := seen[b]; !ok || got != i {
			t.Errorf("ADDR-3: %v is not found as a key", b)
		}
	}
	if len(seen) != len(twins) {
		t.Errorf("ADDR-3: %d keys of %d addresses", len(seen), len(twins))
	}
	// ADDR-4: of UNIX addresses the names decide.
	a, b := kernel.Addr{Net: kernel.UNIX, Name: "a"}, kernel.Addr{Net: kernel.UNIX, Name: "a"}
	if a != b || a == (kernel.Addr{Net: kernel.UNIX}) {
		t.Error("ADDR-4: equal names differ, or a name equals none")
	}
}

// An address costs no memory of its own.
func TestAddrAllocs(t *testing.T) {
	var a, b kernel.Addr
	n := testing.AllocsPerRun(100, func() {
		a = kernel.TCPAddr(eth0, 80)
		b = kernel.HostAddr("example.org", 80)
		if a == b || a.Port() != b.Port() {
			t.Error("ADDR-3: wrong comparison")
		}
	})
	if n != 0 {
		t.Errorf("ADDR-3: %v allocations", n)
	}
}
