//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// poll is the kernel on poll(2).
type poll struct {
	base
	sockList
	fds []unix.PollFd // the waker's, then one for each of sockList.socks
}

// unwatchedFD is a number that poll skips.
const unwatchedFD = -1

func openPoll(o Options) (kernel.Kernel, error) {
	k := new(poll)
	if err := k.base.init("poll", k, o); err != nil {
		return nil, err
	}
	k.fds = []unix.PollFd{{Fd: int32(k.waker.r), Events: unix.POLLIN}}
	return k, nil
}

// Wait is described by kernel.Kernel.
func (k *poll) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	return k.turn(k, ev, until)
}

// scan asks the system once and waits at most d. A negative d means no limit.
func (k *poll) scan(d time.Duration) (int, error) {
	n, err := k.poll(d)
	if err != nil {
		return 0, err
	}
	if n > 0 && k.fds[0].Revents != 0 {
		k.waker.drain()
		n--
	}
	return n, nil
}

// collect fills ev from the n descriptors that scan found ready. It begins behind the
// descriptor at which the last call ended.
func (k *poll) collect(ev []kernel.Event, n int) int {
	filled, all := 0, len(k.socks)
	i := k.sockList.next
	for range all {
		if filled == len(ev) || n == 0 {
			break
		}
		if i >= all {
			i = 0
		}
		got := k.fds[i+1].Revents
		if got != 0 {
			n--
			s := k.socks[i]
			if r := readyOf(got) & s.armed(); r != 0 {
				ev[filled] = kernel.Event{Token: s.token, Ready: r}
				filled++
			}
			if s.armed() == kernel.Failed && got&(unix.POLLERR|unix.POLLNVAL) == 0 {
				// Both directions have ended. poll would say so for ever.
				k.fds[i+1].Fd = unwatchedFD
			}
		}
		i++
	}
	k.sockList.next = i
	return filled
}

func readyOf(got int16) (r kernel.Ready) {
	if got&unix.POLLIN != 0 {
		r = kernel.Readable
	}
	if got&unix.POLLOUT != 0 {
		r |= kernel.Writable
	}
	// POLLNVAL: the descriptor was closed behind our back (FDS-27).
	if got&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		r = both
		if hangUpMayBeFailure || got&(unix.POLLERR|unix.POLLNVAL) != 0 {
			r |= kernel.Failed
		}
	}
	return r
}

func (k *poll) watch(s *sock, _ uint32, r kernel.Ready) error {
	i := k.find(s.fd)
	if i < 0 {
		i = len(k.socks)
		k.add(s)
		k.fds = append(k.fds, unix.PollFd{Fd: s.fd})
	}
	var e int16
	if r&kernel.Readable != 0 {
		e = unix.POLLIN
	}
	if r&kernel.Writable != 0 {
		e |= unix.POLLOUT
	}
	k.fds[i+1].Fd, k.fds[i+1].Events = s.fd, e
	return nil
}

func (k *poll) unwatch(s *sock, _ bool) {
	i := k.find(s.fd)
	last := k.remove(i)
	k.fds[i+1] = k.fds[last+1]
	k.fds = k.fds[:last+1]
}

// Close is described by kernel.Kernel.
func (k *poll) Close() error {
	k.base.close()
	return nil
}
