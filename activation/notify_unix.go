//go:build !windows && !plan9 && !js && !wasip1

package activation

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// outlet is the socket that messages leave by. It is not connected, so that a manager that was started again is found.
type outlet struct{ fd int } // one more than the number of the descriptor; 0: none

func (o *outlet) open() error {
	if o.fd > 0 {
		return nil
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd) // nothing was sent by it
		return err
	}
	o.fd = fd + 1
	return nil
}

func (o *outlet) send(path, message string) error {
	for {
		err := unix.Sendto(o.fd-1, []byte(message), unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: path})
		if err != unix.EINTR {
			return err
		}
	}
}

func (o *outlet) close() {
	if o.fd > 0 {
		_ = unix.Close(o.fd - 1) // what was sent is with the manager
	}
	o.fd = 0
}

func isFull(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS)
}
