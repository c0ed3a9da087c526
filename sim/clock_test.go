//go:build !race

// One goroutine does it all, but for what TestKernel has too: the race detector could find
// nothing here, and makes it take seconds.

package sim_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/kerneltest"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// shows is what a clock shows at t that was set at the time set, reckoned without a limit of
// size. What it would have gained until then is rounded to the nearest nanosecond.
func shows(t, set, skew time.Duration, drift float64) time.Duration {
	gained := func(t time.Duration, more int64) time.Duration {
		v := big.NewInt(int64(math.Round((1 + drift) * 1e9)))
		v.Mul(v, big.NewInt(int64(t)))
		v.Div(v.Add(v, big.NewInt(more)), big.NewInt(1e9))
		return time.Duration(v.Int64())
	}
	return gained(t, 0) - gained(set, 5e8) + set + skew
}

// A delayed call is made at the first nanosecond of true time at which its host's clock
// shows that it is due: not one earlier, not one later. Other hosts do not notice.
func TestClock(t *testing.T) {
	for _, drift := range []float64{0, .01, -.01, .333333333, -.999, 1e-9, -1e-9, 7, 1000} {
		for _, skew := range []time.Duration{0, 1, -1, time.Hour, -3 * time.Second} {
			for _, delay := range []time.Duration{1, 2, 3, 1e9 + 7, 86_400_000_000_001} {
				n, srv, cli := two(t, 1, nil)
				n.Run(10 * time.Second)
				srv.SetClock(skew, drift)
				set := n.Now()
				// A clock that was set back stands still until it is right.
				n.Run(20_000 * time.Second)
				if got, want := srv.Reactor.Now(), shows(n.Now(), set, skew, drift); got != want || cli.Reactor.Now() != n.Now() {
					t.Fatalf("skew %v, drift %v: the clock shows %v, want %v", skew, drift, got, want)
				}
				due := srv.Reactor.Now() + delay
				called := time.Duration(0)
				n.At(n.Now(), func() { srv.Reactor.CallLater(delay, func() { called = n.Now() }) })
				if err := n.RunUntil(func() bool { return called > 0 }, math.MaxInt64/4); err != nil {
					t.Fatal(err)
				}
				if shows(called, set, skew, drift) < due || shows(called-1, set, skew, drift) >= due {
					t.Errorf("skew %v, drift %v, delay %v: called at %v", skew, drift, delay, called)
				}
			}
		}
	}
}

// Whatever is done to a clock, it never goes back and is always positive.
func TestClockIsMonotonic(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	last, moved := time.Duration(0), 0
	state := uint64(1)
	for range 10_000 {
		state = state*6364136223846793005 + 1442695040888963407
		switch x := int64(state >> 33); {
		case x%3 == 0:
			srv.SetClock(time.Duration(x%2_000_000_000-1_000_000_000), float64(x%2000-1000)/1e6)
		default:
			n.Run(time.Duration(x % 1_000_000_000))
		}
		now := srv.Kernel.Now()
		if now < last || now <= 0 {
			t.Fatalf("the clock goes from %v to %v", last, now)
		}
		if now > last {
			moved++
		}
		last = now
	}
	if moved < 1000 {
		t.Errorf("the clock moved only %d times", moved)
	}
	srv.SetClock(-100*24*time.Hour, 0)
	stood := srv.Kernel.Now()
	n.Run(time.Second)
	if now := srv.Kernel.Now(); now != stood {
		t.Errorf("set back, the clock goes on from %v to %v", stood, now)
	}
	srv.Restart()
	if now := srv.Kernel.Now(); now != stood {
		t.Errorf("after Restart the clock shows %v, before %v", now, stood)
	}
}

