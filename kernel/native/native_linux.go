package native

import (
	"time"

	"golang.org/x/sys/unix"
)

const hasBoottime = true

// bootTime reads CLOCK_BOOTTIME.
func bootTime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, opError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

func candidates() []candidate {
	return []candidate{{"epoll", openEpoll}, {"poll", openPoll}, {"select", openSelect}}
}
