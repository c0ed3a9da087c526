//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package process

import (
	"errors"
	"io"
	"syscall"

	"github.com/whorl-go/whorl/internal/terminal"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"golang.org/x/sys/unix"
)

// standardConn is a pair of descriptors that others have too. The kernel watches the descriptors themselves. Reading and writing
// goes by ways that do not block and change nothing of what is shared; see access.
type standardConn struct {
	kernel.Conn // of Watch
	r           *reactor.Reactor
	in, out     descriptor
	closeAtEnd  bool
	console     *console // nil: there is no terminal
	closed      bool
	outClosed   bool
}

func newStandardConn(r *reactor.Reactor, in, out int, c *StdioConfig) (*standardConn, error) {
	w, ok := kernel.As[kernel.Watcher](r.Kernel())
	if !ok {
		return nil, kernel.ErrUnsupported
	}
	watched, err := w.Watch(in, out)
	if err != nil {
		return nil, err
	}
	x := &standardConn{Conn: watched, r: r, closeAtEnd: c.CloseAtEnd, in: openDescriptor(in, unix.O_RDONLY), out: openDescriptor(out, unix.O_WRONLY)}
	switch {
	case terminal.Is(in):
		x.console = &console{fd: in}
	case c.Raw:
		err = ErrNoTerminal
	case terminal.Is(out):
		x.console = &console{fd: out}
	}
	if err == nil && x.console != nil {
		err = x.console.start(r, c)
	}
	if err != nil {
		x.release()
		return nil, err
	}
	return x, nil
}

// release forgets the descriptors, and leaves them as they were.
func (x *standardConn) release() {
	x.restore()
	if x.console != nil {
		x.console.stop()
	}
	_ = x.Conn.Close()
	x.in.close()
	x.out.close()
}

// restore restores the terminal. It may be called on any goroutine.
func (x *standardConn) restore() {
	if x.console != nil {
		x.console.restore(true)
	}
}

func (x *standardConn) size() (Size, error) {
	if x.console == nil {
		return Size{}, ErrNoTerminal
	}
	return x.console.size()
}

// Unwrap is the conn of Watch.
func (x *standardConn) Unwrap() kernel.Conn { return x.Conn }

// gone fails if a number belongs to somebody else now.
func (x *standardConn) gone(op string) error {
	if w, ok := kernel.ConnAs[kernel.Watched](x.Conn); ok && w.Gone() {
		return native.SysError(op, syscall.EBADF)
	}
	return nil
}

// Read reads what there is.
func (x *standardConn) Read(p []byte) (int, error) {
	if err := x.gone(kernel.OpRead); err != nil {
		return 0, err
	}
	for {
		n, err := x.in.read(p)
		switch {
		case err == nil && n > 0:
			return n, nil
		case err == nil, err == unix.EIO && x.in.master:
			return 0, io.EOF
		case err == unix.EAGAIN:
			return 0, kernel.ErrAgain
		case err != unix.EINTR:
			return 0, sysError(kernel.OpRead, err)
		}
	}
}

// Write writes what there is room for.
func (x *standardConn) Write(p []byte) (int, error) {
	if x.outClosed {
		return 0, native.SysError(kernel.OpWrite, syscall.EPIPE)
	}
	if err := x.gone(kernel.OpWrite); err != nil || len(p) == 0 {
		return 0, err
	}
	for {
		n, err := x.out.write(p)
		switch {
		case n > 0 || err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, kernel.ErrAgain
		case err != unix.EINTR:
			return 0, sysError(kernel.OpWrite, err)
		}
	}
}

// WriteFailed asks whether somebody can still read the output.
func (x *standardConn) WriteFailed() error {
	if err := x.gone(kernel.OpWrite); err != nil {
		return err
	}
	if ready(x.out.fd, 0)&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		return native.SysError(kernel.OpWrite, syscall.EPIPE)
	}
	return nil
}

// CloseWrite shows the reader of the output the end, if there may be one. The stream still has the descriptor armed, so a pipe
// is closed a turn later.
func (x *standardConn) CloseWrite() error {
	if x.outClosed {
		return nil
	}
	x.outClosed = true
	x.out.close()
	switch x.out.kind {
	case unix.S_IFSOCK:
		if refersTo(x.out.fd, x.out.file) {
			_ = unix.Shutdown(x.out.fd, unix.SHUT_WR) // it fails if the peer has gone
		}
	case unix.S_IFIFO:
		x.r.Post(func() {
			if !x.closed {
				x.replaceOut()
			}
		})
	}
	return nil
}

// Close gives both descriptors back.
func (x *standardConn) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	x.release()
	if x.closeAtEnd {
		x.in.replace()
		x.out.replace()
	} else if x.outClosed && x.out.kind == unix.S_IFIFO {
		x.replaceOut()
	}
	return nil
}

// replaceOut closes the output, unless its number is the input too.
func (x *standardConn) replaceOut() {
	if x.in.fd != x.out.fd {
		x.out.replace()
	}
}

// Abort is Close.
func (x *standardConn) Abort() error { return x.Close() }

// Connected is nil: both have been opened by others.
func (x *standardConn) Connected() error { return nil }

// sysError is the error of a system call of package unix.
func sysError(op string, err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return native.SysError(op, errno)
	}
	return err
}

// ready is poll(2) of one descriptor, which does not wait.
func ready(fd int, events int16) int16 {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	if n, err := unix.Poll(fds[:], 0); n <= 0 || err != nil {
		return 0
	}
	return fds[0].Revents
}

var _ kernel.Halves = (*standardConn)(nil)
