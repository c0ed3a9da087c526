package native

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// bootKernel opens a kernel with ClockBoottime.
func bootKernel(t *testing.T, name string) (kernel.Kernel, *base) {
	t.Helper()
	k := testKernel(t, name, Options{Clock: ClockBoottime})
	return k, baseOf(k)
}

// TIME-30: Now is CLOCK_BOOTTIME since the kernel was opened.
func TestBoottimeNow(t *testing.T) {
	read := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	for _, name := range Names() {
		before := read()
		k, b := bootKernel(t, name)
		opened := read()
		time.Sleep(time.Millisecond)
		low := read() - opened
		now := k.Now()
		if high := read() - before + 1; b.boot == nil || now < low || now > high {
			t.Errorf("TIME-30: %s: Now is %v, not between %v and %v", name, now, low, high)
		}
	}
	if k, err := OpenWith("", Options{Clock: ClockBoottime + 1}); !errors.Is(err, kernel.ErrUnsupported) || !strings.Contains(err.Error(), "Clock(2)") {
		t.Errorf("TIME-30: a clock that nobody knows: %v, %v", k, err)
	}
	if s := fmt.Sprint(ClockMonotonic, " ", ClockBoottime); s != "monotonic boottime" {
		t.Error(s)
	}
}

// TIME-30: epoll's timer has the same clock, and ends every wait that has an end, also one that
// is far away: a timeout of epoll_wait would stand still in a suspend.
func TestBoottimeTimer(t *testing.T) {
	for _, mode := range []WaitMode{WaitAdaptive, WaitHold, WaitBlock, WaitPark} {
		k := testKernel(t, "epoll", Options{Clock: ClockBoottime, Wait: mode})
		e := k.(*epoll)
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", e.timer.fd))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(info), "clockid: 7\n") { // CLOCK_BOOTTIME
			t.Errorf("TIME-30: %v: the timer is\n%s", mode, info)
		}
		until := k.Now() + time.Hour
		go func() {
			for e.waker.state.Load() != sleeping { // a wait that is woken before it begins sets no timer
				time.Sleep(time.Millisecond)
			}
			k.Wake()
		}()
		if n, err := k.Wait(make([]kernel.Event, 1), until); n != 0 || err != nil {
			t.Errorf("%v: %d events, %v", mode, n, err)
		}
		if e.timer.at != until {
			t.Errorf("TIME-30: %v: the timer ends at %v, want %v", mode, e.timer.at, until)
		}
		soon := k.Now() + 20*time.Millisecond
		if n, err := k.Wait(make([]kernel.Event, 1), soon); n != 0 || err != nil || k.Now() < soon {
			t.Errorf("TIME-30: %v: waited until %v, not %v: %d events, %v", mode, k.Now(), soon, n, err)
		}
	}
}

// TIME-30: poll and select look at the clock again and again while they wait, and see that a
// suspend has made the time pass. The clock of the test jumps as it does at a resume.
func TestBoottimeLooksAgain(t *testing.T) {
	for _, name := range []string{"poll", "select"} {
		k, b := bootKernel(t, name)
		if b.longest != 10*time.Second {
			t.Errorf("TIME-30: %s looks every %v", name, b.longest)
		}
		var suspended atomic.Int64
		real := b.boot
		b.boot = func() time.Duration { return real() + time.Duration(suspended.Load()) }
		b.longest = 5 * time.Millisecond
		until := k.Now() + time.Hour
		time.AfterFunc(20*time.Millisecond, func() { suspended.Store(int64(2 * time.Hour)) })
		woken := time.AfterFunc(20*time.Second, k.Wake)
		if n, err := k.Wait(make([]kernel.Event, 1), until); n != 0 || err != nil {
			t.Errorf("%s: %d events, %v", name, n, err)
		}
		if !woken.Stop() || k.Now() < until {
			t.Errorf("TIME-30: %s sleeps on after a suspend, at %v", name, k.Now())
		}
	}
}

// TestTimerOffset: what comes between the readings of the two clocks makes the offset of epoll's timer
// too great. One undisturbed pair of four is enough.
func TestTimerOffset(t *testing.T) {
	_, b := bootKernel(t, "epoll")
	real := b.boot
	for good := range 4 {
		pairs := 0
		b.boot = func() time.Duration {
			now := real()
			if pairs++; pairs-1 != good {
				now -= time.Hour // as if an hour had gone by until the other clock was read
			}
			return now
		}
		var x timer
		if err := x.open(b); err != nil {
			t.Fatal(err)
		}
		x.close()
		boot, err := bootTime()
		if d := x.offset - (boot - real()); err != nil || d < -time.Minute || d > time.Minute {
			t.Errorf("pair %d is good: the offset is wrong by %v, %v", good, d, err)
		}
	}
}
