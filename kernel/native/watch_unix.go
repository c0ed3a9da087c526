//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// watched stands for a descriptor that somebody else opened.
type watched struct{ s sock }

// Watch makes no system call that changes fd: neither its flags nor its offset.
func (b *base) Watch(fd int) (kernel.Sock, error) {
	if b.closed {
		return nil, kernel.ErrClosed
	}
	if fd < 0 || fd > 1<<31-1 {
		return nil, &SysError{"watch", badFD}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		return nil, fail("watch", err)
	}
	if c, ok := b.set.(interface{ canWatch(fd int) error }); ok {
		if err := c.canWatch(fd); err != nil {
			return nil, err
		}
	}
	return &watched{sock{b: b, fd: int32(fd)}}, nil
}

// Read is read(2), as the scheduler must know of it: the descriptor may block.
func (w *watched) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(w.s.fd), p)
		switch err {
		case nil:
			return received(n)
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, w.s.fail("read", errnoOf(err))
		}
	}
}

// Write is write(2). A pipe that blocks makes it wait.
func (w *watched) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Write(int(w.s.fd), p[:min(len(p), maxSend)])
		switch err {
		case nil:
			return n, nil
		case unix.EAGAIN:
			return 0, kernel.ErrAgain
		case unix.EINTR:
		default:
			return 0, w.s.fail("write", errnoOf(err))
		}
	}
}

// Close forgets the descriptor, which stays open.
func (w *watched) Close() error {
	w.s.forget(false)
	return nil
}

// Abort is Close.
func (w *watched) Abort() error { return w.Close() }

// Accept is not for foreign descriptors, nor is what follows.
func (w *watched) Accept() (kernel.Sock, error) { return nil, foreign("accept") }

// Connected has nothing to tell.
func (w *watched) Connected() error { return foreign("connect") }

// CloseWrite would close it for its owner.
func (w *watched) CloseWrite() error { return foreign("shutdown") }

// Local is the zero Addr.
func (w *watched) Local() kernel.Addr { return kernel.Addr{} }

// Remote is the zero Addr.
func (w *watched) Remote() kernel.Addr { return kernel.Addr{} }

func foreign(op string) error {
	return fmt.Errorf("%s: %w: a watched descriptor", op, kernel.ErrUnsupported)
}
