//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Reserve opens a descriptor that can be given up when the process has no other left
// (TCP-22). One that does not fit would make no room.
func (b *base) Reserve() error {
	if b.reserved >= 0 {
		return nil
	}
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil && err != unix.EINTR && !exhausted(err) {
			// There is no null device, as in a bare chroot. A second number of the waker makes room in this process, if not in the system.
			fd, err = unix.FcntlInt(uintptr(b.waker.r), unix.F_DUPFD_CLOEXEC, 0)
		}
		if err == nil {
			b.given(int32(fd), nil)
			if err := b.fits(kernel.OpReserve, fd); err != nil {
				unix.Close(fd)
				return err
			}
			b.reserved = fd
			return nil
		}
		if err != unix.EINTR {
			return opError(kernel.OpReserve, err)
		}
	}
}

// Release closes the descriptor of Reserve. It returns false if there was none.
func (b *base) Release() bool {
	if b.reserved < 0 {
		return false
	}
	unix.Close(b.reserved)
	b.reserved = -1
	return true
}

// exhausted tells whether err is that this process, or the system, has no descriptor left.
func exhausted(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }
