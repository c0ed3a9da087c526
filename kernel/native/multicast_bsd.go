//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// changeGroup joins or leaves g on the interface of that index. Groups with a source are not joined on these systems yet.
func (s *udpConn) changeGroup(g kernel.Group, index int, join bool) error {
	if g.Source.IsValid() {
		return kernel.ErrUnsupported
	}
	if !s.is4() {
		name := unix.IPV6_LEAVE_GROUP
		if join {
			name = unix.IPV6_JOIN_GROUP
		}
		return unix.SetsockoptIPv6Mreq(int(s.fd), unix.IPPROTO_IPV6, name, &unix.IPv6Mreq{Multiaddr: g.IP.As16(), Interface: uint32(index)})
	}
	name := unix.IP_DROP_MEMBERSHIP
	if join {
		name = unix.IP_ADD_MEMBERSHIP
	}
	ip, err := addressOf(index)
	if err != nil {
		return err
	}
	return unix.SetsockoptIPMreq(int(s.fd), unix.IPPROTO_IP, name, &unix.IPMreq{Multiaddr: g.IP.As4(), Interface: ip})
}

// leaveBy4 sets the interface by which datagrams to groups leave.
func leaveBy4(fd, index int) error {
	ip, err := addressOf(index)
	if err != nil {
		return err
	}
	return unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, ip)
}

// setByte sets an option of IPv4 multicast, which has one byte here.
func (s *udpConn) setByte(field string, name, v int) error {
	if s.fd < 0 {
		return s.opError("setsockopt", badFD)
	}
	if err := unix.SetsockoptByte(int(s.fd), unix.IPPROTO_IP, name, byte(v)); err != nil {
		return &kernel.OptionError{Op: kernel.OpOption, Option: field, Value: v, Err: SysError("setsockopt", errnoOf(err))}
	}
	return nil
}

// byteOf asks for one.
func (s *udpConn) byteOf(_ string, name int) (int, error) {
	v, err := unix.GetsockoptByte(int(s.fd), unix.IPPROTO_IP, name)
	if err != nil {
		return 0, s.opError("getsockopt", errnoOf(err))
	}
	return int(v), nil
}
