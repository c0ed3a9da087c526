//go:build unix

package process

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// SignalByName returns the signal of a name, "TERM", "SIGTERM" or "term", or of a number, "15" (PROC-40). Another text is a [*kernel.OptionError] that is
// kernel.ErrInvalidOption. It may be called from any goroutine.
func SignalByName(name string) (os.Signal, error) {
	bad := &kernel.OptionError{Op: "signal", Option: "name", Value: name, Err: kernel.ErrInvalidOption}
	if n, err := strconv.Atoi(name); err == nil {
		if n <= 0 || unix.SignalName(syscall.Signal(n)) == "" {
			return nil, bad
		}
		return syscall.Signal(n), nil
	}
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	if n := unix.SignalNum(full); n != 0 {
		return n, nil
	}
	return nil, bad
}
