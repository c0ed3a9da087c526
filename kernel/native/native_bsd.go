//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"time"

	"golang.org/x/sys/unix"
)

// hasBoottime: these systems have no clock of that name. CLOCK_MONOTONIC counts suspends on some
// of them, and not on others.
const hasBoottime = false

func bootTime() (time.Duration, error) { return 0, SysError("clock_gettime", unix.ENOSYS) }

func candidates() []candidate {
	return []candidate{{"poll", openPoll}, {"select", openSelect}}
}