// What a clock that is set forward jumps over is due at once; set back, calls come later;
// set right, they come as if nothing had been.
func TestClockIsSet(t *testing.T) {
	for _, c := range []struct{ skew, want time.Duration }{
		{2 * time.Hour, 10 * time.Minute},
		{30 * time.Minute, 30 * time.Minute},
		{-time.Hour, 2 * time.Hour},
		{0, time.Hour},
	} {
		n, srv, cli := two(t, 1, nil)
		start, called := n.Now(), time.Duration(0)
		srv.Reactor.CallLater(time.Hour, func() { called = n.Now() - start })
		// By another host, so that nothing but the clock has the host look again.
		cli.Reactor.CallLater(10*time.Minute, func() { srv.SetClock(c.skew, 0) })
		n.Run(3 * time.Hour)
		if called != c.want {
			t.Errorf("set by %v: called after %v, want %v", c.skew, called, c.want)
		}
	}
	n, srv, _ := two(t, 1, nil)
	srv.SetClock(time.Hour, -.5)
	srv.SetClock(0, 0)
	called := time.Duration(0)
	n.Run(2 * time.Hour)
	due := srv.Reactor.Now() + time.Second
	n.At(n.Now(), func() { srv.Reactor.CallLater(time.Second, func() { called = n.Now() }) })
	n.Run(time.Minute)
	if called != due {
		t.Errorf("with the clock set right: called at %v, want %v", called, due)
	}
}

// Rounding makes no host turn in place: time passes between the calls of the shortest
// delay there is.
func TestClockDoesNotSpin(t *testing.T) {
	for drift, want := range map[float64]int{0: 100_000, -.9: 10_000, -.999999: 0, .7: 100_000} {
		n, srv, _ := two(t, 1, nil)
		n.MaxTurns = 10
		srv.SetClock(0, drift)
		n.Run(time.Hour)
		calls := 0
		var again func()
		again = func() { calls++; srv.Reactor.CallLater(1, again) }
		srv.Reactor.CallLater(1, again)
		before := srv.Reactor.Now()
		if err := n.Run(100 * time.Microsecond); err != nil {
			t.Fatalf("drift %v: %v", drift, err)
		}
		if passed := int(srv.Reactor.Now() - before); calls > passed || calls < want-1 {
			t.Errorf("drift %v: %d calls in %d ns of the clock", drift, calls, passed)
		}
	}
}

// A change of the rate does not make the clock jump: it goes on from what it shows, at the new
// rate. SetClock sets it to true time and the skew, whatever the rate was and is.
func TestClockDriftRestarts(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	n.Run(1000 * time.Second)
	near := func(what string, want time.Duration) {
		t.Helper()
		if off := srv.Kernel.Now() - n.Now() - want; off < -2 || off > 2 {
			t.Errorf("%s: the clock is %v ahead, want %v", what, srv.Kernel.Now()-n.Now(), want)
		}
	}
	srv.SetDrift(.1)
	near("at once", 0)
	n.Run(100 * time.Second)
	near("after 100 s at 0.1", 10*time.Second)
	srv.SetDrift(-.05)
	near("changed", 10*time.Second)
	n.Run(100 * time.Second)
	near("after 100 s at -0.05", 5*time.Second)
	srv.SetDrift(0)
	n.Run(100 * time.Second)
	near("without drift", 5*time.Second)
	srv.SetClock(time.Second, .1)
	near("set", 5*time.Second) // it stands still until it is right
	n.Run(10 * time.Second)
	near("right again", 2*time.Second)
	n.Run(90 * time.Second)
	near("set, and right", 11*time.Second)
}

