package native

import "golang.org/x/sys/unix"

// The numbers of options that not every system has.
const (
	keepIdle     = unix.TCP_KEEPIDLE
	keepInterval = unix.TCP_KEEPINTVL
	keepCount    = unix.TCP_KEEPCNT
	userTimeout  = unix.TCP_USER_TIMEOUT
	// reusePort shares connections out among the listeners of a port.
	reusePort = unix.SO_REUSEPORT
)
