//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"time"

	"golang.org/x/sys/unix"
)

// hangUpMayBeFailure: poll has POLLHUP for a reset, and for the end of both directions. So
// Failed is reported, once, and Connected tells which it was.
const hangUpMayBeFailure = true

// poll takes milliseconds here. They are rounded up, so that it does not return early.
func (k *poll) poll(d time.Duration) (int, error) {
	if d < 0 {
		return unix.Poll(k.fds, -1)
	}
	return unix.Poll(k.fds, int(min((d+time.Millisecond-1)/time.Millisecond, 1<<30)))
}

// maxSelect is the longest timeout that select accepts on all these systems.
const maxSelect = 24 * time.Hour

// sel takes microseconds here. They are rounded up, so that it does not return early.
func (k *selector) sel(n int, d time.Duration) (int, error) {
	if d < 0 {
		return unix.Select(n, &k.readable, &k.writable, nil, nil)
	}
	d = min(d, maxSelect)
	tv := unix.NsecToTimeval(int64(d + time.Microsecond - 1))
	return unix.Select(n, &k.readable, &k.writable, nil, &tv)
}
