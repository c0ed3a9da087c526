package native

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Datagrams are read and sent many at a time: recvmmsg and sendmmsg. Datagrams of one size to or from one peer are
// one message where the system can join and divide them (UDP_GRO, UDP_SEGMENT). The memory for that belongs to the kernel and
// is used by one socket after the other.

const (
	// packetSlots is how many messages one read receives. A slot has room for the longest message: a
	// train of joined datagrams that did not fit would lose its end.
	packetSlots = 16
	slotSize    = 64 << 10
	// sendSlots is how many messages one call sends.
	sendSlots = 64
	// sendVectors is how many datagrams these have together.
	sendVectors = 256
	// trainSegments and trainBytes limit a message that the system divides.
	trainSegments = 64
	trainBytes    = 65000
	// nameSize has room for every address, that of a UNIX socket being the longest.
	nameSize = 112
	// controlSize has room for what comes with a message: the size of joined datagrams, our address, and what a program may have
	// asked for by Control. What does not fit would be lost, the size among it.
	controlSize = 256
)

// joining tells whether the system may join datagrams that come.
type joining bool

// dividing tells whether the system can divide what is sent.
type dividing uint8

const (
	neverDivides dividing = iota // UNIX, or the system has refused it
	divides
)

// message is a struct mmsghdr.
type message struct {
	unix.Msghdr
	n uint32
}

// packetBuffers is the memory for datagrams, made for the first socket.
type packetBuffers struct {
	slots   []byte
	in      [packetSlots]message
	inVec   [packetSlots]unix.Iovec
	inName  [packetSlots][nameSize]byte
	inExtra [packetSlots][controlSize]byte
	packets []kernel.Packet
	failed  failedBuffer

	out      [sendSlots]message
	outVec   [sendVectors]unix.Iovec
	outName  [sendSlots][nameSize]byte
	outExtra [sendSlots][controlSize]byte
	count    [sendSlots]int // datagrams in each message
}

// packetMemory returns the memory. It is kept until the kernel is closed.
func (b *base) packetMemory() *packetBuffers {
	if b.packets == nil {
		m := &packetBuffers{slots: make([]byte, packetSlots*slotSize)}
		for i := range m.in {
			m.inVec[i].Base = &m.slots[i*slotSize]
			m.inVec[i].SetLen(slotSize)
			m.in[i].Iov = &m.inVec[i]
			m.in[i].SetIovlen(1)
			m.in[i].Name = &m.inName[i][0]
		}
		b.packets = m
	}
	return b.packets
}

// lastPeer is the address that was decoded or encoded last. Making one costs more than comparing one.
type lastPeer struct {
	from     [nameSize]byte
	fromLen  uint32
	fromAddr kernel.Addr
}

// prepare sets what a new UDP socket is to tell. What a system lacks is left out.
func (s *udpConn) prepare(wildcard bool) {
	fd := int(s.fd)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	if _, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT); err == nil {
		s.sends = divides
	}
	if wildcard {
		s.wantInfo()
		s.ownGroups()
	}
}

// adopted finds out what the system tells on a UDP socket that others have too. Joining is not turned on: they may not
// expect it.
func (s *udpConn) adopted() {
	if _, err := unix.GetsockoptInt(int(s.fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT); err == nil {
		s.sends = divides
	}
	if s.Local().IP.Addr().IsUnspecified() {
		s.wantInfo()
	}
	if s.connected {
		s.hearErrors()
	}
}

// look finds out what was set on the socket, perhaps by Control or by whoever else has it.
func (s *udpConn) look() {
	fd := int(s.fd)
	joins, _ := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO)
	v4, _ := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR)
	v6, _ := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR)
	s.receives, s.keeps = joins != 0, v4 != 0 || v6 != 0
}

// wantInfo has the system tell to which of our addresses a datagram came.
func (s *udpConn) wantInfo() {
	fd := int(s.fd)
	v4 := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	v6 := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	s.info = v4 == nil || v6 == nil
}

// shareMore: SO_REUSEADDR is all.
func (s *udpConn) shareMore() error { return nil }

// ReadPackets receives many datagrams at once. After a batch that is not full the next call is
// ErrAgain without asking the system.
func (s *udpConn) ReadPackets() ([]kernel.Packet, error) {
	m := s.b.packetMemory()
	m.packets = m.packets[:0]
	if s.fd < 0 {
		return nil, s.opError(kernel.OpRead, badFD)
	}
	if s.pending != 0 || len(s.held) > 0 {
		s.pending = 0
		if s.readErrors(m); len(m.packets) > 0 {
			return m.packets, nil
		}
	}
	if s.emptied {
		s.emptied = false
		return nil, kernel.ErrAgain
	}
	extra := uint64(0)
	if bool(s.receives) || s.info {
		extra = controlSize
	}
	for tries := 0; ; tries++ {
		n, errno := s.receive(m, extra)
		if errno == 0 {
			s.emptied, s.heard = n < packetSlots, true
			for i := range n {
				s.unpack(m, i)
			}
			return m.packets, nil
		}
		if s.keeps {
			// Until they are read, the socket is ready.
			if s.readErrors(m); len(m.packets) > 0 {
				return m.packets, nil
			}
		}
		switch {
		case undelivered(errno) && s.connected:
			m.packets = append(m.packets, kernel.Packet{Peer: s.Remote(), Err: SysError(kernel.OpRead, errno)})
			return m.packets, nil
		case undelivered(errno) && tries < packetSlots: // about another datagram than those that have come
		case undelivered(errno), errno == unix.EAGAIN:
			return nil, kernel.ErrAgain
		default:
			return nil, s.opError(kernel.OpRead, errno)
		}
	}
}

