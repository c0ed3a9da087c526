package native

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// busyLoop is a kernel with one P, to which something comes before each wait.
type busyLoop struct {
	*epoll
	t        *testing.T
	from, to kernel.Conn
}

func newBusyLoop(t *testing.T) *busyLoop {
	was := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
	k := testEpoll(t, WaitAuto)
	_, c, s := testPair(t, k)
	if err := k.Arm(s, 1, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	return &busyLoop{k, t, c, s}
}

// turn makes one wait, in which a byte comes, and tells whether the loop kept its P.
func (l *busyLoop) turn() bool {
	l.t.Helper()
	if _, err := l.from.Write([]byte("x")); err != nil {
		l.t.Fatal(err)
	}
	l.wait.recent = 0 // it is not to look before it waits
	turns := l.wait.turns
	if n, err := l.Wait(make([]kernel.Event, 4), l.Now()+time.Second); n != 1 || err != nil {
		l.t.Fatal(n, err)
	}
	if n, err := l.to.Read(make([]byte, 8)); n != 1 || err != nil {
		l.t.Fatal(n, err)
	}
	return l.wait.turns == turns
}

// until makes turns until the loop keeps its P, or gives it up, and returns how many did not.
func (l *busyLoop) until(keeps bool) int {
	l.t.Helper()
	for start, n := time.Now(), 0; time.Since(start) < 10*time.Second; n++ {
		if l.turn() == keeps {
			return n
		}
	}
	l.t.Fatalf("a busy loop with one P keeps it is %v, for ever", !keeps)
	return 0
}

func (l *busyLoop) keep() int { l.t.Helper(); return l.until(true) }

// TestBriefGivesWay: a loop that keeps its only P lets another goroutine run after a millisecond or so, and from then on gives its P up at more and more
// waits before it keeps it again.
func TestBriefGivesWay(t *testing.T) {
	l := newBusyLoop(t)
	for need := minCalm; need <= 4*minCalm; need *= 2 {
		if n := l.keep(); n < need-1 { // the wait that gave way may be one of them
			t.Errorf("it keeps its P after %d waits, want %d", n, need)
		}
		l.wait.brief.until = l.Now() + briefTime
		var ran atomic.Bool
		start := time.Now()
		go ran.Store(true)
		l.until(false)
		if d := time.Since(start); !ran.Load() || d > 100*time.Millisecond {
			t.Errorf("a goroutine has run is %v, after %v", ran.Load(), d)
		} else if d < briefTime/2 {
			t.Errorf("it gave way after %v", d)
		}
		if got := l.wait.brief.need; got != 2*need {
			t.Errorf("the next time it needs %d waits, want %d", got, 2*need)
		}
	}
	l.wait.brief.need = maxCalm
	l.keep()
	go func() {}()
	l.until(false)
	if l.wait.brief.need != maxCalm {
		t.Error("it needs more and more waits without end")
	}
}

// TestBriefTimer: a timer of the runtime fires while a busy loop keeps its only P.
func TestBriefTimer(t *testing.T) {
	l := newBusyLoop(t)
	soonest := time.Hour
	for range 20 { // the machine may be busy
		l.keep()
		var ran atomic.Int64
		start := time.Now()
		time.AfterFunc(briefTime, func() { ran.Store(int64(time.Since(start))) })
		for ran.Load() == 0 && time.Since(start) < 10*time.Second {
			l.turn()
		}
		if soonest = min(soonest, time.Duration(ran.Load())); soonest > 0 && soonest < 5*briefTime {
			return // long before the runtime asks for the P
		}
	}
	t.Errorf("it fired after %v", soonest)
}

// TestBriefStays: while no other goroutine wants to run the loop keeps its P, and needs fewer waits the next time.
func TestBriefStays(t *testing.T) {
	l := newBusyLoop(t)
	l.wait.brief.need = 2 * minCalm
	for range 20 { // the collector, or a goroutine of the tests, may want to run
		l.keep()
		l.wait.brief.times, l.wait.brief.need = calmTimes-3, 2*minCalm
		start := time.Now()
		for l.turn() && time.Since(start) < 5*briefTime {
		}
		if l.wait.brief.on && l.wait.brief.need == minCalm {
			return
		}
	}
	t.Errorf("on is %v, and it needs %d waits", l.wait.brief.on, l.wait.brief.need)
}

// TestBriefEndsIdle: a loop to which nothing comes gives its P up.
func TestBriefEndsIdle(t *testing.T) {
	l := newBusyLoop(t)
	soonest := time.Hour
	for range 20 { // the machine may be busy
		l.keep()
		ran := make(chan time.Duration, 1)
		start := time.Now()
		time.AfterFunc(2*briefTime, func() { ran <- time.Since(start) })
		if n, err := l.Wait(make([]kernel.Event, 4), l.Now()+30*time.Millisecond); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if d := time.Since(start); d < 30*time.Millisecond {
			t.Errorf("the wait ended after %v", d)
		}
		if l.wait.brief.on || l.wait.brief.need > minCalm {
			t.Errorf("on is %v, and it needs %d waits", l.wait.brief.on, l.wait.brief.need)
		}
		if soonest = min(soonest, <-ran); soonest < 5*briefTime {
			return // long before the runtime asks for the P
		}
	}
	t.Errorf("another goroutine ran after %v", soonest)
}

// TestBriefPace: a loop that waits long does not keep its P.
func TestBriefPace(t *testing.T) {
	l := newBusyLoop(t)
	for range 3 * minCalm {
		time.Sleep(2 * briefPace)
		if l.turn() {
			t.Fatal("it keeps its P")
		}
	}
}

// TestBriefInterrupted: when the runtime wants the P, others may run at once.
func TestBriefInterrupted(t *testing.T) {
	l := newBusyLoop(t)
	for range 20 {
		l.keep()
		if got, errno := l.interrupted(4, -1, distant); got != 0 || errno != 0 {
			t.Fatal(got, errno)
		}
		b := &l.wait.brief
		if b.until != 0 {
			t.Fatal("it goes on")
		}
		if l.keepUntil(distant); !b.on { // somebody wanted it
			continue
		}
		if b.until < l.Now() {
			t.Error("others have not run")
		}
		return
	}
	t.Error("others want the P each time")
}

// TestBriefFollowsProcs: a loop that finds more Ps than loops holds one of them.
func TestBriefFollowsProcs(t *testing.T) {
	l := newBusyLoop(t)
	l.keep()
	runtime.GOMAXPROCS(2)
	l.wait.brief.times = calmTimes - 1
	for start := time.Now(); l.wait.brief.on && time.Since(start) < 10*time.Second; {
		l.turn()
	}
	if l.wait.brief.on || l.wait.mode != WaitHold && interruptible() {
		t.Errorf("on is %v, and the mode %v", l.wait.brief.on, l.wait.mode)
	}
}
