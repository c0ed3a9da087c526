package native

import (
	"encoding/binary"
	"math/bits"
	"net"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// The socket options for groups of both families, with their structures: the number of an interface, padding to the
// alignment of an address, and one or two addresses of 128 bytes.
const (
	joinGroup   = 42 // MCAST_JOIN_GROUP
	leaveGroup  = 45
	joinSource  = 46
	leaveSource = 47
	addressSize = 128
	wordSize    = bits.UintSize / 8
)

// groupOption joins or leaves g on the interface at, nil for one that the system chooses.
func (s *udpConn) groupOption(op string, g kernel.Group, at *net.Interface) error {
	option := joinGroup
	switch {
	case op == kernel.OpJoin && g.Source.IsValid():
		option = joinSource
	case op == kernel.OpLeave && g.Source.IsValid():
		option = leaveSource
	case op == kernel.OpLeave:
		option = leaveGroup
	}
	s.ownGroups()
	level := unix.IPPROTO_IP
	if !s.is4() {
		level = unix.IPPROTO_IPV6
	}
	request := make([]byte, wordSize, wordSize+2*addressSize)
	if at != nil {
		binary.NativeEndian.PutUint32(request, uint32(at.Index))
	}
	request = appendAddress(request, g.IP)
	if g.Source.IsValid() {
		request = appendAddress(request, g.Source)
	}
	return unix.SetsockoptString(int(s.fd), level, option, string(request))
}

// ownGroups has the system deliver what is sent to the groups of this socket alone. Otherwise a socket at all addresses gets
// what is sent to a group that any socket of the host has joined, before it joins and after it leaves (MC-8).
func (s *udpConn) ownGroups() {
	_ = unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	_ = unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
}

// appendAddress appends a struct sockaddr_storage.
func appendAddress(b []byte, ip netip.Addr) []byte {
	p := shortAddr{kind: inet6, ip: ip.As16()}
	if ip.Is4() {
		p.kind = inet4
		four := ip.As4()
		copy(p.ip[:], four[:])
	}
	var name [nameSize]byte
	n := p.encode(&name)
	b = append(b, name[:n]...)
	return append(b, make([]byte, addressSize-n)...)
}

// byteOption asks for an option of IPv4.
func (s *udpConn) byteOption(field string, name int) (int, error) {
	return s.option(field, unix.IPPROTO_IP, name)
}

func (s *udpConn) setInterface4(at *net.Interface) error {
	var m unix.IPMreqn
	if at != nil {
		m.Ifindex = int32(at.Index)
	}
	return unix.SetsockoptIPMreqn(int(s.fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &m)
}
