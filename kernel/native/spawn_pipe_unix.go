//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// pipeConn is our end of a pipe to a child. It is watched by its level: a short read of a pipe does
// not say on every system that nothing more is there. It is a sock and nothing else: a pipe has no addresses, so its state is where the port
// of the remote one would be.
type pipeConn struct{ sock }

// The state of a pipeConn.
const (
	pipeWrites uint16 = 1 << iota // we write it
	pipeFull                      // the last write has found too little room
	pipeEnded                     // CloseWrite was called
	pipeUsed                      // it was armed, so that Failed may have been reported
)

func (c *pipeConn) has(state uint16) bool { return c.remote.port&state != 0 }

func (c *pipeConn) set(state uint16, on bool) {
	c.remote.port &^= state
	if on {
		c.remote.port |= state
	}
}

// newPipe makes a pipe. ours does not block; theirs is for the child and does. Both are close-on-exec.
func (b *base) newPipe(weWrite bool) (ours *pipeConn, theirs int, err error) {
	var p [2]int
	if err := openPipe(&p); err != nil {
		return nil, -1, opError("pipe", err)
	}
	own, theirs := p[0], p[1]
	if weWrite {
		own, theirs = p[1], p[0]
	}
	for _, fd := range p {
		b.given(int32(fd), nil)
	}
	if err = b.fits("pipe", own); err == nil {
		// A new pipe has no other flags to be kept.
		if _, err = unix.FcntlInt(uintptr(own), unix.F_SETFL, unix.O_NONBLOCK); err != nil {
			err = opError("fcntl", err)
		}
	}
	if err != nil {
		unix.Close(own)
		unix.Close(theirs)
		return nil, -1, err
	}
	ours = &pipeConn{sock{b: b, fd: int32(own)}}
	ours.set(pipeWrites, weWrite)
	b.own(&ours.sock)
	return ours, theirs, nil
}

// Read reads what the child has written. Of a pipe that we write it returns the end when the child has closed its
// own. While output waits for room, the next write finds that, with its error (PROC-36).
func (c *pipeConn) Read(p []byte) (int, error) {
	if c.has(pipeWrites) {
		switch {
		case c.fd < 0:
			return 0, c.opError(kernel.OpRead, badFD)
		case c.has(pipeFull) || !c.broken():
			return 0, kernel.ErrAgain
		}
		return received(0)
	}
	for {
		n, errno := readPipe(c.fd, p)
		switch errno {
		case 0:
			return received(n)
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, c.opError(kernel.OpRead, errno)
		}
	}
}

// Write writes at most maxSend bytes of p. The runtime turns the SIGPIPE of a descriptor above 2 into EPIPE; kernels have no
// lower ones unless the program was started without them, and then the child's side took them first.
func (c *pipeConn) Write(p []byte) (int, error) {
	if !c.has(pipeWrites) || c.has(pipeEnded) {
		return 0, c.opError(kernel.OpWrite, unix.EPIPE)
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(len(p), maxSend)]
	n, errno := writePipe(c.fd, p)
	for errno == unix.EINTR {
		n, errno = writePipe(c.fd, p)
	}
	return c.wrote(n, len(p), errno)
}

// wrote is the result of a write of so many bytes.
func (c *pipeConn) wrote(n, offered int, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		c.set(pipeFull, n < offered)
		return n, nil
	case unix.EAGAIN:
		c.set(pipeFull, true)
		return 0, kernel.ErrAgain
	}
	return 0, c.opError(kernel.OpWrite, errno)
}

// CloseWrite has later writes fail. A pipe has one direction, whose end is its Close.
func (c *pipeConn) CloseWrite() error {
	c.set(pipeEnded, true)
	return nil
}

// Abort is Close.
func (c *pipeConn) Abort() error { return c.Close() }

// Connected tells of a pipe that we write whether the child has closed its end, once that may have been reported. Before, the
// pipe counts as connected, however short the child's life was.
func (c *pipeConn) Connected() error {
	switch {
	case c.fd < 0:
		return c.opError(kernel.OpWait, badFD)
	case c.has(pipeWrites) && c.has(pipeUsed) && c.broken():
		return SysError(kernel.OpWait, unix.EPIPE)
	}
	return nil
}

// broken tells whether nobody has the other end.
func (c *pipeConn) broken() bool {
	fds := [1]unix.PollFd{{Fd: c.fd}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
}

// Local is the zero Addr.
func (c *pipeConn) Local() kernel.Addr { return kernel.Addr{} }

// Remote is the zero Addr.
func (c *pipeConn) Remote() kernel.Addr { return kernel.Addr{} }

var (
	_ kernel.Conn    = (*pipeConn)(nil)
	_ kernel.Vectors = (*pipeConn)(nil)
)

// closeFiles closes descriptors that are no socks.
func closeFiles(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// noFile stands in ProcAttr.Files for a descriptor that the child does not have.
const noFile = ^uintptr(0)

// isOpen returns nil if fd is open.
func isOpen(fd int) error {
	if !isNumber(fd) {
		return SysError("descriptor", badFD)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return opError("descriptor", err)
	}
	return nil
}
