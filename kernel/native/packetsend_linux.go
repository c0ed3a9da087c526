package native

import (
	"encoding/binary"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// packetWriter is a socket as the sending of datagrams needs it.
type packetWriter interface {
	// encode writes the address of a receiver, and returns its length.
	encode(a kernel.Addr, b *[nameSize]byte) (int, error)
	// failed says what an error of the system means for the first datagram that was not sent.
	failed(errno syscall.Errno, tries int) (again bool, err error)
	// blocked is called when the system has no room.
	blocked(m *packetBuffers)
}

// WritePackets sends as many as the system takes.
func (s *udpConn) WritePackets(p []kernel.Packet) (int, error) { return s.writePackets(s, p) }

// WritePackets sends as many as the receivers have room for.
func (s *unixgramConn) WritePackets(p []kernel.Packet) (int, error) { return s.writePackets(s, p) }

func (s *packetSock) writePackets(w packetWriter, p []kernel.Packet) (int, error) {
	if s.fd < 0 {
		return 0, s.opError(kernel.OpWrite, badFD)
	}
	m := s.b.packetMemory()
	sent, plain, tries := 0, 0, 0
	for sent < len(p) {
		n, err := s.pack(w, m, p[sent:], plain)
		if n == 0 {
			return sent, err
		}
		took, errno := s.sendMessages(m, n)
		for _, k := range m.count[:took] {
			sent += k
			plain = max(plain-k, 0)
		}
		switch {
		case took > 0:
			tries = 0
		case errno == unix.EAGAIN:
			w.blocked(m)
			return sent, kernel.ErrAgain
		case m.count[0] > 1 && (errno == unix.EMSGSIZE || errno == unix.EINVAL || errno == unix.EIO):
			// The network cannot have these in one piece. One by one the system may divide each of them.
			plain = m.count[0]
			if errno != unix.EMSGSIZE {
				s.sends = neverDivides
			}
		default:
			again, err := w.failed(errno, tries)
			if !again {
				return sent, err
			}
			tries++
		}
	}
	return sent, nil
}

// pack makes messages of datagrams at the beginning of p, and returns how many. Of the first plain datagrams each has a
// message of its own. If there is none, the error is about p[0].
func (s *packetSock) pack(w packetWriter, m *packetBuffers, p []kernel.Packet, plain int) (n int, err error) {
	vectors, size, from := 0, 0, -1 // from: the datagram whose address was encoded last
	for i := 0; i < len(p) && n < sendSlots && vectors < sendVectors && (size < maxSend || n == 0); n++ {
		h := &m.out[n]
		switch {
		case s.connected && p[i].Peer == (kernel.Addr{}):
			h.Name, h.Namelen = nil, 0
		case s.connected:
			err = &kernel.AddrError{Op: kernel.OpWrite, Addr: p[i].Peer, Kind: kernel.ErrInvalidAddr, Reason: "the socket is connected"}
		case from >= 0 && p[from].Peer == p[i].Peer:
			h.Name, h.Namelen = m.out[n-1].Name, m.out[n-1].Namelen
		default:
			var length int
			length, err = w.encode(p[i].Peer, &m.outName[n])
			h.Name, h.Namelen = &m.outName[n][0], uint32(length)
			from = i
		}
		if err != nil {
			return n, err
		}
		k := 1
		if i >= plain && s.sends == divides && (s.heard || !s.sameHost) {
			if k = train(p[i:], sendVectors-vectors); k > 1 && (s.shortest == 0 || s.shortest > len(p[i].Data)) {
				s.shortest = len(p[i].Data)
			}
		}
		used := 0
		for _, d := range p[i : i+k] {
			used += s.vector(m, vectors, used, d.Data)
			size += len(d.Data)
		}
		h.Iov = &m.outVec[vectors]
		h.SetIovlen(used)
		h.Flags, h.n = 0, 0
		s.control(h, &m.outExtra[n], &p[i], k)
		m.count[n] = k
		vectors += max(used, 1)
		i += k
	}
	return n, nil
}

// vector adds data to the vectors from first on, of which used are of this message. It returns how many it took: none, if
// data follows the one before in memory.
func (s *packetSock) vector(m *packetBuffers, first, used int, data []byte) int {
	if used > 0 {
		last := &m.outVec[first+used-1]
		// As numbers: a pointer behind the end of an object is none of it.
		if uintptr(unsafe.Pointer(last.Base))+uintptr(last.Len) == uintptr(unsafe.Pointer(unsafe.SliceData(data))) {
			last.SetLen(int(last.Len) + len(data))
			return 0
		}
	}
	v := &m.outVec[first+used]
	v.Base = unsafe.SliceData(data)
	v.SetLen(len(data))
	return 1
}

// train returns how many datagrams at the beginning of p can be one message: those to one peer that have the size of the
// first, and one shorter one behind them.
func train(p []kernel.Packet, vectors int) int {
	size := len(p[0].Data)
	if size == 0 {
		return 1
	}
	k, total := 1, size
	for k < len(p) && k < trainSegments && k < vectors {
		d := &p[k]
		if n := len(d.Data); n == 0 || n > size || total+n > trainBytes || d.Peer != p[0].Peer || d.Local != p[0].Local {
			break
		}
		total += len(d.Data)
		k++
		if len(d.Data) < size {
			break
		}
	}
	return k
}

// control says how the system divides a message of k datagrams, and from which address it comes.
func (s *packetSock) control(h *message, b *[controlSize]byte, p *kernel.Packet, k int) {
	n := 0
	if k > 1 {
		n += putControl(b[n:], unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(len(p.Data)))
	}
	if p.Local.IsValid() {
		at := n + unix.CmsgLen(0)
		if p.Local.Is4() {
			n += putControl(b[n:], unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
			ip := p.Local.As4()
			copy(b[at+4:], ip[:])
		} else {
			n += putControl(b[n:], unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
			ip := p.Local.As16()
			copy(b[at:], ip[:])
		}
	}
	h.Control = nil
	if n > 0 {
		h.Control = &b[0]
	}
	h.SetControllen(n)
}

// putControl writes the head of a control message of size zero bytes, and returns its length.
func putControl(b []byte, level, kind int32, size int) int {
	n := unix.CmsgSpace(size)
	clear(b[:n])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	return n
}

// sendMessages sends n messages and returns how many the system took.
func (s *packetSock) sendMessages(m *packetBuffers, n int) (int, syscall.Errno) {
	for {
		took, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&m.out)), uintptr(n), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		clear(m.outVec[:]) // nothing of the datagrams is kept
		runtime.KeepAlive(m)
		if errno != 0 {
			return 0, errno
		}
		return int(took), 0
	}
}

func (s *udpConn) encode(a kernel.Addr, b *[nameSize]byte) (int, error) {
	if err := kernel.CheckPacketPeer(kernel.OpWrite, s.Local(), a); err != nil {
		return 0, err
	}
	p, err := shortIP(kernel.OpWrite, a, a.IP.Addr(), int(s.fd))
	if err != nil {
		return 0, err
	}
	return p.encode(b), nil
}

// encode writes a struct sockaddr_in or sockaddr_in6, and returns its length.
func (p *shortAddr) encode(b *[nameSize]byte) int {
	clear(b[:unix.SizeofSockaddrInet6])
	binary.BigEndian.PutUint16(b[2:], p.port)
	if p.kind == inet4 {
		binary.NativeEndian.PutUint16(b[:], unix.AF_INET)
		copy(b[4:8], p.ip[:4])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(b[:], unix.AF_INET6)
	copy(b[8:24], p.ip[:])
	binary.NativeEndian.PutUint32(b[24:], p.scope)
	return unix.SizeofSockaddrInet6
}

func (s *unixgramConn) encode(a kernel.Addr, b *[nameSize]byte) (int, error) {
	if err := kernel.CheckPacketPeer(kernel.OpWrite, s.Local(), a); err != nil {
		return 0, err
	}
	name, err := systemName(kernel.OpWrite, a)
	if err != nil {
		return 0, err
	}
	clear(b[:])
	binary.NativeEndian.PutUint16(b[:], unix.AF_UNIX)
	n := 2 + copy(b[2:], name)
	if name[0] == '@' {
		b[2] = 0
		return n, nil
	}
	return n + 1, nil
}

// failed: a failure may be about an earlier datagram, which ReadPackets tells. The system forgets it by
// telling it, so this one is sent by the next try.
func (s *udpConn) failed(errno syscall.Errno, tries int) (again bool, err error) {
	most := 3
	if errno == unix.EMSGSIZE || errno == unix.EACCES {
		most = 1 // it is more likely about this one
	}
	if (s.connected || s.keeps) && undelivered(errno) && tries < most {
		s.pending = errno
		return true, nil
	}
	return false, s.opError(kernel.OpWrite, errno)
}

// failed: a peer that has gone refuses the first datagram; then the socket is not connected any more, for the system. A
// reset is about the peer that has connected to another one, and not about this datagram.
func (s *unixgramConn) failed(errno syscall.Errno, tries int) (again bool, err error) {
	switch {
	case errno == unix.ECONNRESET && tries < 3:
		return true, nil
	case errno == unix.ENOTCONN && s.connected:
		errno = unix.ECONNREFUSED
	}
	return false, s.opError(kernel.OpWrite, errno)
}