// receive fills the slots and returns how many were.
func (s *packetSock) receive(m *packetBuffers, extra uint64) (int, syscall.Errno) {
	for i := range m.in {
		h := &m.in[i]
		h.Namelen, h.Flags = nameSize, 0 // the system has shortened them
		h.Control = nil
		if extra > 0 {
			h.Control = &m.inExtra[i][0]
		}
		h.SetControllen(int(extra))
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&m.in)), packetSlots, unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// unpack appends the datagrams of slot i to m.packets.
func (s *udpConn) unpack(m *packetBuffers, i int) {
	h := &m.in[i]
	data := m.slots[i*slotSize : i*slotSize+int(h.n)]
	p := kernel.Packet{Peer: s.peer(m.inName[i][:h.Namelen]), Truncated: h.Flags&unix.MSG_TRUNC != 0}
	size := len(data)
	if h.Controllen > 0 {
		size = readControl(m.inExtra[i][:h.Controllen], size, &p.Local)
	}
	for len(data) > size && size > 0 {
		p.Data = data[:size:size]
		m.packets = append(m.packets, p)
		data = data[size:]
	}
	p.Data = data[:len(data):len(data)]
	m.packets = append(m.packets, p)
}

// readControl returns the size of joined datagrams, or size if nothing says that they are, and sets local to our address.
// The last datagram of a train may be shorter.
func readControl(b []byte, size int, local *netip.Addr) int {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		if uint64(h.Len) < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(b)) {
			break
		}
		data := b[unix.CmsgLen(0):h.Len]
		switch {
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			if n := int(int32(binary.NativeEndian.Uint32(data))); n > 0 {
				size = n
			}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			*local = netip.AddrFrom4([4]byte(data[4:8])) // of a group, that of the interface
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			if ip := netip.AddrFrom16([16]byte(data[:16])); !ip.IsMulticast() {
				*local = ip
			}
		}
		next := min(unix.CmsgSpace(len(data)), len(b))
		b = b[next:]
	}
	return size
}

// peer decodes the address of a sender. Most datagrams come from the sender of the one before.
func (s *udpConn) peer(name []byte) kernel.Addr {
	l := &s.last
	if len(name) > 0 && int(l.fromLen) == len(name) && string(l.from[:l.fromLen]) == string(name) {
		return l.fromAddr
	}
	var p shortAddr
	p.decode(name)
	l.fromAddr = asUDP(p.addr(s.b, s.fd))
	l.fromLen = uint32(copy(l.from[:], name))
	return l.fromAddr
}

// ReadPackets receives many datagrams at once. Descriptors that come with them are closed by the system, because there
// is no room for them.
func (s *unixgramConn) ReadPackets() ([]kernel.Packet, error) {
	m := s.b.packetMemory()
	m.packets = m.packets[:0]
	if s.fd < 0 {
		return nil, s.opError(kernel.OpRead, badFD)
	}
	if s.emptied {
		s.emptied = false
		return nil, kernel.ErrAgain
	}
	n, errno := s.receive(m, 0)
	if errno == unix.ECONNRESET { // the peer has connected to another one; the system forgets it by telling it
		n, errno = s.receive(m, 0)
	}
	switch errno {
	case 0:
	case unix.EAGAIN, unix.ECONNRESET:
		return nil, kernel.ErrAgain
	default:
		return nil, s.opError(kernel.OpRead, errno)
	}
	s.emptied = n < packetSlots
	for i := range n {
		h := &m.in[i]
		m.packets = append(m.packets, kernel.Packet{
			Data: m.slots[i*slotSize : i*slotSize+int(h.n) : i*slotSize+int(h.n)],
			Peer: s.peer(m.inName[i][:h.Namelen]), Truncated: h.Flags&unix.MSG_TRUNC != 0,
		})
	}
	return m.packets, nil
}

// peer is the sender's name. One that has bound none has no address.
func (s *unixgramConn) peer(name []byte) kernel.Addr {
	if len(name) <= 2 {
		return kernel.Addr{}
	}
	l := &s.last
	if int(l.fromLen) == len(name) && string(l.from[:l.fromLen]) == string(name) {
		return l.fromAddr
	}
	path := string(name[2:])
	if path[0] != 0 {
		path, _, _ = strings.Cut(path, "\x00")
	}
	l.fromAddr = kernel.UNIXDatagramAddr(path)
	l.fromLen = uint32(copy(l.from[:], name))
	return l.fromAddr
}

// Lost asks the system how many datagrams it has dropped.
func (s *packetSock) Lost() uint64 {
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < uint32(unsafe.Sizeof(info)) {
		return 0
	}
	return uint64(info[8])
}
