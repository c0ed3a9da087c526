package native

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestAdaptLooks: a wait first looks without blocking if one of the last eight looks has found
// something, or the last block more than one thing. Otherwise each 64th does.
func TestAdaptLooks(t *testing.T) {
	k := testEpoll(t, WaitAdaptive)
	empty := func(n int) {
		t.Helper()
		for range n {
			if got, errno := k.pause(8, 0, distant); got != 0 || errno != 0 {
				t.Fatalf("found %d, %v", got, errno)
			}
			k.waker.endWait()
		}
	}
	// looks tells whether the next wait looks: then it finds what there is before it would sleep.
	looks := func(want int) bool {
		t.Helper()
		if _, err := unix.Write(k.waker.w, k.waker.one[:]); err != nil {
			t.Fatal(err)
		}
		if got, errno := k.pause(8, 1000, distant); got != want || errno != 0 {
			t.Fatalf("found %d, %v, want %d", got, errno, want)
		}
		slept := k.waker.state.Load() == sleeping
		k.waker.endWait()
		return !slept
	}
	_, c, s := testPair(t, k)
	c.Write([]byte("x"))
	testReady(t, k, s, kernel.Readable)
	k.wait.recent, k.wait.turns, k.wait.spinner = 0, 0, spinner{left: 1 << 20}
	for range 2 {
		if looks(1) {
			t.Error("it looks though nothing was found lately")
		}
	}
	if k.wait.turns = 63; !looks(1) {
		t.Error("the 64th does not look")
	}
	if empty(7); !looks(1) {
		t.Error("the eighth after a look that found something does not look")
	}
	if empty(8); looks(1) {
		t.Error("the ninth looks")
	}
	k.Wake()
	if got, errno := k.pause(8, -1, distant); got != 0 || errno != 0 {
		t.Errorf("woken before it slept: %d events, %v", got, errno)
	}
	k.waker.endWait()
	if err := k.Arm(s, 1, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	if looks(2) {
		t.Error("it looks though nothing was found lately")
	}
	if empty(7); !looks(1) {
		t.Error("the eighth after a block that found two things does not look")
	}
}

// TestHoldGivesWay: a loop that others keep from the P for more than a millisecond stops holding it for
// some time, also if there are as many Ps as ever.
func TestHoldGivesWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	k := testEpoll(t, WaitHold)
	if k.wait.mode != WaitHold {
		t.Skip("the runtime cannot interrupt a system call here")
	}
	var quit atomic.Bool
	defer quit.Store(true)
	for range 6 {
		go func() {
			for !quit.Load() {
			}
		}()
	}
	for range 100 {
		k.wait.seen = true
		if n, err := k.Wait(make([]kernel.Event, 1), k.Now()+30*time.Millisecond); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if k.wait.adaptive > 0 {
			return
		}
	}
	t.Error("it goes on holding the P")
}

// TestLimit: the timeout of epoll_wait for a time that is far away is in whole milliseconds, rounded up: it
// does not end before that time.
func TestLimit(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	got := 0
	for range 100 { // a busy machine may be slow between two readings of the clock
		until := k.Now() + 100*time.Millisecond
		if got = k.limit(until); got == 100 {
			break
		}
	}
	if got != 100 {
		t.Errorf("a timeout of %d ms for 100 ms", got)
	}
}

// TestHoldFollowsProcs: auto stops holding when there is no P to spare any more: when there is one P,
// or no more of them than loops.
func TestHoldFollowsProcs(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, few := range []int{1, 2} {
		runtime.GOMAXPROCS(few + 1)
		k := testKernel(t, "epoll", Options{Loops: few}).(*epoll)
		followsProcs(t, k, few)
		k.Close()
	}
	runtime.GOMAXPROCS(1)
	k := testEpoll(t, WaitAuto)
	if k.wait.mode != WaitAdaptive {
		t.Fatal("it holds the only P")
	}
	runtime.GOMAXPROCS(2)
	for range 2 * adaptiveWaits {
		if _, err := k.Wait(make([]kernel.Event, 4), k.Now()+time.Microsecond); err != nil {
			t.Fatal(err)
		}
	}
	if k.wait.mode != WaitHold || k.wait.file == nil {
		t.Error("it does not hold one of two Ps, which it had not when it was opened")
	}
}

