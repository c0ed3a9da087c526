package reactor_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// holdUp lets d pass. If the kernel is not simulated, it is an aheadKernel: so d can be longer than a busy machine holds up a callback.
func holdUp(w testworld.World, r *reactor.Reactor, d time.Duration) {
	if !w.Simulated() {
		r.Kernel().(*aheadKernel).ahead += d
		return
	}
	w.Net().Host("localhost").SetClock(r.Now()-w.Net().Now()+d, 0)
}

// CORE-53: with Config.Slow the longest callback is known by name and time, slow ones are counted
// and logged at a bounded rate, and turns are counted by how long they took.
func TestSlow(t *testing.T) {
	const limit = 5 * time.Second
	for _, x := range []struct {
		name string
		in   string // of what is slow
		do   func(w testworld.World, r *reactor.Reactor, srv, cli *end)
	}{
		{"posted", "TestSlow", func(w testworld.World, r *reactor.Reactor, _, _ *end) {
			r.Post(func() { holdUp(w, r, 2*limit) })
		}},
		{"delayed", "TestSlow", func(w testworld.World, r *reactor.Reactor, _, _ *end) {
			r.CallLater(0, func() { holdUp(w, r, 2*limit) })
		}},
		{"protocol", "end", func(w testworld.World, r *reactor.Reactor, srv, cli *end) {
			srv.onData = func([]byte) { holdUp(w, r, 2*limit) }
			cli.s.Write([]byte("x"))
		}},
		{"panic", "posted function", func(w testworld.World, r *reactor.Reactor, _, _ *end) {
			r.Post(func() { holdUp(w, r, 2*limit); panic("late") })
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				var out bytes.Buffer
				log := slog.New(slog.NewTextHandler(&out, nil))
				r := testworld.New(t, &aheadKernel{Kernel: w.Open(t)}, reactor.Config{Slow: limit, Logger: log, Panicked: func(*reactor.PanicError) {}})
				srv, cli := new(end), new(end)
				connect(t, r, srv, cli)
				x.do(w, r, srv, cli)
				until(t, r, func() bool { return r.Stats().Slow > 0 })
				r.Turn(0) // which ends the turn that was slow
				s := r.Stats()
				if s.Slowest < 2*limit || !strings.Contains(s.SlowestName, x.in) {
					t.Errorf("the slowest is %q with %v", s.SlowestName, s.Slowest)
				}
				if text := out.String(); strings.Count(text, "held up the loop") != 1 || !strings.Contains(text, x.in) {
					t.Errorf("logged\n%s", text)
				}
				turns := uint64(0)
				for _, n := range s.TurnTimes {
					turns += n
				}
				if turns == 0 || turns > s.Turns || s.TurnTimes.Quantile(1) < 2*limit || s.TurnTimes.Quantile(0) > 2*limit {
					t.Errorf("%d of %d turns counted, the longest below %v", turns, s.Turns, s.TurnTimes.Quantile(1))
				}
			})
		})
	}
}

// CORE-53: a callback that takes exactly Config.Slow is slow, and one that takes a nanosecond less is not.
func TestSlowExactly(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w testworld.World) {
		const limit = 20 * time.Millisecond
		r := w.New(t, reactor.Config{Slow: limit})
		for want, d := range []time.Duration{limit - 1, limit} {
			r.Post(func() { holdUp(w, r, d) })
			testworld.Turns(t, r, 2)
			if s := r.Stats(); s.Slow != uint64(want) || s.Slowest != d {
				t.Errorf("CORE-53: with a callback of %v: %d slow, the slowest %v", d, s.Slow, s.Slowest)
			}
		}
	})
}

// CORE-53: what the caller of Turn does between two turns is not the loop's, and without
// Config.Slow nothing is measured.
func TestNotSlow(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const slow = 20 * time.Second // longer than any turn takes on a busy machine
		for _, limit := range []time.Duration{0, -1, slow} {
			k := &aheadKernel{Kernel: w.Open(t)}
			r := testworld.New(t, k, reactor.Config{Slow: limit})
			for range 3 {
				r.Post(func() {})
				r.Turn(0)
				k.ahead += 2 * slow
			}
			s := r.Stats()
			if s.Slow != 0 || s.Slowest >= slow || limit <= 0 && (s.Slowest != 0 || s.TurnTimes != reactor.TurnTimes{}) {
				t.Errorf("Slow %v: %d slow, the slowest %v in %s, %v", limit, s.Slow, s.Slowest, s.SlowestName, s.TurnTimes)
			}
		}
	})
}

