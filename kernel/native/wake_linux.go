package native

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// open makes an eventfd. It is one descriptor with a counter; a write of eight bytes adds
// to it.
func (w *waker) open() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return opError("eventfd", err)
	}
	w.r, w.w = fd, fd
	binary.NativeEndian.PutUint64(w.one[:], 1)
	return nil
}