// A clock jumps forward and goes on at its rate. Set back, it stands still for as long, and
// what is due meanwhile is late.
func TestClockJumps(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	n.Run(10 * time.Second)
	srv.SetDrift(.1)
	var called [2]time.Duration
	for i, d := range []time.Duration{time.Minute, 2 * time.Minute} {
		srv.Reactor.CallLater(d, func() { called[i] = n.Now() })
	}
	n.At(20*time.Second, func() { srv.JumpClock(time.Minute) })
	n.At(30*time.Second, func() { srv.JumpClock(-30 * time.Second) })
	n.Run(20 * time.Second)
	// At 20 s it shows 21 s, then 81 s; at 30 s 92 s, then 62 s were it not held.
	stood := srv.Kernel.Now()
	if stood < 92*time.Second-3 || stood > 92*time.Second+3 {
		t.Errorf("at 30 s it shows %v", stood)
	}
	n.Run(20 * time.Second) // 50 s: 62 + 22 is less than 92
	if now := srv.Kernel.Now(); now != stood {
		t.Errorf("at 50 s it has gone on from %v to %v", stood, now)
	}
	n.Run(time.Hour)
	if called[0] != 20*time.Second {
		t.Errorf("what the jump passed is called at %v", called[0])
	}
	// Due at 130 s of the clock, which shows 62 s at 30 s and gains 1.1 s a second.
	if want := 30*time.Second + 68*time.Second*10/11; called[1] < want-5 || called[1] > want+5 {
		t.Errorf("what the jump back delayed is called at %v, want %v", called[1], want)
	}
}

// A clock that reaches the end of time stops there, whatever its rate. The network goes on.
func TestClockEnds(t *testing.T) {
	const end = kernel.Forever - 1
	for _, drift := range []float64{0, .5} {
		n, srv, _ := two(t, 1, nil)
		start := n.Now()
		srv.SetClock(end-start-time.Second, drift)
		n.Run(time.Second / 2)
		if now := srv.Kernel.Now(); now <= end-time.Second || now >= end {
			t.Errorf("drift %v: after half a second %v are left", drift, end-now)
		}
		for range 2 {
			n.Run(time.Hour)
			if now := srv.Kernel.Now(); now != end || n.Now()-start < time.Hour {
				t.Errorf("drift %v: at %v the clock shows %v", drift, n.Now(), now)
			}
		}
	}
}

// A drift that would stop a clock, or turn it round, is refused.
func TestClockRefuses(t *testing.T) {
	for _, drift := range []float64{-1, -2, 1001, math.NaN(), math.Inf(1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a drift of %v is taken", drift)
				}
			}()
			sim.New(1).Host("h").SetClock(0, drift)
		}()
	}
}

// The suite that every kernel passes, by a clock that is wrong: Wait follows Now.
func TestKernelWithWrongClock(t *testing.T) {
	for _, c := range []struct {
		skew  time.Duration
		drift float64
	}{{time.Hour, .25}, {-time.Second, -.3}, {0, 1e-9}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			seed := uint64(0)
			kerneltest.Run(t, func(t *testing.T) kernel.Kernel {
				seed++
				n := sim.New(seed)
				testworld.Shell(n)
				n.Host("localhost").SetClock(c.skew, c.drift)
				return n.Kernel()
			})
		})
	}
}

// A clock may be set at any time, whatever its rate: what it shows from then on depends on what
// has passed since. What it cannot show any more is the end of time.
func TestClockIsSetLate(t *testing.T) {
	for _, drift := range []float64{1000, -.999, 0} {
		n, srv, _ := two(t, 1, nil)
		n.Run(100 * 365 * 24 * time.Hour)
		set := n.Now()
		srv.SetClock(time.Hour, drift)
		n.Run(time.Hour)
		if off := srv.Kernel.Now() - shows(n.Now(), set, time.Hour, drift); off != 0 {
			t.Fatalf("drift %v: the clock is off by %v", drift, off)
		}
		called := time.Duration(0)
		n.At(n.Now(), func() { srv.Reactor.CallLater(time.Hour, func() { called = n.Now() }) })
		due := srv.Kernel.Now() + time.Hour
		n.Run(1001 * time.Hour)
		if shows(called, set, time.Hour, drift) < due || shows(called-1, set, time.Hour, drift) >= due {
			t.Errorf("drift %v: called at %v, %v after it was set", drift, called, called-set)
		}
		srv.SetDrift(drift)
		srv.JumpClock(math.MaxInt64)
		n.Run(time.Hour)
		if now := srv.Kernel.Now(); now != kernel.Forever-1 {
			t.Errorf("drift %v: beyond all time the clock shows %v", drift, now)
		}
	}
}
