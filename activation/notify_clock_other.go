//go:build !linux

package activation

import "time"

// monotonic is 0: the manager that wants the time is one of Linux.
func monotonic() time.Duration { return 0 }
