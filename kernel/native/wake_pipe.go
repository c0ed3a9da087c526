//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// open makes a pipe. Both ends are non-blocking and close-on-exec (WAKE-2).
func (w *waker) open() error {
	var p [2]int
	syscall.ForkLock.RLock()
	err := unix.Pipe(p[:])
	if err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return opError("pipe", err)
	}
	for _, fd := range p {
		if err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	if err != nil {
		unix.Close(p[0])
		unix.Close(p[1])
		return opError("pipe", err)
	}
	w.r, w.w = p[0], p[1]
	return nil
}