// CORE-53: the time for which the loop waits is no callback's.
func TestWaitingIsNotSlow(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Slow: time.Second})
		r.CallLater(time.Minute, func() {
			r.CallLater(time.Minute, func() { r.Stop() })
		})
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); s.DelayedCalls != 2 || s.Slow != 0 || s.Slowest >= time.Second || s.TurnTimes.Quantile(1) > time.Second {
			t.Errorf("%d slow, the slowest %v in %s, %v", s.Slow, s.Slowest, s.SlowestName, s.TurnTimes)
		}
	})
}

// The last element of TurnTimes counts the turns that took longer than it can tell, too.
func TestSlowForHours(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Slow: time.Second})
		for i, d := range []time.Duration{10 * time.Minute, 40 * time.Minute, 1000 * time.Hour} {
			r.Post(func() { holdUp(w, r, d) })
			r.Turn(0)
			h := r.Stats().TurnTimes
			if last := h[len(h)-1]; last != uint64(i) {
				t.Errorf("after %v the last element is %d", d, last)
			}
		}
	})
}

// CORE-53: slow callbacks make one record a second at most.
func TestSlowLogIsBounded(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w testworld.World) {
		var out bytes.Buffer
		r := w.New(t, reactor.Config{Slow: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		n := 0
		var again func()
		again = func() {
			holdUp(w, r, 2*time.Millisecond)
			if n++; n < 100 {
				r.Post(again)
			}
		}
		r.Post(again)
		until(t, r, func() bool { return n == 100 })
		if lines := strings.Count(out.String(), "held up the loop"); lines != 1 {
			t.Errorf("%d records in a fifth of a second", lines)
		}
		over := false
		r.CallLater(2*time.Second, func() { over = true })
		untilAlone(t, r, func() bool { return over })
		if text := out.String(); strings.Count(text, "held up the loop") != 2 || !strings.Contains(text, "unlogged=98") {
			t.Errorf("logged\n%s", text)
		}
	})
}

func TestTurnTimesQuantile(t *testing.T) {
	var h reactor.TurnTimes
	if h.Quantile(0.5) != 0 {
		t.Error("without turns")
	}
	h[3], h[10] = 98, 2
	for _, x := range []struct {
		q    float64
		want time.Duration
	}{{0, 8}, {0.5, 8}, {0.97, 8}, {0.98, 1024}, {0.99, 1024}, {1, 1024}} {
		if got := h.Quantile(x.q); got != x.want*time.Microsecond {
			t.Errorf("Quantile(%v) is %v, want %v µs", x.q, got, int(x.want))
		}
	}
}

// Measuring allocates nothing.
func TestSlowAllocs(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		if w.Simulated() {
			return
		}
		r := w.New(t, reactor.Config{Slow: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		fn := func() {}
		var d reactor.DelayedCall
		d.Init(r, fn)
		each := func() { r.Post(fn); d.Reset(0); r.Turn(0) }
		for range 10 {
			each() // a longer one than any before has its name made
		}
		if n := testing.AllocsPerRun(100, each); n >= 1 {
			t.Errorf("%v allocations a turn", n)
		}
	})
}

// slowToEnd is a protocol that holds up the loop and then ends.
type slowToEnd struct {
	reactor.Base
	hold func()
}

func (p *slowToEnd) DataReceived([]byte) { p.hold(); p.T.Abort() }
func (p *slowToEnd) LogPrefix() string   { return "the slow protocol" }

// CORE-53: also a callback that ends its connection has the name of its protocol.
func TestSlowEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := testworld.New(t, &aheadKernel{Kernel: w.Open(t)}, reactor.Config{Slow: 5 * time.Second})
		cli := new(end)
		connect(t, r, &slowToEnd{hold: func() { holdUp(w, r, 6*time.Second) }}, cli)
		cli.s.Write([]byte("x"))
		until(t, r, func() bool { return r.Stats().Slow > 0 })
		if name := r.Stats().SlowestName; name != "the slow protocol" {
			t.Errorf("it is called %q", name)
		}
	})
}
