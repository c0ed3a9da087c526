//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"time"

	"golang.org/x/sys/unix"
)

// inBubble tells whether now, of Go's clock, is the time of a bubble of testing/synctest. That begins in the year 2000, and stands still while a goroutine of the bubble
// is in a system call. A loop that waits for its next timer would look at a clock that never comes there, and spin. A step of the system's clock between the two
// readings is taken for a bubble too, which costs a slower clock.
func inBubble(now time.Time) bool {
	var ts unix.Timespec
	if unix.ClockGettime(clockRealtime, &ts) != nil {
		return false
	}
	return now.Sub(time.Unix(ts.Unix())).Abs() > time.Minute
}

// sinceNow returns a clock that the system itself is asked for. It begins at 1 ns. Outside of a bubble it costs several times as much as Go's.
func sinceNow() func() time.Duration {
	read := func() time.Duration {
		var ts unix.Timespec
		_ = unix.ClockGettime(clockMonotonic, &ts) // it cannot fail: each system has this clock
		return time.Duration(ts.Nano())
	}
	origin := read()
	return func() time.Duration { return read() - origin + 1 }
}
