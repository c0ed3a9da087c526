package native

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// The system keeps each datagram of a connected socket that could not be delivered (IP_RECVERR), in a queue of its own. As long as
// there is one, every set reports the socket. Without the queue it would tell one failure for many datagrams, and not of which.

// maxHeld is how many reports a socket keeps that a send has taken from the system.
const maxHeld = 64

// reports is the part of a UDP socket that is about datagrams that could not be delivered.
type reports struct {
	keeps bool            // the system keeps them
	held  []kernel.Packet // taken from the system already, for ReadPackets
	// On one host nothing divides a run before its receiver. If nobody is there, the system makes one report of all of it.
	// So a socket sends runs to a peer on its own host only while the peer is known to be there.
	sameHost bool
	heard    bool // the peer has sent something since the last report
	shortest int  // of the datagrams in runs, since there was no report; 0: there was no run
}

// failedBuffer is the memory in which a report is received. ReadPackets may have lent the other memory.
type failedBuffer struct {
	head  unix.Msghdr
	vec   unix.Iovec
	data  [2048]byte // no host returns so much
	name  [nameSize]byte
	extra [controlSize]byte
}

// undelivered tells whether errno may be about a datagram that was sent earlier.
func undelivered(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN, unix.ENONET, unix.ENOPROTOOPT, unix.EPROTO, unix.EOPNOTSUPP,
		unix.EACCES, unix.EMSGSIZE:
		return true
	}
	return false
}

// hearErrors has the system keep what could not be delivered. On a socket that is not connected that
// would fail the sending of another datagram.
func (s *udpConn) hearErrors() {
	v4 := unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	v6 := unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	s.keeps = v4 == nil || v6 == nil
	from, to := s.Local().IP.Addr().Unmap(), s.Remote().IP.Addr().Unmap()
	s.sameHost, s.heard = from.IsLoopback() || to.IsLoopback() || from == to, false
}

// readErrors appends reports to m.packets, as many as there are slots. If the socket is not connected, it only takes them.
func (s *udpConn) readErrors(m *packetBuffers) {
	if len(s.held) > 0 {
		m.packets = append(m.packets, s.held...)
		clear(s.held)
		s.held = s.held[:0]
		s.heldGone()
		return
	}
	for range packetSlots {
		p, errno := s.takeError(m)
		if errno != 0 {
			return
		}
		if p.Err != nil && s.connected {
			m.packets = append(m.packets, p)
		}
	}
}

// takeError takes one report from the system. Its Err is nil if the network has not made it: this host says, for instance, that
// a datagram was too long, which the write has told.
func (s *udpConn) takeError(m *packetBuffers) (p kernel.Packet, errno syscall.Errno) {
	f := &m.failed
	f.vec.Base = &f.data[0]
	f.vec.SetLen(len(f.data))
	f.head = unix.Msghdr{Name: &f.name[0], Namelen: nameSize, Iov: &f.vec, Control: &f.extra[0]}
	f.head.SetIovlen(1)
	f.head.SetControllen(controlSize)
	var n uintptr
	for {
		n, _, errno = syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&f.head)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errno != unix.EINTR {
			break
		}
	}
	if errno != 0 {
		s.shortest = 0
		return p, errno
	}
	failed := errorOf(f.extra[:f.head.Controllen])
	if failed == 0 {
		return p, 0
	}
	s.heard = false
	size := int(n)
	if s.sameHost && s.shortest > 0 {
		size = min(size, s.shortest) // of a run, the first
	}
	p = kernel.Packet{Data: append([]byte(nil), f.data[:size]...), Peer: s.Remote(), Err: SysError(kernel.OpRead, failed)}
	if f.head.Namelen > 0 {
		p.Peer = s.peer(f.name[:f.head.Namelen])
	}
	return p, 0
}

// errorOf is the error in the control messages of a datagram that was not delivered, 0 if the network has
// not told it.
func errorOf(b []byte) syscall.Errno {
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		if uint64(h.Len) < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(b)) {
			break
		}
		data := b[unix.CmsgLen(0):h.Len]
		about := h.Level == unix.IPPROTO_IP && h.Type == unix.IP_RECVERR || h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_RECVERR
		if about && len(data) >= 5 && data[4] != unix.SO_EE_ORIGIN_LOCAL {
			return syscall.Errno(binary.NativeEndian.Uint32(data))
		}
		next := min(unix.CmsgSpace(len(data)), len(b))
		b = b[next:]
	}
	return 0
}

// blocked is called when a send would have to wait. It takes the reports from the system: the loop may wait for room alone, and every
// wait would end at once. What is more than maxHeld is dropped.
func (s *udpConn) blocked(m *packetBuffers) {
	if !s.keeps {
		return
	}
	for range packetSlots {
		p, errno := s.takeError(m)
		if errno != 0 {
			break
		}
		if p.Err != nil && s.connected && len(s.held) < maxHeld {
			s.held = append(s.held, p)
		}
	}
	s.showHeld()
}

// blocked: a UNIX socket has no reports.
func (s *unixgramConn) blocked(*packetBuffers) {}

// showHeld makes the socket count as always ready while there are reports that it waits for. The system does not know of them.
func (s *udpConn) showHeld() {
	if len(s.held) > 0 && s.armed()&kernel.Readable != 0 && !s.is(alwaysReady) && s.fd >= 0 {
		s.b.set.unwatch(&s.sock, false)
		s.b.always = append(s.b.always, &s.sock)
		s.mark(alwaysReady)
	}
}

// heldGone is the reverse of showHeld.
func (s *udpConn) heldGone() {
	if s.is(alwaysReady) && s.armed() != 0 && s.fd >= 0 {
		token, r := s.token, s.armed()
		s.b.disarm(&s.sock, false)
		if s.b.arm(&s.sock, token, r) != nil { // out of memory: it stays as it is
			s.token = token
			s.setArmed(r)
			s.b.always = append(s.b.always, &s.sock)
			s.mark(alwaysReady)
		}
	}
}
