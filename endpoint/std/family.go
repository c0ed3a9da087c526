package std

import "net/netip"

// Family is a version of IP, or any.
type Family uint8

// The families. The zero Family is any.
const (
	AnyFamily Family = iota
	IPv4
	IPv6
)

// String is "IP", "IPv4" or "IPv6".
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "IP"
}

// scheme returns the name of the scheme of TCP for f.
func (f Family) scheme() string {
	switch f {
	case IPv4:
		return "tcp4"
	case IPv6:
		return "tcp6"
	}
	return "tcp"
}

// holds tells whether ip, unmapped, is of the family.
func (f Family) holds(ip netip.Addr) bool {
	return f == AnyFamily || ip.Is4() == (f == IPv4)
}
