package native

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// waiter decides how the loop spends the time until something is ready.
type waiter struct {
	mode  WaitMode // never WaitAuto, and WaitHold only if it is possible
	auto  bool     // WaitAuto: hold only while there are more Ps than loops
	loops int
	spare bool   // there were more Ps than loops when count looked
	place *place // in a group

	turns    uint32 // number of adaptive waits
	recent   uint8  // one bit for each of the last looks, set if it found something
	adaptive int    // how many waits are still adaptive before hold is tried again
	seen     bool   // hold: an event has come since the runtime last asked for the P
	asked    uint   // hold: how often the runtime asked for it
	roused   bool   // hold: the runtime's monitor has been woken since the loop last gave up its P
	spinner  spinner
	guesser  guesser
	brief    brief

	// For parking. outer is an epoll descriptor in the runtime's poller. Our own set is
	// in outer only while the loop is parked. Otherwise every event of ours would wake
	// the runtime's poller.
	outer  int
	file   *os.File
	raw    syscall.RawConn
	look   func(uintptr) bool
	linked bool
	max    int
	got    int
	errno  syscall.Errno
}

// distant is a time that is never reached. Sums with it do not overflow.
const distant = kernel.Forever / 2

// adaptiveWaits is how many waits are adaptive after other goroutines wanted the P.
const adaptiveWaits = 256

func (w *waiter) open(k *epoll, o Options) error {
	w.loops, w.place = o.Loops, o.place
	w.place.open(o.crew)
	w.mode, w.auto = o.Wait, o.Wait == WaitAuto
	switch {
	case w.auto && w.noSpareP():
		w.mode = WaitAdaptive // until there are more Ps
	case w.auto, w.mode == WaitHold:
		return w.enableHold(k)
	case w.mode == WaitPark:
		return w.enablePark(k)
	}
	return nil
}

// enableHold has w hold the P, if the runtime can interrupt a wait.
func (w *waiter) enableHold(k *epoll) error {
	for tries := 1; !interruptible(); tries++ {
		if tries == 3 {
			w.auto, w.mode = false, WaitAdaptive
			return nil
		}
	}
	w.mode = WaitHold
	return w.enablePark(k)
}

// enablePark opens what park needs.
func (w *waiter) enablePark(k *epoll) error {
	var err error
	if w.outer, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return opError("epoll_create1", err)
	}
	if err := unix.SetNonblock(w.outer, true); err != nil { // otherwise NewFile does not take it for pollable
		return opError("fcntl", err)
	}
	w.file = os.NewFile(uintptr(w.outer), "epoll")
	if w.raw, err = w.file.SyscallConn(); err != nil {
		return err
	}
	// A file that is not in the runtime's poller refuses deadlines.
	if err := w.file.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	w.look = func(uintptr) bool {
		w.got, w.errno = k.peek(w.max)
		return w.got > 0 || w.errno != 0
	}
	return nil
}

// recount looks whether there is a P to spare now. If so, w holds one from then on, unless there is no descriptor for that.
func (w *waiter) recount(k *epoll) {
	if w.count(); w.spare && w.auto && w.mode == WaitAdaptive && w.enableHold(k) != nil {
		w.auto, w.mode = false, WaitAdaptive
	}
}

// count counts the Ps, and returns how many there are. That takes a lock of the runtime, so not each wait counts.
func (w *waiter) count() int {
	n := runtime.GOMAXPROCS(0)
	w.spare = n > w.loops
	return n
}

// noSpareP tells whether holding a P would take it from another goroutine. A loop of a group that finds none to spare looks for itself, at
// each wait, whether the others leave it one.
func (w *waiter) noSpareP() bool {
	n := w.count()
	return n == 1 || w.auto && !w.spare && w.place == nil
}

// mayHold tells whether the next wait of b's loop may hold the P.
func (w *waiter) mayHold(b *base) bool {
	return w.mode == WaitHold && w.adaptive == 0 && (!w.auto || w.spare || w.place.alone(b))
}

