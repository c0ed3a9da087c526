package native

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

const (
	// slots is how many messages one recvmmsg takes. A message is one datagram, or, with UDP_GRO, up to 128
	// datagrams of one sender that the system has put together.
	slots = 16
	// slotSize holds the longest message: no less, because the rest of a longer one would be lost.
	slotSize = 64 << 10
	// nameSize holds any socket address.
	nameSize = 112
	// controlSize holds the control messages of UDP_GRO, IP_PKTINFO and IP_RECVERR, which has an address in it.
	controlSize = 256
)

// packetState is what only Linux needs of a datagram socket.
type packetState struct {
	wild     bool            // it was bound to an unspecified address
	control  bool            // receive with room for control messages
	hears    bool            // IP_RECVERR is on, and its queue is ours
	refusals bool            // a send has met an error that the error queue tells about
	noGSO    bool            // the system takes no UDP_SEGMENT on this socket
	longest  int             // the longest segment that UDP_SEGMENT takes; 0: any
	shortest int             // the size of the shortest datagrams that were sent as one message to the peer of Connect; 0: none were
	drained  bool            // the last read got all there was
	lost     uint64          // as the system said last
	before   uint64          // so many of these were lost before the adoption
	held     []kernel.Packet // refusals that a send has taken from the system
	// raw is the last peer to which something was sent, as the system has it, and peer is that peer, but zero if it was a plain one.
	peer     kernel.Addr
	raw      [nameSize]byte
	rawSize  uint32
	lastRaw  string // the name of the last UNIX sender, as the system has it
	lastName string // and as it is told
}

// message is the system's struct mmsghdr.
type message struct {
	unix.Msghdr
	n uint32
}

// inbox is where datagrams are received. A kernel has one, from its first datagram socket on.
type inbox struct {
	msgs    [slots]message
	iov     [slots]unix.Iovec
	names   [slots][nameSize]byte
	space   [slots][controlSize]byte
	data    []byte
	packets []kernel.Packet
	control bool // the messages have room for control messages
	used    int  // so many messages may hold what the last recvmmsg has put there
	single  bool // the system has no recvmmsg
}

// prepare sets what a new socket needs to be read. What fails is done without: it costs speed, or a Local.
func (s *packetSock) prepare(wild bool) {
	b := s.b
	if b.in == nil {
		b.in = &inbox{data: make([]byte, slots*slotSize), packets: make([]kernel.Packet, 0, slots)}
		b.out = new(outbox)
	}
	if s.at.Net != kernel.UDP {
		return // without room for control messages the system closes descriptors that come
	}
	fd := int(s.fd)
	if _, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT); err != nil {
		s.noGSO = true // before Linux 4.18 the system skips the control message, and sends all of them as one datagram
	}
	s.wild, s.control = wild, true
	v4 := s.at.IP.Addr().Is4()
	if wild {
		if v4 {
			s.turnOn(unix.IPPROTO_IP, unix.IP_PKTINFO)
		} else {
			s.turnOn(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO)
		}
	}
	if s.adopted {
		return // whoever else has the socket may not be prepared for this
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	// Linux delivers to every socket what is sent to a group that any socket has joined, unless told otherwise.
	if v4 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
}

// sharing are the options of Shared.
func sharing() []int { return []int{unix.SO_REUSEADDR} }

// hearRefusals has the system keep what the network tells of each datagram of a connected socket.
func (s *packetSock) hearRefusals() {
	if s.at.IP.Addr().Is4() {
		s.hears = s.turnOn(unix.IPPROTO_IP, unix.IP_RECVERR)
	} else {
		s.hears = s.turnOn(unix.IPPROTO_IPV6, unix.IPV6_RECVERR)
	}
}

// countLost begins to count what is lost.
func (s *packetSock) countLost() {
	s.before = 0
	s.before = s.Lost()
}

// Lost asks the system.
func (s *packetSock) Lost() uint64 {
	var info [16]uint32
	size := uint32(unsafe.Sizeof(info))
	const drops = 8 // SK_MEMINFO_DROPS
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 && size > drops*4 {
		s.lost += uint64(info[drops] - uint32(s.lost)) // the system counts to 2^32
	}
	return s.lost - s.before
}

// onlyUDP refuses datagram sockets of other protocols, such as ICMP.
func onlyUDP(fd int) error {
	if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err == nil && v != unix.IPPROTO_UDP {
		return &kernel.AdoptError{FD: fd, Reason: "its protocol is not UDP", Kind: kernel.ErrUnsupported}
	}
	return nil
}

