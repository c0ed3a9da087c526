//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// setSize is FD_SETSIZE.
const setSize = int(unsafe.Sizeof(unix.FdSet{}) * 8)

// selector is the kernel on select(2).
type selector struct {
	base
	sockList
	// What to ask for, and what the last scan found.
	wantRead, wantWrite unix.FdSet
	readable, writable  unix.FdSet
	top                 int // at least the highest number in the sets
}

func openSelect(o Options) (kernel.Kernel, error) {
	k := new(selector)
	if err := k.base.init("select", k, o); err != nil {
		return nil, err
	}
	k.limit = setSize
	if err := k.canWatch(k.waker.r); err != nil {
		k.Close()
		return nil, err
	}
	k.wantRead.Set(k.waker.r)
	k.top = k.waker.r
	return k, nil
}

// Limits are those of select(2): the size of an fd_set, and that a failure makes a socket
// readable, as input does.
func (k *selector) Limits() kernel.Limits {
	return kernel.Limits{Descriptors: k.limit, NoFailed: true}
}

// canWatch refuses a number that an fd_set has no room for, of a descriptor that somebody
// else opened (FDS-25).
func (k *selector) canWatch(fd int) error {
	if fd < setSize {
		return nil
	}
	return fmt.Errorf("select takes descriptors below %d, and this is %d: %w", setSize, fd, kernel.ErrUnsupported)
}

// Wait is described by kernel.Kernel.
func (k *selector) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	return k.turn(k, ev, until)
}

// scan asks the system once. A closed descriptor makes select fail for all of them. Then
// scan takes the closed ones out, so that they are reported, and asks again for the
// others (FDS-25).
func (k *selector) scan(d time.Duration) (int, error) {
	n, err := k.ask(d)
	if err == unix.EBADF && k.dropClosed() {
		n, err = k.ask(0)
	}
	if err != nil {
		return 0, err
	}
	if n > 0 && k.readable.IsSet(k.waker.r) {
		k.waker.drain()
		n--
	}
	return n, nil
}

func (k *selector) ask(d time.Duration) (int, error) {
	k.readable, k.writable = k.wantRead, k.wantWrite
	return k.sel(k.top+1, d)
}

// dropClosed takes the socks out whose descriptor is closed. From then on they count as
// always ready, so that their next Read or Write finds out. One of ours loses its number
// too, because nobody but us may close that. It tells whether there were any.
func (k *selector) dropClosed() bool {
	found := false
	for i := len(k.socks) - 1; i >= 0; i-- {
		s := k.socks[i]
		if _, err := unix.FcntlInt(uintptr(s.fd), unix.F_GETFD, 0); err == unix.EBADF {
			if s.isForeign() {
				k.putAlways(s)
			} else {
				k.lose(s)
			}
			found = true
		}
	}
	return found
}

// collect fills ev. It begins behind the sock at which the last call ended. n counts
// directions, not socks.
func (k *selector) collect(ev []kernel.Event, n int) int {
	filled, all := 0, len(k.socks)
	i := k.sockList.next
	for range all {
		if filled == len(ev) || n <= 0 {
			break
		}
		if i >= all {
			i = 0
		}
		s := k.socks[i]
		i++
		var r kernel.Ready
		if k.readable.IsSet(int(s.fd)) {
			r = kernel.Readable
			n--
		}
		if k.writable.IsSet(int(s.fd)) {
			r |= kernel.Writable
			n--
		}
		if r &= s.armed(); r != 0 {
			ev[filled] = kernel.Event{Token: s.token, Ready: r}
			filled++
		}
	}
	k.sockList.next = i
	return filled
}

func (k *selector) watch(s *sock, _ uint32, r kernel.Ready) error {
	fd := int(s.fd)
	if err := k.canWatch(fd); err != nil {
		return err
	}
	if k.find(s.fd) < 0 {
		k.add(s)
	}
	k.top = max(k.top, fd)
	k.wantRead.Clear(fd)
	k.wantWrite.Clear(fd)
	if r&kernel.Readable != 0 {
		k.wantRead.Set(fd)
	}
	if r&kernel.Writable != 0 {
		k.wantWrite.Set(fd)
	}
	return nil
}

func (k *selector) unwatch(s *sock, _ bool) {
	k.wantRead.Clear(int(s.fd))
	k.wantWrite.Clear(int(s.fd))
	k.remove(k.find(s.fd))
}

// Close is described by kernel.Kernel.
func (k *selector) Close() error {
	k.base.close()
	return nil
}
