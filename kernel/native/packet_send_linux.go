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
	// maxMessages is how many messages one sendmmsg sends.
	maxMessages = 64
	// maxPieces is how many datagrams one sendmmsg sends.
	maxPieces = 512
	// maxSegments and maxTrain bound the datagrams that leave as one message, by UDP_SEGMENT.
	maxSegments = 64
	maxTrain    = 65000
)

// outbox is where datagrams are put together for sendmmsg. It keeps nothing of them.
type outbox struct {
	refusal refusalBuffer
	msgs    [maxMessages]message
	iov     [maxPieces]unix.Iovec
	names   [maxMessages][nameSize]byte
	space   [maxMessages][64]byte
	count   [maxMessages]int // datagrams in the message
	used    int              // messages
	pieces  int              // of iov
	bytes   int
	single  bool // the system has no sendmmsg
}

// WritePackets sends datagrams that follow one another, to the same peer and of the same size, as one message. The
// system cuts it up again (UDP_SEGMENT).
func (s *packetSock) WritePackets(p []kernel.Packet) (int, error) {
	if s.fd < 0 {
		return 0, s.opError(kernel.OpWrite, badFD)
	}
	out := s.b.out
	done, tries := 0, 0
	plain := 0 // up to which datagram none are put together
	suspect := false
	for done < len(p) {
		err := out.pack(s, p[done:], plain-done)
		if out.used == 0 {
			return done, err
		}
		n, errno := out.send(s.fd)
		clear(out.iov[:out.pieces])
		first := p[done]
		switch {
		case errno == 0:
			for i := range n {
				done += out.count[i]
			}
			if suspect {
				suspect, s.noGSO = false, true
			}
			tries = 0
		case errno == unix.EINTR:
		case errno == unix.EAGAIN: // not ENOBUFS, of which nothing tells when it is over
			s.hold()
			return done, kernel.ErrAgain
		case first.Train() && (errno == unix.EMSGSIZE || errno == unix.EINVAL || errno == unix.EIO):
			return done, kernel.ErrTrain
		case out.count[0] > 1 && (errno == unix.EMSGSIZE || errno == unix.EINVAL || errno == unix.EIO):
			plain = done + out.count[0]
			if suspect = errno != unix.EMSGSIZE; !suspect {
				s.longest = len(first.Data) - 1
			}
		case !out.single && lacks(unix.SYS_SENDMMSG, errno):
			out.single = true
		case s.earlier(errno, tries):
			tries++
		default:
			return done, s.sendError(kernel.OpWrite, errno, first.Local)
		}
	}
	return done, nil
}

// send sends the messages, and returns how many were sent.
func (o *outbox) send(fd int32) (int, syscall.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if o.single {
		_, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.msgs[0].Msghdr)), flags)
		return 1, errno
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&o.msgs)), uintptr(o.used), flags, 0, 0)
	return int(n), errno
}

// earlier tells whether errno may be about a datagram before this one, which was tried again so often. If so, ReadPackets
// will tell it.
func (s *packetSock) earlier(errno syscall.Errno, tries int) bool {
	if s.at.Net == kernel.UNIXDatagram {
		return errno == unix.ECONNRESET && tries == 0 // the peer has connected to another one
	}
	if !worthTrying(errno, tries) {
		return false
	}
	s.refusals = !s.to.IsZero()
	return true
}

// pack fills o with messages from the beginning of p. The first alone of them get a message each. The error is about
// the datagram behind those that were packed.
func (o *outbox) pack(s *packetSock, p []kernel.Packet, alone int) error {
	o.used, o.pieces, o.bytes = 0, 0, 0
	for i := 0; i < len(p) && o.used < maxMessages && o.pieces < maxPieces && o.bytes < maxSend; {
		if err := s.encode(&p[i]); err != nil {
			return err
		}
		n := 1
		switch {
		case p[i].Train():
			if !s.takesTrain(&p[i]) {
				return kernel.ErrTrain
			}
		case i >= alone:
			n = min(s.together(p[i:]), maxPieces-o.pieces)
		}
		if err := o.add(s, p[i:i+n]); err != nil {
			return err
		}
		i += n
		if o.single {
			break
		}
	}
	return nil
}

// together returns how many datagrams at the beginning of p can be one message. All have the size of the first, and
// the last may be shorter.
func (s *packetSock) together(p []kernel.Packet) int {
	size := len(p[0].Data)
	if s.noGSO || s.at.Net != kernel.UDP || size == 0 || s.longest > 0 && size > s.longest {
		return 1
	}
	n, total := 1, size
	for n < len(p) && n < maxSegments {
		q := &p[n]
		if q.Peer.IP.Port() != p[0].Peer.IP.Port() { // nearly always so if it is another peer, and found sooner
			break
		}
		if q.Train() || len(q.Data) > size || len(q.Data) == 0 || total+len(q.Data) > maxTrain || q.Peer != p[0].Peer || q.Local != p[0].Local {
			break
		}
		n++
		total += len(q.Data)
		if len(q.Data) < size {
			break
		}
	}
	return n
}

// takesTrain tells whether p, a train, can be one message.
func (s *packetSock) takesTrain(p *kernel.Packet) bool {
	return !s.noGSO && s.at.Net == kernel.UDP && (s.longest == 0 || p.Segment <= s.longest) && p.Datagrams() <= maxSegments && len(p.Data) <= maxTrain
}