func followsProcs(t *testing.T, k *epoll, few int) {
	t.Helper()
	if k.wait.mode != WaitHold {
		t.Fatal("it does not hold with a P to spare")
	}
	runtime.GOMAXPROCS(few)
	ev := make([]kernel.Event, 4)
	for range 100 {
		if k.wait.adaptive > 0 {
			break
		}
		if _, err := k.Wait(ev, k.Now()+30*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if k.wait.adaptive == 0 {
		t.Errorf("%d Ps: it goes on holding one", few)
	}
	for range 2 * adaptiveWaits {
		k.Wait(ev, k.Now()+time.Microsecond)
		if k.wait.adaptive == 0 {
			t.Fatalf("%d Ps: it holds one again although nothing has changed", few)
		}
	}
	runtime.GOMAXPROCS(few + 1)
	for range 4 * adaptiveWaits {
		if k.wait.adaptive == 0 {
			return
		}
		k.Wait(ev, k.Now()+time.Microsecond)
	}
	t.Errorf("%d Ps: it does not hold again", few+1)
}

// threeLoops opens the kernels of a group. open opens one anew.
func threeLoops(t *testing.T) (loops [3]*epoll, open func(loop, loops int) (kernel.Kernel, error)) {
	t.Helper()
	open = OpenGroup("epoll", Options{})
	for i := range loops {
		k, err := open(i, len(loops))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
		loops[i] = k.(*epoll)
	}
	if loops[1].wait.mode != WaitHold {
		t.Skip("the runtime cannot interrupt a system call here")
	}
	return loops, open
}

// A loop of a group holds its P, however many loops there are, while the others have waited for some time, and not otherwise.
func TestHoldInGroup(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	loops, open := threeLoops(t)
	k := loops[1]
	k.wait.brief.need = 1 << 30 // waits follow one another fast here
	ev := make([]kernel.Event, 1)
	held := func() bool {
		turns := k.wait.turns
		k.Wake()
		k.Wait(ev, kernel.Forever) // without a timer, so no clock is read for it
		return k.wait.turns == turns
	}
	never := func(when string) {
		t.Helper()
		for start := time.Now(); time.Since(start) < 3*shortIdle; {
			if held() {
				t.Fatalf("%s: it holds a P", when)
			}
		}
	}
	atLast := func(when string) {
		t.Helper()
		start := time.Now()
		for !held() {
			if time.Since(start) > 10*time.Second {
				t.Fatalf("%s: it holds no P", when)
			}
		}
		if d := time.Since(start); d < shortIdle {
			t.Errorf("%s: it holds a P after %v", when, d)
		}
	}
	never("the others run")
	loops[0].wait.place.turn()
	never("one of the others runs")
	loops[2].wait.place.turn()
	if held() {
		t.Error("it holds a P when another has just begun to wait")
	}
	atLast("the others are idle")
	if !held() {
		t.Error("it no longer holds a P though nothing has happened")
	}
	if k.wait.place.turns.Load()%2 != 0 {
		t.Error("it counts as one that waits")
	}
	loops[2].wait.place.turn()
	loops[2].wait.place.turn()
	if held() {
		t.Error("it holds a P when another has had a turn in between")
	}
	atLast("the others are idle again")
	turns := loops[0].wait.place.turns.Load()
	loops[0].wait.place.turn()
	loops[0].Wake()
	loops[0].Wait(ev, kernel.Forever)
	if n := loops[0].wait.place.turns.Load(); n != turns+3 || held() {
		t.Error("a wait is not two turns", n-turns)
	}
	never("one of the others has waited and runs")
	if k, err := open(1, 3); err != nil || k.(*epoll).wait.place != loops[1].wait.place {
		t.Error("a loop that is started anew has another place", err)
	} else {
		k.Close()
	}
}

// A loop of a group holds its P, though the others run, while there are more Ps than loops. It notices when that changes.
func TestHoldWithSpareP(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	loops, _ := threeLoops(t)
	k := loops[1]
	ev := make([]kernel.Event, 1)
	held := func(until time.Duration) bool {
		t.Helper()
		turns := k.wait.turns
		if _, err := k.Wait(ev, until); err != nil {
			t.Fatal(err)
		}
		return k.wait.turns == turns
	}
	if !held(k.Now() + time.Millisecond) {
		t.Error("it does not hold the P that is to spare")
	}
	eventually := func(want bool, until func() time.Duration, when string) {
		t.Helper()
		for start := time.Now(); held(until()) != want; {
			if time.Since(start) > 10*time.Second {
				t.Fatal(when)
			}
		}
	}
	runtime.GOMAXPROCS(3)
	eventually(false, func() time.Duration { return k.Now() + 30*time.Millisecond }, "as many Ps as loops: it goes on holding one") // until it is interrupted
	runtime.GOMAXPROCS(4)
	eventually(true, func() time.Duration { return k.Now() + time.Microsecond }, "one P more: it does not hold it")
}
