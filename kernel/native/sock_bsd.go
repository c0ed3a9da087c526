//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// maxBacklog is SOMAXCONN. Not all of these systems understand a larger value.
const maxBacklog = unix.SOMAXCONN

// scratch is memory for what is received.
type scratch struct {
	in *inbox // nil before the first datagram socket
}

// pinning is nothing here: threads are not bound to CPUs.
type pinning struct{}

// openSocket opens a non-blocking socket. It is close-on-exec before anybody can fork
//
func openSocket(family, kind int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(family, kind, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// choosePortLater does nothing: bind takes a port here.
func choosePortLater(int) {}

// closeAtOnce closes a stream.
func closeAtOnce(fd int) error { return unix.Close(fd) }

// Read receives.
func (s *streamSock) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(s.fd), p)
		switch err {
		case nil:
			return received(n)
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, s.opError(kernel.OpRead, errnoOf(err))
		}
	}
}

// Write sends at most maxSend bytes of p. The runtime ignores SIGPIPE.
func (s *streamSock) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Write(int(s.fd), p[:min(len(p), maxSend)])
		switch err {
		case nil:
			return n, nil
		case unix.EAGAIN, unix.ENOBUFS:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, s.opError(kernel.OpWrite, errnoOf(err))
		}
	}
}

// Writev writes one of bufs after the other, until the socket is full or maxSend bytes are
// sent: package unix does not have writev on all of these systems.
func (s *streamSock) Writev(bufs [][]byte) (int, error) {
	total := 0
	for _, p := range bufs {
		n, err := s.Write(p)
		total += n
		switch {
		case err != nil && total == 0:
			return 0, err
		case err != nil, n < len(p), total >= maxSend:
			return total, nil // the next write finds the error
		}
	}
	return total, nil
}

// accept takes a connection, and makes it close-on-exec before anybody can fork, and non-blocking.
// A failure of that is about this connection alone.
func accept(fd int) (int, unix.Sockaddr, error) {
	syscall.ForkLock.RLock()
	c, sa, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(c)
	}
	syscall.ForkLock.RUnlock()
	if err == nil && unix.SetNonblock(c, true) != nil {
		unix.Close(c)
		return -1, nil, unix.ECONNABORTED
	}
	return c, sa, err
}

// Accept sets the options that some of these systems do not copy from the listener.
func (s *listener) Accept() (kernel.Conn, error) {
	if err := s.b.room(kernel.OpAccept); err != nil {
		return nil, err
	}
	for {
		fd, sa, err := accept(int(s.fd))
		switch err {
		case nil:
			c := &conn{streamSock{sock{b: s.b, fd: int32(fd)}}}
			s.b.own(&c.sock)
			if err := s.b.fits(kernel.OpAccept, fd); err != nil {
				c.Abort() // somebody else has taken the room
				return nil, err
			}
			c.remote.set(shortAddrFrom(sa))
			if err := c.inherit(s); err != nil {
				c.Close()
				return nil, err
			}
			return c, nil
		case unix.EAGAIN:
			return nil, kernel.ErrAgain
		case unix.EINTR:
		default:
			return nil, s.opError(kernel.OpAccept, errnoOf(err))
		}
	}
}

// inherit gives s the options of its listener. If the peer has
// ended the connection already, that may fail: then the connection is lost, and the
// listener is fine.
func (s *conn) inherit(from *listener) error {
	lost := SysError(kernel.OpAccept, unix.ECONNABORTED)
	if v, err := from.option("Nagle", unix.IPPROTO_TCP, unix.TCP_NODELAY); err == nil && v != 0 && s.SetNoDelay(true) != nil {
		return lost
	}
	if v, err := from.option("KeepAlive", unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || v == 0 {
		return nil
	}
	if p, err := (&conn{streamSock{from.sock}}).Probes(); err == nil && s.SetProbes(p) == nil {
		return nil
	}
	if s.setOption(kernel.OpOption, "KeepAlive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) != nil {
		return lost
	}
	return nil
}
