package native

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// familyName is the number of a socket's family, for an error.
func familyName(fd int) string {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", but %d", v)
}

// disconnect resets the connection of fd, whoever else has the socket, and tells whether it could.
func disconnect(fd int) bool {
	var none unix.RawSockaddr // of no family
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&none)), unsafe.Sizeof(none))
	return errno == 0
}
