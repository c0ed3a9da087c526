package native

import (
	"syscall"
	"time"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// epoll is the kernel for Linux. An event carries a token and a descriptor number. It
// counts only if the owner of that number is armed under that token.
type epoll struct {
	base
	ep    int
	timer timer
	wait  waiter
	stale int     // consecutive turns with events for unknown sockets
	edges []*sock // reported, and perhaps still ready
	evs   [512]unix.EpollEvent
}

// Values of EpollEvent.Pad for events that belong to no socket.
const (
	ofWake  int32 = -1
	ofTimer int32 = -2
)

// staleTurns is how many turns with events for unknown sockets are tolerated before the
// epoll set is rebuilt.
const staleTurns = 16

func openEpoll(o Options) (kernel.Kernel, error) {
	k := &epoll{ep: -1}
	k.timer.fd, k.wait.outer = -1, -1
	if err := k.base.init("epoll", k, o); err != nil {
		return nil, err
	}
	err := k.open(o)
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *epoll) open(o Options) (err error) {
	if k.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return opError("epoll_create1", err)
	}
	if err := k.timer.open(&k.base); err != nil {
		return err
	}
	if err := k.addOwn(k.ep); err != nil {
		return err
	}
	return k.wait.open(k, o)
}

// addOwn adds the kernel's own descriptors to ep. They are edge-triggered, so nobody has
// to read them.
func (k *epoll) addOwn(ep int) error {
	wake := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Pad: ofWake}
	if errno := epollCtl(ep, unix.EPOLL_CTL_ADD, int32(k.waker.r), &wake); errno != 0 {
		return opError("epoll_ctl", errno)
	}
	timer := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Pad: ofTimer}
	if errno := epollCtl(ep, unix.EPOLL_CTL_ADD, int32(k.timer.fd), &timer); errno != 0 {
		return opError("epoll_ctl", errno)
	}
	return nil
}

// Wait is described by kernel.Kernel.
func (k *epoll) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	if k.closed {
		return 0, kernel.ErrClosed
	}
	k.guessed = false
	k.wait.place.turn()
	for {
		n, room, limit := k.addAlways(ev), min(len(ev), len(k.evs)), until
		if len(k.always) > 0 {
			limit = 0
		}
		k.rearmEdges()
		if room > n || room == 0 {
			got, errno := 0, syscall.Errno(0)
			if limit <= k.last {
				got, errno = k.peek(room - n)
			} else {
				limit = k.keepUntil(limit)
				got, errno = k.pause(room-n, k.limit(limit), limit)
			}
			if errno != 0 && errno != unix.EINTR {
				k.wait.place.turn()
				return n, opError("epoll_wait", errno)
			}
			n += k.deliver(ev[n:], got)
			k.wait.brief.seen = k.wait.brief.seen || n > 0
		}
		if k.pairs > 0 {
			n = k.joinPairs(ev[:n])
		}
		if k.waker.endWait() || n > 0 || until <= k.last {
			k.wait.place.turn()
			return n, nil
		}
		if until != kernel.Forever {
			k.Now()
		}
	}
}

// deliver turns the first got events of k.evs into ev and returns how many it filled.
func (k *epoll) deliver(ev []kernel.Event, got int) int {
	n, stale := 0, false
	for i := range got {
		e := &k.evs[i]
		fd := e.Pad
		if fd < 0 {
			if fd == ofTimer {
				k.timer.fired(&k.base)
			}
			continue
		}
		s := k.ownerOf(fd)
		if s == nil || s.armed() == 0 || s.token != uint32(e.Fd) {
			stale = true
			continue
		}
		var r kernel.Ready
		if e.Events&unix.EPOLLIN != 0 {
			r = kernel.Readable
		}
		if e.Events&unix.EPOLLOUT != 0 {
			r |= kernel.Writable
		}
		if e.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			r = both
			if e.Events&unix.EPOLLERR != 0 {
				r |= kernel.Failed
			}
		}
		if r &= s.armed(); r != 0 {
			if byEdges(s, s.armed()) {
				k.noteEdge(s, r, e.Events)
			}
			ev[n] = kernel.Event{Token: s.token, Ready: r}
			n++
		}
	}
	if got > 0 {
		k.rebuild(stale)
	}
	return n
}

