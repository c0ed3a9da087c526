package reactor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// inVirtualTime runs body in the simulated world, whose time stands still while nothing waits.
func inVirtualTime(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	worlds(t, func(t *testing.T, w testworld.World) {
		if w.Simulated() {
			body(t, w)
		}
	})
}

// TIME-31: calls stay on the grid of the start and whole periods. A call that takes its time does
// not move the later ones, and places that were missed are skipped.
func TestEvery(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		start := r.Now()
		var at []time.Duration
		var tick *reactor.Ticker
		tick = r.Every(100*time.Millisecond, func() {
			at = append(at, (r.Now() - start).Round(10*time.Millisecond))
			switch len(at) {
			case 2:
				w.Net().Host("localhost").SetClock(250*time.Millisecond, 0)
			case 5:
				tick.Stop()
			}
		})
		r.CallLater(2*time.Second, func() { tick.Reset(time.Second) })
		turnFor(t, r, 3501*time.Millisecond)
		var want []time.Duration
		for _, ms := range []int{100, 200, 450, 500, 600, 3000} {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(at, want) {
			t.Errorf("called at %v, want %v", at, want)
		}
	})
}

// TIME-31: on every kernel calls are made, none of them early; a panic in one does not end them, and
// one may stop them.
func TestEveryOnKernels(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		const period = 5 * time.Millisecond
		start, n := r.Now(), 0
		var tick *reactor.Ticker
		tick = r.Every(period, func() {
			n++
			if early := start + time.Duration(n)*period - r.Now(); early > 0 {
				t.Errorf("call %d is %v early", n, early)
			}
			if n == 3 {
				panic("third")
			}
			if n == 6 {
				tick.Stop()
			}
		})
		until(t, r, func() bool { return n == 6 })
		over := false
		r.CallLater(4*period, func() { over = true })
		until(t, r, func() bool { return over })
		if n != 6 || panics != 1 || r.Stats().Pending != 0 {
			t.Errorf("%d calls, %d panics, %d delayed calls are left", n, panics, r.Stats().Pending)
		}
	})
}

func TestEveryRefuses(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, bad := range []func(){
			func() { r.Every(0, func() {}) },
			func() { r.Every(-1, func() {}) },
			func() { r.Every(1, nil) },
			func() { r.Every(1, func() {}).Reset(0) },
		} {
			func() {
				defer func() {
					if v := recover(); v == nil || len(fmt.Sprint(v)) < 20 {
						t.Errorf("it says %v", v)
					}
				}()
				bad()
			}()
		}
	})
}