// receive takes messages off the socket and returns how many. flags are those of recvmmsg.
func (s *packetSock) receive(flags uintptr) (int, syscall.Errno) {
	in := s.b.in
	in.renew(s.control)
	most := uintptr(slots)
	if s.b.guessed {
		most = 1 // to look for a second takes longer than it is worth
	}
	for {
		if in.single {
			return s.receiveOne(flags)
		}
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&in.msgs)),
			most, flags|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC, 0, 0)
		if errno != 0 && errno != unix.EAGAIN && lacks(unix.SYS_RECVMMSG, errno) {
			in.single, errno = true, unix.EINTR
		}
		if errno != unix.EINTR {
			in.used = slots
			if errno == 0 {
				in.used = min(int(n)+1, slots) // the system may have begun with the next
			}
			return int(n), errno
		}
	}
}

// receiveOne is receive on a system without recvmmsg.
func (s *packetSock) receiveOne(flags uintptr) (int, syscall.Errno) {
	in := s.b.in
	in.used = 1
	m := &in.msgs[0]
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&m.Msghdr)),
			flags|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch errno {
		case 0:
			m.n = uint32(n)
			return 1, 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// renew makes the messages ready for recvmmsg, with room for control messages or without. Only those that the last call has used need it,
// unless that room is now another.
func (in *inbox) renew(control bool) {
	used := in.used
	if in.control != control || in.msgs[0].Iov == nil {
		in.control, used = control, slots
	}
	for i := range used {
		m := &in.msgs[i]
		if m.Iov == nil {
			in.iov[i].Base = &in.data[i*slotSize]
			in.iov[i].SetLen(slotSize)
			m.Iov, m.Name = &in.iov[i], &in.names[i][0]
			m.SetIovlen(1)
		}
		// The system has put the lengths that it used here.
		m.Namelen = nameSize
		if control {
			m.Control = &in.space[i][0]
			m.SetControllen(controlSize)
		} else {
			m.Control = nil
			m.SetControllen(0)
		}
	}
}

// ReadPackets makes one system call, unless there is a refusal to tell. If the socket is armed, the call after one that did not
// fill all slots is ErrAgain without asking the system: what has come since is reported.
func (s *packetSock) ReadPackets() ([]kernel.Packet, error) { return s.read(false) }

// ReadTrains leaves what UDP_GRO has put together as it is.
func (s *packetSock) ReadTrains() ([]kernel.Packet, error) { return s.read(true) }

func (s *packetSock) read(trains bool) ([]kernel.Packet, error) {
	in := s.b.in
	in.packets = in.packets[:0]
	if s.fd >= 0 && s.takeHeld() {
		return in.packets, nil
	}
	drained := s.drained && s.armed()&kernel.Readable != 0
	if s.drained = false; drained {
		return nil, kernel.ErrAgain
	}
	if s.refusals {
		s.refusals = false
		if s.readRefusals() {
			return in.packets, nil
		}
	}
	for range maxPending {
		n, errno := s.receive(0)
		switch {
		case errno == 0:
			for i := range n {
				s.received(i, trains)
			}
			s.drained = n < slots && !in.single
			s.b.read += uint64(len(in.packets))
			if len(in.packets) == 1 {
				s.b.gave = s.fd
			}
			return in.packets, nil
		case errno == unix.EAGAIN:
			// A send may have taken the error, and left what the queue tells.
			// Somebody else may have asked for the queue of a socket without a peer: it is emptied, so that the loop can sleep.
			if s.at.Net == kernel.UDP && !s.b.guessed && s.readRefusals() {
				return in.packets, nil
			}
			return nil, kernel.ErrAgain
		case !pending(errno):
			return nil, s.opError(kernel.OpRead, errno)
		case s.at.Net == kernel.UNIXDatagram:
			// The peer has connected to another one. What it sends still comes.
		case s.readRefusals():
			return in.packets, nil
		case s.to.Net == kernel.UDP:
			in.packets = append(in.packets, kernel.Packet{Peer: s.to, Err: SysError(kernel.OpRead, errno)})
			return in.packets, nil
		}
	}
	return nil, kernel.ErrAgain
}

// received appends the datagrams of message i.
func (s *packetSock) received(i int, trains bool) {
	in := s.b.in
	m := &in.msgs[i]
	n := len(in.packets)
	if n < cap(in.packets) {
		in.packets = in.packets[:n+1]
	} else {
		in.packets = append(in.packets, kernel.Packet{})
	}
	// It is made where it stays: to copy what was just written in smaller pieces makes the processor wait.
	p := &in.packets[n]
	*p = kernel.Packet{}
	p.Data = in.data[i*slotSize:][:m.n:m.n]
	p.Truncated = m.Flags&unix.MSG_TRUNC != 0
	s.readSender(p, in.names[i][:min(m.Namelen, nameSize)])
	if m.Controllen == 0 || !s.control {
		return
	}
	c := parseControl(in.space[i][:min(int(m.Controllen), controlSize)])
	if s.wild && c.local.IsValid() {
		p.Local = s.inZone(c.local, c.index)
	}
	if p.Segment = c.segment; p.Train() && !trains {
		train := *p
		in.packets = train.AppendDatagrams(in.packets[:n])
	}
}

// readRefusals appends what the error queue tells, and returns whether that is anything.
func (s *packetSock) readRefusals() bool {
	in := s.b.in
	n, errno := s.receive(unix.MSG_ERRQUEUE)
	if errno != 0 || s.to.IsZero() {
		return false
	}
	for i := range n {
		m := &in.msgs[i]
		c := parseControl(in.space[i][:min(int(m.Controllen), controlSize)])
		if c.errno == 0 || c.origin != unix.SO_EE_ORIGIN_ICMP && c.origin != unix.SO_EE_ORIGIN_ICMP6 {
			continue // of this host: the send has told it
		}
		size := m.n
		if s.shortest > 0 { // it may be the first of several, which come back as one
			size = min(size, uint32(s.shortest))
		}
		p := kernel.Packet{Data: in.data[i*slotSize:][:size:size], Err: SysError(kernel.OpRead, c.errno)}
		s.readSender(&p, in.names[i][:min(m.Namelen, nameSize)])
		in.packets = append(in.packets, p)
	}
	return len(in.packets) > 0
}

// readSender puts the address in a struct sockaddr into the Peer of p, which is zero. It does not allocate, unless it is the name of
// another UNIX sender than the last.
func (s *packetSock) readSender(p *kernel.Packet, b []byte) {
	if s.at.Net == kernel.UNIXDatagram {
		p.Peer = s.unixSender(b)
		return
	}
	var from shortAddr
	from.decode(b)
	switch from.kind {
	case inet4:
		p.Peer.IP = netip.AddrPortFrom(netip.AddrFrom4([4]byte(from.ip[:4])), from.port)
	case inet6:
		p.Peer.IP = netip.AddrPortFrom(s.inZone(netip.AddrFrom16(from.ip), from.scope), from.port)
	default:
		p.Peer = s.to
		return
	}
	p.Peer.Net = kernel.UDP
}

// unixSender is the name in a struct sockaddr_un, or the zero Addr if it has none.
func (s *packetSock) unixSender(b []byte) kernel.Addr {
	if len(b) <= 2 {
		return kernel.Addr{}
	}
	b = b[2:]
	abstract := b[0] == 0
	if !abstract {
		for i, c := range b {
			if c == 0 {
				b = b[:i]
				break
			}
		}
	}
	if s.lastRaw != string(b) {
		s.lastRaw = string(b)
		s.lastName = kernel.UNIXDatagramAddr(s.lastRaw).Name
		if !abstract && b[0] == '@' {
			s.lastName = "./" + s.lastName // the file, not the abstract name
		}
	}
	return kernel.Addr{Net: kernel.UNIXDatagram, Name: s.lastName}
}

// control is what control messages tell.
type control struct {
	segment int        // UDP_GRO: the length of each datagram but the last; 0: it is one
	local   netip.Addr // IP_PKTINFO: our address
	index   uint32     // its interface, if it is link-local
	errno   syscall.Errno
	origin  uint8 // of errno
}

// parseControl reads control messages. Others than ours are skipped, and so is what is too short.
func parseControl(b []byte) (c control) {
	const header = unix.SizeofCmsghdr
	for len(b) >= header {
		h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(b)))
		size := int(h.Len)
		if size < header || size > len(b) {
			return c
		}
		c.add(h.Level, h.Type, b[header:size])
		b = b[min(unix.CmsgSpace(size-header), len(b)):]
	}
	return c
}

func (c *control) add(level, kind int32, data []byte) {
	switch {
	case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
		c.segment = int(int32(binary.NativeEndian.Uint32(data)))
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		c.local = netip.AddrFrom4([4]byte(data[4:8]))
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		ip := netip.AddrFrom16([16]byte(data))
		if ip.IsMulticast() {
			return // that is no address of ours
		}
		if c.local = ip; ip.IsLinkLocalUnicast() {
			c.index = binary.NativeEndian.Uint32(data[16:])
		}
	case (level == unix.IPPROTO_IP && kind == unix.IP_RECVERR || level == unix.IPPROTO_IPV6 && kind == unix.IPV6_RECVERR) && len(data) >= 16:
		c.errno, c.origin = syscall.Errno(binary.NativeEndian.Uint32(data)), data[4]
	}
}
