//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"net/netip"
	"strconv"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// The kinds of a shortAddr.
const (
	noAddr uint8 = iota
	inet4
	inet6
	inet6Zone // scope is an index into the kernel's zones
)

// shortAddr is an address as a sock stores it: 24 bytes, where a kernel.Addr has 56.
type shortAddr struct {
	ip    [16]byte
	scope uint32
	port  uint16
	kind  uint8
	// more is not part of the address. The sock keeps a byte of its state in it, because
	// padding would be here otherwise.
	more uint8
}

// set copies the address of q and leaves more alone.
func (p *shortAddr) set(q shortAddr) {
	p.ip, p.scope, p.port, p.kind = q.ip, q.scope, q.port, q.kind
}

// isUnspecified tells whether it is 0.0.0.0 or ::, with any port.
func (p *shortAddr) isUnspecified() bool { return p.kind != noAddr && p.ip == [16]byte{} }

// addr returns the address, of a sock with the descriptor fd or of a closed one (-1). The first
// call replaces the scope of a link-local address by the place of its name in b.zones.
func (p *shortAddr) addr(b *base, fd int32) kernel.Addr {
	switch p.kind {
	case inet4:
		return kernel.TCPAddr(netip.AddrFrom4([4]byte(p.ip[:4])), p.port)
	case inet6:
		if p.scope == 0 {
			return kernel.TCPAddr(netip.AddrFrom16(p.ip), p.port)
		}
		name := b.zones.name(fd, p.scope)
		if place, ok := b.zones.keep(zone{p.scope, name}); ok {
			p.kind, p.scope = inet6Zone, place
		}
		return kernel.TCPAddr(netip.AddrFrom16(p.ip).WithZone(name), p.port)
	case inet6Zone:
		return kernel.TCPAddr(netip.AddrFrom16(p.ip).WithZone(b.zones.known[p.scope].name), p.port)
	}
	return kernel.Addr{}
}

// shortAddrOf returns a in short form, for the operation op. It refuses what is not a
// resolved TCP address. fd is a socket, or -1.
func shortAddrOf(op string, a kernel.Addr, fd int) (shortAddr, error) {
	if err := kernel.CheckAddr(op, a); err != nil {
		return shortAddr{}, err
	}
	return shortIP(op, a, a.IP.Addr().Unmap(), fd)
}

// shortIP returns ip and the port of a in short form.
func shortIP(op string, a kernel.Addr, ip netip.Addr, fd int) (p shortAddr, err error) {
	p.port = a.IP.Port()
	if ip.Is4() {
		p.kind = inet4
		b := ip.As4()
		copy(p.ip[:], b[:])
		return p, nil
	}
	p.kind = inet6
	p.ip = ip.As16()
	var ok bool
	if p.scope, ok = zoneIndex(fd, ip.Zone()); !ok {
		return p, &kernel.AddrError{Op: op, Addr: a, Reason: "no interface " + strconv.Quote(ip.Zone()), Kind: kernel.ErrInvalidAddr}
	}
	return p, nil
}

// familyOf returns the address family of a.
func familyOf(a kernel.Addr) int {
	if a.IP.Addr().Unmap().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func (p *shortAddr) sockaddr() unix.Sockaddr {
	if p.kind == inet4 {
		return &unix.SockaddrInet4{Port: int(p.port), Addr: [4]byte(p.ip[:4])}
	}
	return &unix.SockaddrInet6{Port: int(p.port), ZoneId: p.scope, Addr: p.ip}
}

// shortAddrFrom returns a system's address in short form. Its kind is noAddr if the
// family is neither IPv4 nor IPv6.
func shortAddrFrom(sa unix.Sockaddr) shortAddr {
	var p shortAddr
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		p.kind, p.port = inet4, uint16(sa.Port)
		copy(p.ip[:], sa.Addr[:])
	case *unix.SockaddrInet6:
		p.kind, p.port, p.scope, p.ip = inet6, uint16(sa.Port), sa.ZoneId, sa.Addr
	}
	return p
}
