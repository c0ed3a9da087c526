//go:build !windows && !plan9 && !js && !wasip1

package std

import "syscall"

// domainOf is the domain of a socket: INET, INET6, UNIX or "another".
func domainOf(fd int) string {
	name, _ := syscall.Getsockname(fd)
	switch name.(type) {
	case *syscall.SockaddrInet4:
		return "INET"
	case *syscall.SockaddrInet6:
		return "INET6"
	case *syscall.SockaddrUnix:
		return "UNIX"
	}
	return "another"
}
