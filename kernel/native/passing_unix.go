//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// passingConn is a unixConn by which descriptors are passed. It is a type of its own, so that another
// unixConn is no larger and reads by recvfrom: recvmsg takes 11 % longer.
type passingConn struct {
	unixConn
	received []int // by the last Read, and not taken
	dropped  int
	skipped  int
}

// sharedPassing is one that was adopted; see sharedUNIX.
type sharedPassing struct{ passingConn }

var (
	_ kernel.Conn    = (*passingConn)(nil)
	_ kernel.Passing = (*passingConn)(nil)
	_ kernel.Adopted = (*sharedPassing)(nil)
)

// controlSpace is the memory for the control messages of one recvmsg: those for MaxDescriptors descriptors have
// 1032 bytes, and others that somebody may have asked for by Control, such as credentials, have room too.
const controlSpace = 2048

// Read receives, with the descriptors that come along.
func (s *passingConn) Read(p []byte) (int, error) {
	s.closeReceived()
	if s.b.control == nil {
		s.b.control = make([]byte, controlSpace)
	}
	for {
		n, control, flags, errno := s.b.recvmsg(int(s.fd), p, s.b.control)
		switch errno {
		case 0:
			s.b.gave = s.fd
			s.b.read += uint64(n)
			var others int
			s.received, others = rights(s.b.control[:control], s.received)
			s.skipped += others
			if flags&unix.MSG_CTRUNC != 0 {
				s.dropped++
			}
			for _, fd := range s.received {
				s.b.given(int32(fd), nil)
			}
			return received(n)
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, s.opError(kernel.OpRead, errno)
		}
	}
}

// rights appends the descriptors of control messages, which are b, to fds. others is how many messages
// are of another kind. What the system has cut off at the end is left out. Package unix panics if
// it has cut a number, and returns nothing of messages behind which one is cut.
func rights(b []byte, fds []int) (all []int, others int) {
	for len(b) >= unix.SizeofCmsghdr {
		var h unix.Cmsghdr
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&h)), unix.SizeofCmsghdr), b)
		begin, end := unix.CmsgLen(0), int(h.Len)
		if end < begin || end > len(b) {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_RIGHTS {
			for data := b[begin:end]; len(data) >= 4; data = data[4:] {
				var fd int32
				copy(unsafe.Slice((*byte)(unsafe.Pointer(&fd)), 4), data)
				fds = append(fds, int(fd))
			}
		} else {
			others++
		}
		b = b[min(unix.CmsgSpace(end-begin), len(b)):]
	}
	return fds, others
}

// TakeDescriptors gives those of the last Read away.
func (s *passingConn) TakeDescriptors() []int {
	fds := s.received
	s.received = s.received[len(fds):]
	if len(fds) == 0 {
		return nil
	}
	return fds
}

// closeReceived closes what nobody has taken.
func (s *passingConn) closeReceived() {
	for _, fd := range s.received {
		unix.Close(fd)
	}
	s.received = nil
}

// Dropped counts messages that the system has cut.
func (s *passingConn) Dropped() int {
	n := s.dropped
	s.dropped = 0
	return n
}

// Skipped counts messages of other kinds.
func (s *passingConn) Skipped() int {
	n := s.skipped
	s.skipped = 0
	return n
}

// WriteDescriptors sends at most maxSend bytes of p.
func (s *passingConn) WriteDescriptors(p []byte, fds []int) (int, error) {
	for _, fd := range fds {
		if !isNumber(fd) {
			return 0, SysError(kernel.OpWrite, badFD)
		}
	}
	control := unix.UnixRights(fds...)
	for {
		n, err := unix.SendmsgN(int(s.fd), p[:min(len(p), maxSend)], control, nil, sendFlags)
		switch err {
		case nil:
			return n, nil
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, kernel.ErrAgain
		case unix.EPERM:
			return 0, fmt.Errorf("%w: the peer takes no descriptors", SysError(kernel.OpWrite, unix.EPERM))
		case unix.EINTR:
		default:
			if err == unix.EBADF && s.fd >= 0 { // which may be about one of fds: s itself is open
				return 0, SysError(kernel.OpWrite, badFD)
			}
			return 0, s.opError(kernel.OpWrite, errnoOf(err))
		}
	}
}

// Close closes what nobody has taken, too.
func (s *passingConn) Close() error {
	s.closeReceived()
	return s.unixConn.Close()
}

// Abort is Close.
func (s *passingConn) Abort() error { return s.Close() }

// Close ends the connection, after what was written.
func (s *sharedPassing) Close() error {
	endBoth(s.fd)
	return s.passingConn.Close()
}

// Abort is Close.
func (s *sharedPassing) Abort() error { return s.Close() }

// GiveBack closes the duplicate alone.
func (s *sharedPassing) GiveBack() error { return s.passingConn.Close() }

// newUNIXConn makes a conn of s, by which descriptors are passed if passes says so. It returns the conn and
// its common part.
func newUNIXConn(s sock, passes bool) (kernel.Conn, *unixConn) {
	if passes {
		c := &passingConn{unixConn: unixConn{streamSock: streamSock{s}}}
		return c, &c.unixConn
	}
	c := &unixConn{streamSock: streamSock{s}}
	return c, c
}

// newSharedUNIX is newUNIXConn for a socket that somebody else has too.
func newSharedUNIX(s sock, passes bool) (kernel.Conn, *unixConn) {
	if passes {
		c := &sharedPassing{passingConn{unixConn: unixConn{streamSock: streamSock{s}}}}
		return c, &c.unixConn
	}
	c := &sharedUNIX{unixConn{streamSock: streamSock{s}}}
	return c, &c.unixConn
}

// numbered is a handle of this package that has one number.
type numbered interface{ self() *sock }

func (s *sock) self() *sock { return s }

var _ kernel.Descriptors = (*base)(nil)

// Duplicate duplicates fd.
func (b *base) Duplicate(fd int) (int, error) {
	if !isNumber(fd) {
		return -1, opError("dup", badFD)
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, opError("dup", err)
	}
	b.given(int32(own), nil)
	return own, nil
}

// CloseDescriptor closes fd. After EINTR it is closed all the same.
func (b *base) CloseDescriptor(fd int) error {
	if !isNumber(fd) {
		return opError("close", badFD)
	}
	if err := unix.Close(fd); err != nil && err != unix.EINTR {
		return opError("close", err)
	}
	return nil
}

// DescriptorOf duplicates the number of h, which it finds through wrappers.
func (b *base) DescriptorOf(h any) (int, error) {
	var n numbered
	switch x := h.(type) {
	case kernel.Conn:
		n, _ = kernel.ConnAs[numbered](x)
	case kernel.Listener:
		n, _ = kernel.ListenerAs[numbered](x)
	case kernel.PacketConn:
		n, _ = kernel.PacketAs[numbered](x)
	}
	switch {
	case n == nil || n.self().b != b:
		return -1, errOtherKernel
	case n.self().fd == closedFD:
		return -1, kernel.ErrClosed
	}
	b.exposed.Store(true)
	if c, ok := n.(*unixConn); ok && c.is(stream) {
		c.clear(stream) // see markStream
		if c.armed() != 0 && !c.is(alwaysReady) {
			if err := b.set.watch(&c.sock, c.token, c.armed()); err != nil {
				return -1, err
			}
		}
	}
	return b.Duplicate(int(n.self().fd))
}
