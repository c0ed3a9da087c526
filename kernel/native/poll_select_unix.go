//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"runtime"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// scanner is a kernel that asks the system about all its descriptors at once.
type scanner interface {
	// scan asks once and waits at most d. A negative d means no limit. It returns how
	// many answers collect will find.
	scan(d time.Duration) (int, error)
	// collect fills ev from n answers of scan and returns how many events it filled.
	collect(ev []kernel.Event, n int) int
}

// turn is Wait for poll and select.
func (b *base) turn(k scanner, ev []kernel.Event, until time.Duration) (int, error) {
	if b.closed {
		return 0, kernel.ErrClosed
	}
	if len(ev) == 0 {
		return 0, SysError(kernel.OpWait, unix.EINVAL)
	}
	for {
		d := b.remaining(until)
		if b.boot != nil {
			d = min(d, b.longest) // the system's timeout stands still in a suspend
		}
		if d != 0 {
			// Let runnable goroutines run first: the runtime retakes a P from a blocked
			// system call only after 20 us or more.
			runtime.Gosched()
		}
		if len(b.always) > 0 || d != 0 && !b.waker.sleep() {
			d = 0
		}
		found, err := k.scan(d)
		woken := b.waker.endWait()
		if err != nil && err != unix.EINTR {
			return 0, opError(b.name, err)
		}
		n := b.addAlways(ev) // scan may have found some
		if found > 0 {
			n += k.collect(ev[n:], found)
		}
		if b.pairs > 0 {
			n = b.joinPairs(ev[:n])
		}
		if n > 0 || woken || b.remaining(until) == 0 {
			return n, nil
		}
	}
}

// remaining is the time left until until: 0 if it has passed, negative if there is no
// limit.
func (b *base) remaining(until time.Duration) time.Duration {
	switch {
	case until == kernel.Forever:
		return -1
	case until <= b.last:
		return 0
	}
	return max(0, until-b.Now())
}
