package reactor

import (
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
)

// PeerOf returns what counts as one peer where connections are limited by peer: an IPv4 address,
// or the IPv6 network of 64 bits, because one customer has all addresses of that. An IPv4 address
// mapped into IPv6 is an IPv4 address. Scopes do not count: all link-local addresses are one peer.
// The result is not valid if a has no IP address.
func PeerOf(a kernel.Addr) netip.Prefix {
	ip := a.IP.Addr().Unmap()
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	network, _ := ip.Prefix(bits) // fails without an IP address
	return network
}
