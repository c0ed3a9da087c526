//go:build dragonfly || netbsd

package native

import "golang.org/x/sys/unix"

// The numbers of options that not every system has. SO_REUSEPORT lets several listeners have
// a port here, but does not share the connections out.
const (
	keepIdle     = unix.TCP_KEEPIDLE
	keepInterval = unix.TCP_KEEPINTVL
	keepCount    = unix.TCP_KEEPCNT
	userTimeout  = lacking
	reusePort    = lacking
)