func (w *waiter) close() {
	switch {
	case w.file != nil:
		w.file.Close()
	case w.outer >= 0:
		unix.Close(w.outer)
	}
}

// link puts our set ep into the runtime's poller.
func (w *waiter) link(ep int) error {
	if w.linked {
		return nil
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN}
	if errno := epollCtl(w.outer, unix.EPOLL_CTL_ADD, int32(ep), &e); errno != 0 {
		return opError("epoll_ctl", errno)
	}
	w.linked = true
	return nil
}

// unlink takes our set ep out of the runtime's poller. In mode WaitPark it stays there.
func (w *waiter) unlink(ep int) {
	if w.linked && w.mode != WaitPark {
		var none unix.EpollEvent
		epollCtl(w.outer, unix.EPOLL_CTL_DEL, int32(ep), &none)
		w.linked = false
	}
}

// relink puts a rebuilt set, which has the same number, into the runtime's poller.
func (w *waiter) relink(ep int) {
	if w.linked {
		w.linked = false
		_ = w.link(ep)
	}
}

// pause waits for at most max events and returns how many it put into k.evs. It may
// return 0 before until, and a negative number with an error. ms is limit(until).
//
// The two system calls that may take long are made here, because a function that is on the stack meanwhile costs time; see
// Reactor.turn.
func (k *epoll) pause(max, ms int, until time.Duration) (int, syscall.Errno) {
	w := &k.wait
	holds := w.brief.on || w.mayHold(&k.base)
	if got, errno := k.look(max, holds); got > 0 || errno != 0 {
		return got, errno
	}
	if !k.waker.sleep() {
		if holds {
			return k.peek(max)
		}
		return 0, 0
	}
	switch {
	case holds:
		w.rouseMonitor()
		got, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.ep),
			uintptr(unsafe.Pointer(&k.evs)), uintptr(max), uintptr(ms), 0, 0)
		if errno == unix.EINTR {
			return k.interrupted(max, ms, until)
		}
		w.seen = w.seen || int(got) > 0
		return int(got), errno
	case w.mode == WaitPark:
		return k.park(max, until)
	}
	got, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.ep),
		uintptr(unsafe.Pointer(&k.evs)), uintptr(max), uintptr(ms), 0, 0)
	if int(got) > 1 {
		w.recent |= 1
	}
	return int(got), errno
}

// look returns what it finds without blocking, and lets other goroutines run, unless the loop holds its P.
func (k *epoll) look(max int, holds bool) (int, syscall.Errno) {
	switch w := &k.wait; {
	case w.mode == WaitPark, w.mode == WaitBlock:
		return k.peek(max)
	case !holds:
		if got, errno := k.adapt(max); got > 0 || errno != 0 {
			return got, errno
		}
	}
	got, errno := k.spin(max, holds)
	if holds && got > 0 {
		k.wait.seen = true
	}
	return got, errno
}

// limit returns the timeout in milliseconds with which epoll_wait ends at until. It is -1
// if the timer ends the wait, or nothing does. If until is far away, epoll_wait may end
// before it. With ClockBoottime the timer ends every wait, because a timeout stands still while
// the machine is suspended.
func (k *epoll) limit(until time.Duration) int {
	if until >= distant {
		return -1
	}
	if k.timer.at == until {
		return -1
	}
	d := until - k.last
	if d >= near {
		d = until - k.Now()
	}
	if d < near || k.timer.seen == until || k.boot != nil {
		if k.timer.arm(until) {
			return -1
		}
	}
	k.timer.seen = until
	return int(min((d+time.Millisecond-1)/time.Millisecond, 1<<30))
}