// rebuild makes a new set if the old one keeps reporting descriptors that nobody has
// armed. A descriptor that was closed behind our back stays in the set as long as a
// duplicate of it is open, and cannot be removed in any other way (FDS-30).
func (k *epoll) rebuild(stale bool) {
	if !stale {
		k.stale = 0
		return
	}
	if k.stale++; k.stale < staleTurns {
		return
	}
	k.stale = 0
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	defer unix.Close(ep)
	if k.addOwn(ep) != nil {
		return
	}
	for _, s := range k.owner.All() {
		if s != nil && s.armed() != 0 && !s.is(alwaysReady) {
			e := interest(s, s.token, s.armed())
			epollCtl(ep, unix.EPOLL_CTL_ADD, s.fd, &e)
		}
	}
	if unix.Dup3(ep, k.ep, unix.O_CLOEXEC) == nil {
		k.wait.relink(k.ep)
	}
}

// watch registers s when it is first armed, and changes the registration later (FDS-28).
func (k *epoll) watch(s *sock, token uint32, r kernel.Ready) error {
	op := unix.EPOLL_CTL_MOD
	if s.armed() == 0 {
		op = unix.EPOLL_CTL_ADD
	}
	e := interest(s, token, r)
	errno := epollCtl(k.ep, op, s.fd, &e)
	switch errno {
	case unix.ENOENT: // of MOD
		// The number was closed behind our back and now belongs to another file (FDS-30).
		errno = epollCtl(k.ep, unix.EPOLL_CTL_ADD, s.fd, &e)
	case unix.EEXIST: // of ADD
		errno = epollCtl(k.ep, unix.EPOLL_CTL_MOD, s.fd, &e)
	}
	if errno == unix.EPERM {
		// A regular file has nothing to wait for (FDS-31).
		s.mark(alwaysReady)
		return nil
	}
	if errno != 0 {
		return s.opError(kernel.OpArm, errno)
	}
	return nil
}

// unwatch removes s from the set. If the descriptor is about to be closed, close does
// that.
func (k *epoll) unwatch(s *sock, closing bool) {
	if !closing {
		var none unix.EpollEvent
		epollCtl(k.ep, unix.EPOLL_CTL_DEL, s.fd, &none)
	}
}

// Close is described by kernel.Kernel.
func (k *epoll) Close() error {
	if !k.base.close() {
		return nil
	}
	k.wait.close()
	k.timer.close()
	if k.ep >= 0 {
		unix.Close(k.ep)
	}
	return nil
}

// epollCtl makes the system call without telling the scheduler: it never blocks.
func epollCtl(ep, op int, fd int32, e *unix.EpollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(ep), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(e)), 0, 0)
	return errno
}

// timer ends a wait at a time that is not a whole number of milliseconds away. It costs a
// system call only when the deadline changes.
type timer struct {
	fd int
	at time.Duration // deadline it is armed for, 0 for none
	// seen is the last deadline that was too far away to arm the timer for.
	seen time.Duration
	// offset is the timer's clock minus Now. It may be a moment too great, never too small,
	// so that the timer is never early.
	offset time.Duration
	spec   unix.ItimerSpec
}

// near is how close a deadline must be to be worth the system call that arms the timer.
// If it is farther away, a timeout of epoll_wait costs less.
const near = 50 * time.Millisecond

func (t *timer) open(b *base) error {
	clock := int32(unix.CLOCK_MONOTONIC)
	if b.boot != nil {
		clock = unix.CLOCK_BOOTTIME
	}
	fd, err := unix.TimerfdCreate(int(clock), unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return opError("timerfd_create", err)
	}
	t.fd = fd
	for i := range 4 {
		var ts unix.Timespec
		now := b.Now() // before the other clock
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return opError("clock_gettime", err)
		}
		if d := time.Duration(ts.Nano()) - now; i == 0 || d < t.offset {
			t.offset = d
		}
	}
	return nil
}

// arm sets the timer to until. It returns false if that failed.
func (t *timer) arm(until time.Duration) bool {
	if t.at == until {
		return true
	}
	t.spec.Value = unix.NsecToTimespec(int64(until + t.offset))
	_, _, errno := syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(t.fd), unix.TFD_TIMER_ABSTIME,
		uintptr(unsafe.Pointer(&t.spec)), 0, 0, 0)
	if errno != 0 {
		return false
	}
	t.at = until
	return true
}

// fired notes that the timer has ended: it is at least as late as the timer's deadline.
func (t *timer) fired(b *base) {
	b.last = max(b.last, t.at)
	t.at = 0
}

func (t *timer) close() {
	if t.fd >= 0 {
		unix.Close(t.fd)
	}
}
