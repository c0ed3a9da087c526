package native

import "golang.org/x/sys/unix"

// The numbers of options that not every system has.
const (
	keepIdle     = unix.TCP_KEEPIDLE
	keepInterval = unix.TCP_KEEPINTVL
	keepCount    = unix.TCP_KEEPCNT
	userTimeout  = lacking
	// reusePort shares connections out among the listeners of a port. SO_REUSEPORT lets
	// them have the port here, and gives one of them all connections.
	reusePort = unix.SO_REUSEPORT_LB
)
