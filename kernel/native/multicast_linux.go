package native

import (
	"encoding/binary"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// changeGroup joins or leaves g on the interface of that index.
func (s *udpConn) changeGroup(g kernel.Group, index int, join bool) error {
	name := unix.MCAST_LEAVE_GROUP
	switch source := g.Source.IsValid(); {
	case join && source:
		name = unix.MCAST_JOIN_SOURCE_GROUP
	case join:
		name = unix.MCAST_JOIN_GROUP
	case source:
		name = unix.MCAST_LEAVE_SOURCE_GROUP
	}
	level := unix.IPPROTO_IPV6
	if s.is4() {
		level = unix.IPPROTO_IP
	}
	// The number of the interface, aligned, and one or two struct sockaddr_storage.
	const word, storage = int(unsafe.Sizeof(uintptr(0))), 128
	b := make([]byte, word+2*storage)
	binary.NativeEndian.PutUint32(b, uint32(index))
	size := word + storage
	p, err := shortIP(kernel.OpJoin, s.at, g.IP.WithZone(""), -1)
	if err != nil {
		return err
	}
	p.port = 0
	p.encode((*[nameSize]byte)(b[word:]))
	if g.Source.IsValid() {
		if p, err = shortIP(kernel.OpJoin, s.at, g.Source.WithZone(""), -1); err != nil {
			return err
		}
		p.port = 0
		p.encode((*[nameSize]byte)(b[size:]))
		size += storage
	}
	return unix.SetsockoptString(int(s.fd), level, name, string(b[:size]))
}

// leaveBy4 sets the interface by which datagrams to groups leave.
func leaveBy4(fd, index int) error {
	return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)})
}

// setByte sets an option of IPv4 multicast.
func (s *udpConn) setByte(field string, name, v int) error {
	return s.setOption(kernel.OpOption, field, unix.IPPROTO_IP, name, v)
}

// byteOf asks for one.
func (s *udpConn) byteOf(field string, name int) (int, error) {
	return s.option(field, unix.IPPROTO_IP, name)
}
