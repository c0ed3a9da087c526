package native

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

func ownFlags(t *testing.T, k kernel.Kernel) {
	if k, ok := k.(*epoll); ok {
		flags(t, "epoll", k.ep, false)
		flags(t, "timer", k.timer.fd, true)
		if k.wait.outer >= 0 {
			flags(t, "outer epoll", k.wait.outer, true)
		}
	}
}

func ownWaker(k kernel.Kernel) *waker { return &k.(*epoll).waker }

func testEpoll(t *testing.T, m WaitMode) *epoll {
	t.Helper()
	return testKernel(t, "epoll", Options{Wait: m}).(*epoll)
}

// TestEventfdEdge: the waker and the timer rely on two facts. A write to an eventfd that
// nobody read is a new edge (WAKE-4). Each end of a timer is one too.
func TestEventfdEdge(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	for i := range 3 {
		if _, err := unix.Write(k.waker.w, k.waker.one[:]); err != nil {
			t.Fatal(err)
		}
		if n, errno := k.peek(8); n != 1 || errno != 0 || k.evs[0].Pad != ofWake {
			t.Fatalf("write %d: %d events, %v", i, n, errno)
		}
		if n, errno := k.peek(8); n != 0 || errno != 0 {
			t.Fatalf("an edge was reported twice: %d, %v", n, errno)
		}
		if !k.timer.arm(k.Now() + time.Millisecond) {
			t.Fatal("the timer cannot be armed")
		}
		if n, errno := k.block(8, 10_000); n != 1 || errno != 0 || k.evs[0].Pad != ofTimer {
			t.Fatalf("timer %d: %d events, %v", i, n, errno)
		}
		k.timer.fired(&k.base)
	}
}

