package reactor

import (
	"os"
	"syscall"
)

// StopSignals returns the signals on which a program usually stops: SIGINT and SIGTERM. On
// Windows, Ctrl-Break, closing the console and shutting down arrive as one of these too.
func StopSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// Signals returns Config.Signals: those that stop the reactor. The slice must not be changed.
func (r *Reactor) Signals() []os.Signal { return r.cfg.Signals }
