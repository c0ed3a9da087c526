package reactor_test

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// A peer is an IPv4 address, however it is written, or an IPv6 network of 64 bits.
func TestPeerOf(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1/32",
		"::ffff:192.0.2.1":     "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
	} {
		if got := reactor.PeerOf(kernel.TCPAddr(netip.MustParseAddr(from), 80)); got.String() != want {
			t.Errorf("%s is the peer %v, want %s", from, got, want)
		}
	}
	if p := reactor.PeerOf(kernel.Addr{Net: kernel.UNIX, Name: "/run/x"}); p.IsValid() {
		t.Errorf("a path is the peer %v", p)
	}
}
