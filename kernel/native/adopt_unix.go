//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

var (
	_ kernel.Adopter = (*base)(nil)
	_ kernel.Adopted = (*sharedConn)(nil)
	_ kernel.Adopted = (*sharedUNIX)(nil)
)

// AdoptListener makes a listener of a duplicate of fd.
func (b *base) AdoptListener(fd int, o *kernel.ListenOptions) (kernel.Listener, error) {
	if o == nil {
		o = new(kernel.ListenOptions)
	}
	if err := kernel.CheckAdopt(o); err != nil {
		return nil, err
	}
	name, err := socketName(fd, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || v == 0 {
		return nil, &kernel.AdoptError{FD: fd, Reason: "it does not listen", Kind: kernel.ErrNotListening}
	}
	if err := kernel.CheckAdopted(kernel.OpListen, netOf(name), &o.StreamOptions); err != nil {
		return nil, err
	}
	s, err := b.duplicate(fd)
	if err != nil {
		return nil, err
	}
	if at, ok := name.(*unix.SockaddrUnix); ok {
		l := &unixListener{listener: listener{s}, name: nameOf(at), passes: o.Descriptors}
		if o.Descriptors {
			takeDescriptors(int(l.fd))
		}
		return setUp[kernel.Listener](b, &l.sock, l, l.sock.Close, func() error { return l.socketOptions(kernel.OpListen, &o.StreamOptions) })
	}
	l := &listener{s}
	l.remote.kind = noAddr
	return setUp[kernel.Listener](b, &l.sock, l, l.sock.Close, func() error { return l.options(kernel.OpListen, &o.StreamOptions) })
}

// AdoptConn makes a conn of a duplicate of fd.
func (b *base) AdoptConn(fd int, o *kernel.StreamOptions) (kernel.Conn, error) {
	if o == nil {
		o = new(kernel.StreamOptions)
	}
	if err := kernel.CheckOptions(kernel.OpConnect, o); err != nil {
		return nil, err
	}
	name, err := socketName(fd, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return nil, &kernel.AdoptError{FD: fd, Reason: "it is not connected", Kind: kernel.ErrNotConnected}
	}
	if err := kernel.CheckAdopted(kernel.OpConnect, netOf(name), o); err != nil {
		return nil, err
	}
	s, err := b.duplicate(fd)
	if err != nil {
		return nil, err
	}
	if at, ok := name.(*unix.SockaddrUnix); ok {
		h, c := newSharedUNIX(s, o.Descriptors)
		c.from = nameOf(at)
		if sa, ok := peer.(*unix.SockaddrUnix); ok {
			c.to = nameOf(sa)
		}
		if o.Descriptors {
			takeDescriptors(int(c.fd))
		}
		return setUp(b, &c.sock, h, h.(kernel.Adopted).GiveBack, func() error { return c.socketOptions(kernel.OpConnect, o) })
	}
	c := &sharedConn{conn{streamSock{s}}}
	c.remote.set(shortAddrFrom(peer))
	c.mark(stream)
	return setUp[kernel.Conn](b, &c.sock, c, c.GiveBack, func() error { return c.options(kernel.OpConnect, o) })
}

// sharedConn is an adopted conn of TCP. Somebody else may have the socket too. Then a close is only
// that of a number, and the connection must be ended before (ADOPT-13).
type sharedConn struct{ conn }

// sharedUNIX is that of a UNIX socket.
type sharedUNIX struct{ unixConn }

// Close ends the connection, after what was written.
func (s *sharedConn) Close() error {
	endBoth(s.fd)
	return s.conn.Close()
}

// Abort resets the connection.
func (s *sharedConn) Abort() error {
	if s.fd >= 0 && !disconnect(int(s.fd)) {
		endBoth(s.fd)
	}
	return s.conn.Abort()
}

// GiveBack closes the duplicate alone.
func (s *sharedConn) GiveBack() error { return s.conn.Close() }

// GiveBack closes the duplicate alone.
func (s *sharedUNIX) GiveBack() error { return s.unixConn.Close() }

// Close ends the connection, after what was written.
func (s *sharedUNIX) Close() error {
	endBoth(s.fd)
	return s.unixConn.Close()
}

// Abort is Close.
func (s *sharedUNIX) Abort() error { return s.Close() }

// endBoth ends both directions. A connection that has ended already refuses that.
func endBoth(fd int32) {
	if fd >= 0 {
		_ = unix.Shutdown(int(fd), unix.SHUT_RDWR)
	}
}

// socketName returns the local address of fd, or why it is no socket of that kind, SOCK_STREAM or SOCK_DGRAM, of a
// family that this kernel has. It changes nothing.
func socketName(fd, want int) (unix.Sockaddr, error) {
	wanted := "stream"
	if want == unix.SOCK_DGRAM {
		wanted = "datagram socket"
	}
	refused := func(kind error, reason string) (unix.Sockaddr, error) {
		return nil, &kernel.AdoptError{FD: fd, Reason: reason, Kind: kind}
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case !isNumber(fd), err == unix.EBADF:
		return refused(kernel.ErrBadDescriptor, "it is not open")
	case err == unix.ENOTSOCK:
		return refused(kernel.ErrUnsupported, "it is no socket")
	case err != nil:
		return refused(opError("getsockopt", err), err.Error())
	case kind == want:
	case kind == unix.SOCK_DGRAM:
		return refused(kernel.ErrUnsupported, "it is a datagram socket, and not a "+wanted)
	case kind == unix.SOCK_STREAM:
		return refused(kernel.ErrUnsupported, "it is a stream, and not a "+wanted)
	default:
		return refused(kernel.ErrUnsupported, fmt.Sprintf("it is a socket of type %d, and not a %s", kind, wanted))
	}
	name, err := unix.Getsockname(fd)
	switch name.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6, *unix.SockaddrUnix:
		return name, nil
	}
	if err != nil && err != unix.EAFNOSUPPORT {
		return refused(opError("getsockname", err), err.Error())
	}
	return refused(kernel.ErrUnsupported, "its family is neither IPv4 nor IPv6 nor UNIX"+familyName(fd))
}

// netOf is the network of a socket with that name.
func netOf(name unix.Sockaddr) kernel.Net {
	if _, ok := name.(*unix.SockaddrUnix); ok {
		return kernel.UNIX
	}
	return kernel.TCP
}

// duplicate returns a sock on a duplicate of fd, close-on-exec and non-blocking.
func (b *base) duplicate(fd int) (sock, error) {
	if b.closed {
		return sock{}, kernel.ErrClosed
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return sock{}, opError(kernel.OpSocket, err)
	}
	b.given(int32(own), nil)
	if err = b.fits(kernel.OpSocket, own); err == nil {
		if err = unix.SetNonblock(own, true); err != nil {
			err = opError("fcntl", err)
		}
	}
	if err != nil {
		unix.Close(own)
		return sock{}, err
	}
	b.exposed.Store(true)
	dup := sock{b: b, fd: int32(own)}
	dup.setState(shared)
	return dup, nil
}

// nameOf is the name of a UNIX socket; "" if it has none.
func nameOf(sa *unix.SockaddrUnix) string {
	if sa.Name == "@" { // which stands for no name
		return ""
	}
	return sa.Name
}
