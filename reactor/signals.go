package reactor

import (
	"os"
	"syscall"
)

// StopSignals returns the signals on which a program usually stops: SIGINT and SIGTERM. On
// Windows, Ctrl-Break, closing the console and shutting down arrive as one of these too.
func StopSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }
