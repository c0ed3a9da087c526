package eyeballs

import (
	"net/netip"
	"strings"
)

// Local returns the loopback addresses if name is "localhost" or below it, which RFC 6761 keeps for the host that asks; otherwise nil.
func Local(name string) []netip.Addr {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name != "localhost" && !strings.HasSuffix(name, ".localhost") {
		return nil
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
}
