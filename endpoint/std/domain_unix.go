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

// socketKind tells whether fd is a socket of connections or of datagrams.
func socketKind(fd int) kindOfSocket {
	switch kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); {
	case err == nil && kind == syscall.SOCK_STREAM:
		return kindStream
	case err == nil && kind == syscall.SOCK_DGRAM:
		return kindGrams
	}
	return kindOther
}