// add appends p as one message to the peer that encode has put in s.
func (o *outbox) add(s *packetSock, p []kernel.Packet) error {
	m, space := &o.msgs[o.used], o.space[o.used][:]
	size, segment := 0, 0
	switch {
	case p[0].Train():
		segment = p[0].Segment
	case len(p) > 1:
		segment = len(p[0].Data)
	}
	if segment > 0 {
		if !s.to.IsZero() && (s.shortest == 0 || segment < s.shortest) {
			s.shortest = segment
		}
		size = putControl(space, unix.SOL_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(space[unix.SizeofCmsghdr:], uint16(segment))
	}
	if from := p[0].Local; from.IsValid() {
		n, err := s.putSource(space[size:], from)
		if err != nil {
			return err
		}
		size += n
	}
	m.Control = nil
	if size > 0 {
		m.Control = &space[0]
	}
	m.SetControllen(size)
	m.Name, m.Namelen = nil, 0
	if s.to.IsZero() {
		name := &o.names[o.used]
		copy(name[:], s.raw[:s.rawSize])
		m.Name, m.Namelen = &name[0], s.rawSize
	}
	begin := o.pieces
	for i := range p {
		o.piece(begin, p[i].Data)
	}
	m.Iov = &o.iov[begin]
	m.SetIovlen(o.pieces - begin)
	o.count[o.used] = len(p)
	o.used++
	return nil
}

// piece appends data to the message whose pieces begin there. If it stands in memory right behind the piece before, the
// two are one.
func (o *outbox) piece(begin int, data []byte) {
	o.bytes += len(data)
	base := unsafe.SliceData(data)
	if o.pieces > begin && len(data) > 0 {
		last := &o.iov[o.pieces-1]
		if last.Len > 0 && uintptr(unsafe.Pointer(last.Base))+uintptr(last.Len) == uintptr(unsafe.Pointer(base)) {
			last.SetLen(int(last.Len) + len(data))
			return
		}
	}
	o.iov[o.pieces].Base = base
	o.iov[o.pieces].SetLen(len(data))
	o.pieces++
}

// putControl begins a control message of n bytes in b, and returns the room that it takes.
func putControl(b []byte, level, kind int32, n int) int {
	size := unix.CmsgSpace(n)
	clear(b[:size])
	h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(b)))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(n))
	return size
}

// putSource puts the address from which a datagram is to come into b.
func (s *packetSock) putSource(b []byte, from netip.Addr) (int, error) {
	if s.at.Net != kernel.UDP || from.Is4() != s.at.IP.Addr().Is4() {
		return 0, &kernel.AddrError{Op: kernel.OpWrite, Addr: kernel.UDPAddr(from, 0), Kind: kernel.ErrInvalidAddr,
			Reason: "its network is not that of the socket"}
	}
	data := b[unix.SizeofCmsghdr:]
	if from.Is4() {
		n := putControl(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		ip := from.As4()
		copy(data[4:], ip[:])
		return n, nil
	}
	n := putControl(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	p, err := s.shortPeer(kernel.OpWrite, kernel.UDPAddr(from, 0))
	if err != nil {
		return 0, err
	}
	copy(data, p.ip[:])
	binary.NativeEndian.PutUint32(data[16:], p.scope)
	return n, nil
}

// encode puts the peer of p into s.raw. It costs little if it is the same as before.
func (s *packetSock) encode(p *kernel.Packet) error {
	if !s.to.IsZero() {
		if p.Peer.IsZero() {
			return nil
		}
		return &kernel.AddrError{Op: kernel.OpWrite, Addr: p.Peer, Kind: kernel.ErrInvalidAddr,
			Reason: "the socket is connected to " + s.to.String()}
	}
	if kernel.PlainPeer(&s.at, &p.Peer) { // encoded sooner than compared
		s.rawSize = encodePlain(&s.raw, p.Peer.IP)
		return nil
	}
	if !s.peer.IsZero() && p.Peer == s.peer && s.rawSize > 0 {
		return nil
	}
	if err := kernel.CheckPacketPeer(kernel.OpWrite, s.at, p.Peer); err != nil {
		return err
	}
	s.rawSize = 0
	if s.at.Net == kernel.UNIXDatagram {
		name, err := systemName(kernel.OpWrite, p.Peer)
		if err != nil {
			return err
		}
		s.rawSize = encodeUNIX(&s.raw, name)
	} else {
		q, err := s.shortPeer(kernel.OpWrite, p.Peer)
		if err != nil {
			return err
		}
		s.rawSize = q.encode(&s.raw)
	}
	s.peer = p.Peer
	return nil
}

// encodePlain writes a struct sockaddr_in.
func encodePlain(b *[nameSize]byte, a netip.AddrPort) uint32 {
	ip := a.Addr().As4()
	clear(b[:unix.SizeofSockaddrInet4])
	binary.NativeEndian.PutUint16(b[:], unix.AF_INET)
	binary.BigEndian.PutUint16(b[2:], a.Port())
	copy(b[4:], ip[:])
	return unix.SizeofSockaddrInet4
}

// encode is the reverse of decode.
func (p *shortAddr) encode(b *[nameSize]byte) uint32 {
	if p.kind == inet4 {
		return encodePlain(b, netip.AddrPortFrom(netip.AddrFrom4([4]byte(p.ip[:4])), p.port))
	}
	clear(b[:unix.SizeofSockaddrInet6])
	binary.BigEndian.PutUint16(b[2:], p.port)
	binary.NativeEndian.PutUint16(b[:], unix.AF_INET6)
	copy(b[8:], p.ip[:])
	binary.NativeEndian.PutUint32(b[24:], p.scope)
	return unix.SizeofSockaddrInet6
}

// encodeUNIX writes a struct sockaddr_un. The name fits. An abstract one has its '@' as a zero byte, and no end.
func encodeUNIX(b *[nameSize]byte, name string) uint32 {
	clear(b[:])
	binary.NativeEndian.PutUint16(b[:], unix.AF_UNIX)
	n := copy(b[2:], name)
	if name[0] == '@' {
		b[2] = 0
		return uint32(2 + n)
	}
	return uint32(2 + n + 1)
}
