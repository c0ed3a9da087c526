//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"net"
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

// addr returns the address as a kernel.Addr.
func (p *shortAddr) addr() kernel.Addr {
	switch p.kind {
	case inet4:
		return kernel.TCPAddr(netip.AddrFrom4([4]byte(p.ip[:4])), p.port)
	case inet6:
		ip := netip.AddrFrom16(p.ip)
		if p.scope != 0 {
			ip = ip.WithZone(zoneName(p.scope))
		}
		return kernel.TCPAddr(ip, p.port)
	}
	return kernel.Addr{}
}

// zoneName returns the name of the interface with that index, or the index as text if
// there is none (ADDR-7).
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}

// zoneIndex is the reverse of zoneName. It is 0 for "". It returns false if there is no such
// interface.
func zoneIndex(zone string) (index uint32, ok bool) {
	if zone == "" {
		return 0, true
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index), true
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	return uint32(n), err == nil
}

// shortAddrOf returns a in short form, for the operation op. It refuses what is not a
// resolved TCP address.
func shortAddrOf(op string, a kernel.Addr) (shortAddr, error) {
	var p shortAddr
	if err := kernel.CheckAddr(op, a); err != nil {
		return p, err
	}
	ip := a.IP.Addr().Unmap()
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
	if p.scope, ok = zoneIndex(ip.Zone()); !ok {
		return p, &kernel.AddrError{Op: op, Addr: a, Reason: "no interface " + strconv.Quote(ip.Zone()), Kind: kernel.ErrInvalidAddr}
	}
	return p, nil
}

func (p *shortAddr) family() int {
	if p.kind == inet4 {
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
