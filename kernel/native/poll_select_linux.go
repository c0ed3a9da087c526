package native

import (
	"time"

	"golang.org/x/sys/unix"
)

// hangUpMayBeFailure: a reset has POLLERR here, and POLLHUP alone is an orderly end.
const hangUpMayBeFailure = false

// poll takes nanoseconds here.
func (k *poll) poll(d time.Duration) (int, error) {
	if d < 0 {
		return unix.Ppoll(k.fds, nil, nil)
	}
	ts := unix.NsecToTimespec(int64(d))
	return unix.Ppoll(k.fds, &ts, nil)
}

// sel takes nanoseconds here.
func (k *selector) sel(n int, d time.Duration) (int, error) {
	if d < 0 {
		return unix.Pselect(n, &k.readable, &k.writable, nil, nil, nil)
	}
	ts := unix.NsecToTimespec(int64(d))
	return unix.Pselect(n, &k.readable, &k.writable, nil, &ts, nil)
}
