package double

import (
	"net/netip"
	"slices"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// resolver knows every name. Its addresses are those that RFC 2544 keeps for tests of networks.
type resolver struct{ k *Kernel }

// Resolve implements reactor.Resolver.
func (x resolver) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	n := slices.Index(x.k.Names, name)
	if n < 0 {
		n = len(x.k.Names)
		x.k.Names = append(x.k.Names, name)
	}
	n++
	ip := netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
	cancelled := false
	r.Post(func() {
		if !cancelled {
			done([]netip.Addr{ip}, nil)
		}
	})
	return func() { cancelled = true }
}

// loopback is a port of 127.0.0.1.
func loopback(port uint16) kernel.Addr {
	return kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// reachable is an address at which a client of the same host reaches a.
func reachable(a kernel.Addr) kernel.Addr {
	switch {
	case a.Net != kernel.TCP || !a.IP.Addr().IsUnspecified():
		return a
	case a.IP.Addr().Is4():
		return loopback(a.Port())
	}
	return kernel.TCPAddr(netip.IPv6Loopback(), a.Port())
}
