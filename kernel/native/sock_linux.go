package native

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// maxBacklog is more than the system allows. The system reduces it to its limit.
const maxBacklog = 1<<31 - 1

// scratch is memory for the arguments of system calls, so that none of them allocates.
type scratch struct {
	iov  [maxVectors]unix.Iovec
	msg  unix.Msghdr
	peer [unix.SizeofSockaddrInet6 + 4]byte
	size uint32
	in   *inbox  // nil before the first datagram socket
	out  *outbox // nil with in
}

func openSocket(family, kind int) (int, error) {
	return unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// accept takes a connection, non-blocking and close-on-exec.
func accept(fd int) (int, unix.Sockaddr, error) {
	return unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}

// choosePortLater makes bind leave the choice of a port to connect, which knows the
// destination: two connections to different ones may have the same port. Bind alone would take
// a port for all destinations together, and there are only some 28,000. A system that lacks the
// option does so.
func choosePortLater(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// Read, Write, Writev and Accept make their system calls without telling the
// scheduler: the sockets do not block.

// Read receives. A read that got less than it asked for has emptied the socket.
func (s *streamSock) Read(p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		switch errno {
		case 0:
			s.b.gave = s.fd
			s.b.read += uint64(n)
			if int(n) < len(p) {
				s.shortRead(int(n))
			}
			return received(int(n))
		case unix.EAGAIN:
			s.emptied()
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, s.opError(kernel.OpRead, errno)
		}
	}
}

// ReadAside receives beside the goroutine of the kernel. It changes nothing of s.
func (c *conn) ReadAside(p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		switch errno {
		case 0:
			return received(int(n))
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, SysError(kernel.OpRead, errno)
		}
	}
}

// Write sends at most maxSend bytes of p.
func (s *streamSock) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	size := min(len(p), maxSend)
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(size), unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			if int(n) < size {
				s.unlearn(kernel.Writable)
			}
			return int(n), nil
		case unix.EAGAIN, unix.ENOBUFS:
			s.unlearn(kernel.Writable)
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, s.opError(kernel.OpWrite, errno)
		}
	}
}

// Writev sends at most maxSend bytes of at most maxVectors of bufs.
func (s *streamSock) Writev(bufs [][]byte) (int, error) {
	b := s.b
	used, room := 0, maxSend
	for _, p := range bufs {
		if len(p) == 0 {
			continue
		}
		if used == maxVectors || room == 0 {
			break
		}
		size := min(len(p), room)
		b.iov[used].Base = unsafe.SliceData(p)
		b.iov[used].SetLen(size)
		used++
		room -= size
	}
	if used == 0 {
		return 0, nil
	}
	b.msg.Iov = &b.iov[0]
	b.msg.SetIovlen(used)
	n, errno := uintptr(0), unix.EINTR
	for errno == unix.EINTR {
		n, _, errno = syscall.RawSyscall6(unix.SYS_SENDMSG, uintptr(s.fd),
			uintptr(unsafe.Pointer(&b.msg)), unix.MSG_NOSIGNAL, 0, 0, 0)
	}
	clear(b.iov[:used]) // nothing of bufs is kept
	switch errno {
	case 0:
		if int(n) < maxSend-room {
			s.unlearn(kernel.Writable)
		}
		return int(n), nil
	case unix.EAGAIN, unix.ENOBUFS:
		s.unlearn(kernel.Writable)
		return 0, kernel.ErrAgain
	}
	return 0, s.opError(kernel.OpWrite, errno)
}

// closeAtOnce closes a stream without telling the scheduler. It must not have SO_LINGER with a time, for then close waits.
func closeAtOnce(fd int) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Accept takes a connection and its peer's address in one system call.
func (s *listener) Accept() (kernel.Conn, error) {
	b := s.b
	if err := b.room(kernel.OpAccept); err != nil {
		return nil, err
	}
	for {
		b.size = uint32(len(b.peer))
		fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(s.fd),
			uintptr(unsafe.Pointer(&b.peer)), uintptr(unsafe.Pointer(&b.size)),
			unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return s.accepted(int32(fd))
		case unix.EAGAIN:
			return nil, kernel.ErrAgain
		case unix.EINTR:
		default:
			return nil, s.opError(kernel.OpAccept, errno)
		}
	}
}

// accepted returns the conn of fd, whose peer's address is in the scratch memory.
func (s *listener) accepted(fd int32) (kernel.Conn, error) {
	b := s.b
	c := &conn{streamSock{sock{b: b, fd: fd}}}
	b.own(&c.sock)
	if err := b.fits(kernel.OpAccept, int(fd)); err != nil {
		c.Abort() // somebody else has taken the room
		return nil, err
	}
	c.remote.decode(b.peer[:b.size])
	c.mark(stream)
	if s.askedLocal() && s.local.ip != ([16]byte{}) && s.local.more == 0 {
		c.local = s.local // the listener's address, unless that is unspecified or unknown
	}
	return c, nil
}

// decode reads a struct sockaddr_in or sockaddr_in6.
func (p *shortAddr) decode(b []byte) {
	if len(b) < unix.SizeofSockaddrInet4 {
		return
	}
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		p.kind = inet4
		copy(p.ip[:4], b[4:])
	case unix.AF_INET6:
		if len(b) < unix.SizeofSockaddrInet6 {
			return
		}
		p.kind = inet6
		copy(p.ip[:], b[8:])
		p.scope = binary.NativeEndian.Uint32(b[24:])
	default:
		return
	}
	p.port = binary.BigEndian.Uint16(b[2:])
}
