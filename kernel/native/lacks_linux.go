package native

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lacks tells whether the system has no such call at all, which has failed with err: an old kernel answers ENOSYS, and the filter
// of a container EPERM to what it does not know. EPERM may also be about what was asked, so the call is tried without a descriptor:
// the system itself says EBADF.
func lacks(call uintptr, err error) bool {
	switch err {
	case unix.ENOSYS:
		return true
	case unix.EPERM, unix.EACCES:
		_, _, errno := syscall.RawSyscall6(call, ^uintptr(0), 0, 0, 0, 0, 0)
		return errno != unix.EBADF
	}
	return false
}
