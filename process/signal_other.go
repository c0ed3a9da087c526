//go:build !unix

package process

import (
	"os"
	"strings"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
)

// SignalByName returns the signal of a name: "TERM", "INT" or "KILL", also with "SIG" before it, in upper or lower case (PROC-40).
// Another text is a [*kernel.OptionError] that is kernel.ErrInvalidOption. It may be called from any goroutine.
func SignalByName(name string) (os.Signal, error) {
	switch strings.TrimPrefix(strings.ToUpper(name), "SIG") {
	case "TERM":
		return syscall.SIGTERM, nil
	case "INT":
		return syscall.SIGINT, nil
	case "KILL":
		return syscall.SIGKILL, nil
	}
	return nil, &kernel.OptionError{Op: "signal", Option: "name", Value: name, Err: kernel.ErrInvalidOption}
}
