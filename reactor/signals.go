package reactor

import (
	"os"
	"syscall"
)

// StopSignals are the signals that a program usually stops on: SIGINT and
// SIGTERM. On Windows these are also what Ctrl-Break (SIGBREAK), closing the
// console and shutting down arrive as.
func StopSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }
