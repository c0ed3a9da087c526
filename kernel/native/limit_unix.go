//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fits returns nil if the kernel can watch the descriptor fd, which it got for op. Otherwise
// it returns an error that is ErrTooManyFiles: for this kernel there are no more (FDS-25).
func (b *base) fits(op string, fd int) error {
	if b.limit == 0 || fd < b.limit {
		return nil
	}
	return fmt.Errorf("%s takes descriptors below %d, and this is %d: %w", b.name, b.limit, fd, SysError(op, unix.EMFILE))
}

// room returns nil if the next descriptor that the system gives out fits. A kernel with a
// limit asks before it accepts. A client for which there is no room stays in the queue, as
// the system has it when the process may open no more, and can be accepted when there is.
func (b *base) room(op string) error {
	if b.limit == 0 {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(b.waker.r), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return opError(op, err)
	}
	unix.Close(fd)
	return b.fits(op, fd)
}
