package native

// The numbers of options that not every system has. The times of keepalive are the system's
// alone here. SO_REUSEPORT lets several listeners have a port, but does not share the
// connections out.
const (
	keepIdle     = lacking
	keepInterval = lacking
	keepCount    = lacking
	userTimeout  = lacking
	reusePort    = lacking
)
