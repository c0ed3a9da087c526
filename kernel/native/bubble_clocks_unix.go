//go:build darwin || dragonfly || freebsd || linux || openbsd

package native

import "golang.org/x/sys/unix"

// Clocks of clock_gettime.
const (
	clockRealtime  = unix.CLOCK_REALTIME
	clockMonotonic = unix.CLOCK_MONOTONIC
)
