//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"net"
	"net/netip"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// groupOption joins or leaves g on the interface at, nil for one that the system chooses. The options for one source differ
// between these systems, and are not used.
func (s *udpConn) groupOption(op string, g kernel.Group, at *net.Interface) error {
	if g.Source.IsValid() {
		return kernel.ErrUnsupported
	}
	if !s.is4() {
		m := unix.IPv6Mreq{Multiaddr: g.IP.As16()}
		if at != nil {
			m.Interface = uint32(at.Index)
		}
		option := unix.IPV6_JOIN_GROUP
		if op == kernel.OpLeave {
			option = unix.IPV6_LEAVE_GROUP
		}
		return unix.SetsockoptIPv6Mreq(int(s.fd), unix.IPPROTO_IPV6, option, &m)
	}
	m := unix.IPMreq{Multiaddr: g.IP.As4()}
	var err error
	if m.Interface, err = address4(at); err != nil {
		return err
	}
	option := unix.IP_ADD_MEMBERSHIP
	if op == kernel.OpLeave {
		option = unix.IP_DROP_MEMBERSHIP
	}
	return unix.SetsockoptIPMreq(int(s.fd), unix.IPPROTO_IP, option, &m)
}

// address4 is an IPv4 address of at, which stands for the interface; the zero address for nil.
func address4(at *net.Interface) (ip [4]byte, err error) {
	if at == nil {
		return ip, nil
	}
	addrs, err := at.Addrs()
	if err != nil {
		return ip, err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p.Addr().As4(), nil
		}
	}
	return ip, kernel.ErrNoInterface
}

// byteOption asks for an option of IPv4, which is one byte.
func (s *udpConn) byteOption(field string, name int) (int, error) {
	v, err := s.option(field, unix.IPPROTO_IP, name)
	b := int32(v)
	return int(*(*byte)(unsafe.Pointer(&b))), err
}

func (s *udpConn) setInterface4(at *net.Interface) error {
	ip, err := address4(at)
	if err != nil {
		return err
	}
	return unix.SetsockoptInet4Addr(int(s.fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, ip)
}
