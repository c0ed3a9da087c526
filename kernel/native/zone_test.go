//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// noDescriptors calls fn while the process can open no descriptor.
func noDescriptors(t *testing.T, fn func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 1
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Skip(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if fd, err := unix.Dup(0); err == nil {
		unix.Close(fd)
		t.Error("there are descriptors left") // or this proves nothing
	}
	fn()
}

// TestZoneWithoutDescriptors: the zone of an address is known when no descriptor is left, and
// stays the same when the connection is closed (ADDR-7).
func TestZoneWithoutDescriptors(t *testing.T) {
	addr, ok := linkLocal(t)
	if !ok {
		t.Skip("no link-local address here")
	}
	for _, name := range Names() {
		k := testKernel(t, name, Options{})
		l, err := k.Listen(kernel.TCPAddr(addr, 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		sa, err := unix.Getsockname(int(l.(*listener).fd)) // Local would ask for the zone
		if err != nil {
			t.Fatal(err)
		}
		c, err := k.Dial(kernel.TCPAddr(addr, shortAddrFrom(sa).port), nil)
		if err != nil {
			t.Fatal(err)
		}
		testReady(t, k, c, kernel.Writable)
		testReady(t, k, l, kernel.Readable)
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		all := func() []kernel.Addr { return []kernel.Addr{c.Local(), c.Remote(), s.Local(), s.Remote()} }
		noDescriptors(t, func() {
			for _, a := range all() {
				if a.IP.Addr() != addr {
					t.Errorf("%s: %v is not on %v", name, a, addr)
				}
			}
		})
		before := fmt.Sprint(all())
		c.Abort()
		s.Abort()
		l.Close()
		if after := fmt.Sprint(all()); after != before {
			t.Errorf("%s: %v became %v", name, before, after)
		}
	}
}

// TestZoneOnce: the system is asked for a zone once for each connection (ADDR-7). What is kept of the
// zones is bounded, and more of them are right too.
func TestZoneOnce(t *testing.T) {
	k := testKernel(t, "", Options{})
	b := baseOf(k)
	_, c, s := testPair(t, k)
	ip := netip.MustParseAddr("fe80::1")
	set := func(index uint32) { c.remote.set(shortAddr{kind: inet6, ip: ip.As16(), port: 80, scope: index}) }
	set(1) // the loopback, on most systems
	want := c.Remote()
	// Whatever the system would say now, the connection has its answer. Others ask anew.
	b.zones.known[0].name = "renamed"
	if got := c.Remote(); got.IP.Addr().Zone() != "renamed" || c.remote.kind != inet6Zone {
		t.Errorf("asked again: %v", got)
	}
	s.remote.set(shortAddr{kind: inet6, ip: ip.As16(), port: 80, scope: 1})
	if got := s.Remote(); got != want && runtime.GOOS == "linux" {
		t.Errorf("%v, want %v", got, want)
	}
	b.zones.known[0].name = want.IP.Addr().Zone()
	for i := range uint32(maxZones + 10) {
		set(4_000_000_000 + i) // no such interface
		for range 2 {
			if got := c.Remote().Host(); got != fmt.Sprintf("fe80::1%%%d", 4_000_000_000+i) {
				t.Fatalf("zone %d: %v", i, got)
			}
		}
	}
	if n := len(b.zones.known); n != maxZones {
		t.Errorf("%d zones are kept", n)
	}
	set(1)
	if got := c.Remote(); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if runtime.GOOS == "linux" {
		if name, ok := interfaceName(int(c.fd), 1); !ok || name != want.IP.Addr().Zone() {
			t.Errorf("the socket says %q, %v", name, ok)
		}
	}
}