// TestArmCosts: Arm makes no system call for what is armed already, and none to disarm
// what is not armed (FDS-28).
func TestArmCosts(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	_, c, s := testPair(t, k)
	if err := k.Arm(s, 1, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	ep := k.ep
	k.ep = -1 // any epoll_ctl fails now
	if err := k.Arm(s, 1, kernel.Readable); err != nil {
		t.Errorf("Arm of what is armed: %v", err)
	}
	if err := k.Arm(c, 2, 0); err != nil {
		t.Errorf("disarming what is not armed: %v", err)
	}
	for _, err := range []error{k.Arm(s, 1, kernel.Writable), k.Arm(s, 2, kernel.Readable), k.Arm(c, 2, kernel.Readable)} {
		if err == nil {
			t.Error("Arm made no system call") // or this test proves nothing
		}
	}
	// FDS-28: the state is what it was before the failure.
	if s.armed() != kernel.Readable || s.token != 1 || c.armed() != 0 {
		t.Errorf("after failures %v as %d, %v", s.armed(), s.token, c.armed())
	}
	k.ep = ep
	c.Write([]byte("x"))
	reported(t, k, 1)
}

// TestWatchCloseUnregisters: a watched descriptor stays open, so its Close must take
// it out of the set (FDS-28).
func TestWatchCloseUnregisters(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	for range 2 {
		w, err := k.Watch(p[1], p[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Arm(w, 1, kernel.Writable); err != nil {
			t.Fatal(err)
		}
		reported(t, k, 1)
		w.Close()
		if n, errno := k.peek(4); n != 0 || errno != 0 {
			t.Errorf("still in the set: %d, %v", n, errno)
		}
	}
}

// TestDialInProgress: an attempt that waits for room in the listener's queue is neither
// writable nor connected.
func TestDialInProgress(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	l, err := k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), &kernel.ListenOptions{Backlog: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done, waiting := 0, 0
	for range 8 {
		c, err := k.Dial(l.Local(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		// The loopback answers before connect returns.
		switch err := c.Connected(); err {
		case nil:
			done++
		case kernel.ErrAgain:
			waiting++
			if err := k.Arm(c, uint32(waiting), kernel.Writable); err != nil {
				t.Fatal(err)
			}
		default:
			t.Error(err)
		}
	}
	if done == 0 || waiting == 0 {
		t.Errorf("%d connected, %d waiting", done, waiting)
	}
	ev := make([]kernel.Event, 8)
	if n, err := k.Wait(ev, k.Now()+3*time.Millisecond); n != 0 || err != nil {
		t.Errorf("Wait: %v, %v", ev[:n], err)
	}
}

// TestReuse: ENOENT on MOD is taken as ADD, EEXIST on ADD as MOD (FDS-30).
func TestReuse(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	_, c, s := testPair(t, k)
	if err := k.Arm(s, 1, kernel.Writable); err != nil {
		t.Fatal(err)
	}
	var none unix.EpollEvent
	if errno := epollCtl(k.ep, unix.EPOLL_CTL_DEL, s.fd, &none); errno != 0 {
		t.Fatal(errno)
	}
	if err := k.Arm(s, 1, kernel.Readable); err != nil { // FDS-30
		t.Errorf("ENOENT: %v", err)
	}
	c.Write([]byte("x"))
	reported(t, k, 1)
	e := interest(&c.sock, 77, kernel.Readable)
	if errno := epollCtl(k.ep, unix.EPOLL_CTL_ADD, c.fd, &e); errno != 0 {
		t.Fatal(errno)
	}
	if err := k.Arm(c, 2, kernel.Writable); err != nil { // FDS-30
		t.Errorf("EEXIST: %v", err)
	}
	reported(t, k, 2)
}

// TestStale: a descriptor that was closed while a duplicate is open cannot be taken out
// of the set. It is never reported, and the loop does not spin (FDS-30).
func TestStale(t *testing.T) {
	for _, m := range []WaitMode{WaitBlock, WaitPark, WaitHold, WaitAdaptive} {
		k := testEpoll(t, m)
		_, c, s := testPair(t, k)
		if err := k.Arm(s, 1, kernel.Readable); err != nil {
			t.Fatal(err)
		}
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		w, err := k.Watch(p[0], p[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Arm(w, 2, kernel.Readable); err != nil {
			t.Fatal(err)
		}
		dup, err := unix.Dup(p[0])
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(p[0])
		unix.Write(p[1], []byte("x"))
		w.Close()
		ev := make([]kernel.Event, 4)
		if n, errno := k.peek(4); n != 1 || errno != 0 {
			t.Fatalf("%v: nothing stale: %d, %v", m, n, errno) // or this test proves nothing
		}
		if n, err := k.Wait(ev, k.Now()+5*time.Millisecond); n != 0 || err != nil {
			t.Errorf("%v: reported for nobody: %v, %v", m, ev[:n], err)
		}
		if n, errno := k.peek(4); n != 0 || errno != 0 {
			t.Errorf("%v: still in the set: %d, %v", m, n, errno)
		}
		c.Write([]byte("x"))
		reported(t, k, 1) // the others are in the new set
		k.Arm(s, 1, 0)
		wakes(t, k)
		unix.Close(p[1])
		unix.Close(dup)
	}
}

// TestStaleNumber: an event of a closed descriptor is not taken for one of the sock that
// has its number now (FDS-30).
func TestStaleNumber(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	var old, p [2]int
	if err := unix.Pipe2(old[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(old[1])
	w, err := k.Watch(old[0], old[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Arm(w, 2, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	dup, err := unix.FcntlInt(uintptr(old[0]), unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dup)
	unix.Write(old[1], []byte("x"))
	unix.Close(old[0])
	w.Close()
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	if p[0] != old[0] {
		t.Fatalf("number %d was not given out again", old[0])
	}
	if w, err = k.Watch(p[0], p[0]); err != nil {
		t.Fatal(err)
	}
	if err := k.Arm(w, 3, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	ev := make([]kernel.Event, 4)
	if n, err := k.Wait(ev, k.Now()+5*time.Millisecond); n != 0 || err != nil {
		t.Errorf("reported for another's event: %v, %v", ev[:n], err)
	}
	unix.Write(p[1], []byte("x"))
	reported(t, k, 3)
}

// wakes checks that another goroutine's Wake ends a wait.
func wakes(t *testing.T, k kernel.Kernel) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(k.Wake)
	if n, err := k.Wait(make([]kernel.Event, 4), kernel.Forever); n != 0 || err != nil {
		t.Errorf("Wait: %d, %v", n, err)
	}
	wg.Wait()
}

// TestModeAllocs: no wait mode allocates.
func TestModeAllocs(t *testing.T) {
	for m := WaitAdaptive; m <= WaitPark; m++ {
		k := testEpoll(t, m)
		t.Run(m.String(), func(t *testing.T) { allocs(t, k) })
	}
	// Nor does parking after a hold.
	k := testEpoll(t, WaitHold)
	if k.wait.mode != WaitHold {
		t.Fatal("no hold")
	}
	ev := make([]kernel.Event, 4)
	if n := testing.AllocsPerRun(50, func() {
		k.waker.sleep()
		k.park(4, k.Now()+100*time.Microsecond)
		k.waker.endWait()
		k.Wait(ev, 0)
	}); n != 0 {
		t.Errorf("parking: %v allocations", n)
	}
	if k.wait.linked {
		t.Error("it stays in the runtime's poller")
	}
}

// TestAutoMode: a P is held only if there are more Ps than loops.
func TestAutoMode(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct {
		procs, loops int
		want         WaitMode
	}{{1, 0, WaitAdaptive}, {2, 0, WaitHold}, {2, 1, WaitHold}, {2, 2, WaitAdaptive}, {4, 2, WaitHold}} {
		runtime.GOMAXPROCS(c.procs)
		k, err := OpenWith("epoll", Options{Loops: c.loops})
		if err != nil {
			t.Fatal(err)
		}
		if m := k.(*epoll).wait.mode; m != c.want {
			t.Errorf("%d Ps, %d loops: %v", c.procs, c.loops, m)
		}
		k.Close()
	}
}

// TestNoPreemption: if the runtime cannot interrupt a system call, no P is held.
func TestNoPreemption(t *testing.T) {
	if os.Getenv("WHORL_TEST_CHILD") == "1" {
		k := testEpoll(t, WaitHold)
		fmt.Println("mode:", k.wait.mode)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoPreemption$")
	cmd.Env = append(os.Environ(), "WHORL_TEST_CHILD=1", "GODEBUG=asyncpreemptoff=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "mode: adaptive\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestIdleLoopsHoldNothing: idle loops, even more of them than Ps, neither starve each
// other nor stop the garbage collector, in any mode.
func TestIdleLoopsHoldNothing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for m := WaitAuto; m <= WaitPark; m++ {
		var wg sync.WaitGroup
		var quit atomic.Bool
		var turns [8]atomic.Int64
		kernels := make([]kernel.Kernel, len(turns))
		for i := range kernels {
			kernels[i] = testEpoll(t, m)
		}
		for i, k := range kernels {
			wg.Go(func() {
				ev := make([]kernel.Event, 4)
				for !quit.Load() {
					if _, err := k.Wait(ev, kernel.Forever); err != nil {
						t.Error(err)
						return
					}
					turns[i].Add(1)
				}
			})
		}
		begun := time.Now()
		for range 5 {
			runtime.GC()
			for i, k := range kernels { // and each can be woken
				before := turns[i].Load()
				k.Wake()
				for turns[i].Load() == before {
					runtime.Gosched()
				}
			}
		}
		if d := time.Since(begun); d > 20*time.Second {
			t.Errorf("%v: 5 collections and 40 wakes took %v", m, d)
		} else {
			t.Logf("%v: 5 collections and 40 wakes took %v", m, d)
		}
		quit.Store(true)
		for _, k := range kernels {
			k.Wake()
		}
		wg.Wait()
	}
}

// TestHoldYields: with a single P, a loop that holds it lets others run.
func TestHoldYields(t *testing.T) {
	k := testEpoll(t, WaitHold)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 3 {
		wakes(t, k)
	}
}

// TestHoldParks: an idle loop is asked for the P once or twice, not for ever.
func TestHoldParks(t *testing.T) {
	k := testEpoll(t, WaitHold)
	k.wait.seen = true
	if n, err := k.Wait(make([]kernel.Event, 4), k.Now()+400*time.Millisecond); n != 0 || err != nil {
		t.Errorf("Wait: %d, %v", n, err)
	}
	if n := k.wait.asked; n < 1 || n > 8 {
		t.Errorf("asked for the P %d times in 400 ms", n)
	}
}

// TestHoldRousesMonitor: the first wait that holds the P, and the first after a park, wakes
// the runtime's monitor, which may sleep while all Ps are idle.
func TestHoldRousesMonitor(t *testing.T) {
	k := testEpoll(t, WaitHold)
	if k.wait.mode != WaitHold {
		t.Skip("the runtime cannot interrupt a system call here")
	}
	if k.wait.roused {
		t.Error("roused before the first wait")
	}
	soon := func() time.Duration { return k.Now() + 2*time.Millisecond }
	for range 2 {
		if _, errno := k.pause(8, 2, soon()); errno != 0 && errno != unix.EINTR {
			t.Fatal(errno)
		}
		if !k.wait.roused {
			t.Error("a wait that holds the P did not wake the monitor")
		}
		k.waker.endWait()
		k.park(8, soon())
		if k.wait.roused {
			t.Error("after a park the monitor may be asleep")
		}
	}
}