// adapt looks, if that found something lately. Otherwise it lets other goroutines run.
func (k *epoll) adapt(max int) (int, syscall.Errno) {
	w := &k.wait
	if w.adaptive > 0 {
		w.adaptive--
		if w.adaptive == 0 && w.noSpareP() {
			w.adaptive = adaptiveWaits
		}
	}
	w.turns++
	if w.turns%adaptiveWaits == 0 {
		w.recount(k)
	}
	if w.recent != 0 || w.turns%64 == 0 {
		got, errno := k.peek(max)
		w.recent <<= 1
		if got > 0 {
			w.recent |= 1
		}
		if got > 0 || errno != 0 {
			return got, errno
		}
	}
	runtime.Gosched()
	k.gaveUp()
	return 0, 0
}

// interrupted goes on with a wait that keeps the P. The runtime interrupts it by a signal when it wants the P:
// at once for the garbage collector, after 10 ms for other goroutines.
func (k *epoll) interrupted(max, ms int, until time.Duration) (int, syscall.Errno) {
	w := &k.wait
	if w.brief.on {
		w.brief.until = 0 // others may run at once
		return 0, 0
	}
	for {
		w.asked++
		before := k.Now()
		runtime.Gosched()
		if k.Now()-before > time.Millisecond || k.waker.state.Load() == woken || w.noSpareP() {
			// Other goroutines wanted the P, perhaps to wake us, or there are fewer
			// Ps now.
			w.adaptive = adaptiveWaits
			return 0, 0
		}
		if !w.seen {
			got, errno := k.park(max, until)
			w.seen = got > 0
			return got, errno
		}
		w.seen = false
		if ms >= 0 {
			return 0, 0 // the caller computes the time left anew
		}
		if got, errno := k.enter(max, ms); errno != unix.EINTR {
			w.seen = got > 0
			return got, errno
		}
	}
}

// rouseMonitor wakes the runtime's monitor thread (sysmon), if it may be asleep. The monitor
// sleeps when all Ps are idle, and only an ordinary system call wakes it: raw ones do not.
// If it slept on, nobody would poll the network for other goroutines, nor interrupt our wait
// for them, until the next timer of the runtime.
func (w *waiter) rouseMonitor() {
	if !w.roused {
		w.roused = true
		syscall.Syscall(unix.SYS_GETPID, 0, 0, 0)
	}
}

// park waits in the runtime's poller, without a P.
func (k *epoll) park(max int, until time.Duration) (int, syscall.Errno) {
	w := &k.wait
	w.roused = false
	if until < distant && !k.timer.arm(until) {
		return k.block(max, 1)
	}
	if w.link(k.ep) != nil {
		return k.block(max, -1)
	}
	w.max, w.got, w.errno = max, 0, 0
	err := w.raw.Read(w.look)
	w.unlink(k.ep)
	if err != nil && w.errno == 0 {
		w.errno = unix.EBADF
	}
	return w.got, w.errno
}

// peek is epoll_wait without blocking.
func (k *epoll) peek(max int) (int, syscall.Errno) { return k.enter(max, 0) }

// enter is epoll_wait without telling the scheduler, so it keeps the P.
func (k *epoll) enter(max, ms int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.ep),
		uintptr(unsafe.Pointer(&k.evs)), uintptr(max), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// block is epoll_wait as an ordinary system call: the scheduler may give the P away.
func (k *epoll) block(max, ms int) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.ep),
		uintptr(unsafe.Pointer(&k.evs)), uintptr(max), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// interruptible tells whether the runtime can interrupt a goroutine in a raw system call
// to take its P. To find out it stops the world for a moment. On a very busy machine it
// may return false wrongly, so the caller asks again before it believes a no.
func interruptible() bool {
	var inside atomic.Bool
	found := make(chan bool)
	go func() {
		limit := unix.Timespec{Nsec: 50e6}
		inside.Store(true)
		_, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
		found <- errno == unix.EINTR
	}()
	for !inside.Load() {
		runtime.Gosched()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return <-found
}
