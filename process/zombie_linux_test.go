package process_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// noChildren waits until this process has no child, alive or not, and fails if that takes longer than five seconds. It takes nobody's
// status.
func noChildren(t *testing.T) {
	t.Helper()
	for range 5000 {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err == unix.ECHILD {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("this process has children, alive or zombies")
}
