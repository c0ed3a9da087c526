package clock_test

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/clock"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

const s = time.Second

// entry is a call that a test has noted: who, and when.
type entry struct {
	name string
	at   time.Duration
}

func newClock(t *testing.T) (c *clock.Clock, note func(name string) func(), noted *[]entry) {
	c = clock.New()
	t.Cleanup(c.Close)
	noted = new([]entry)
	return c, func(name string) func() {
		return func() { *noted = append(*noted, entry{name, c.Now()}) }
	}, noted
}

func want(t *testing.T, what string, got *[]entry, want ...entry) {
	t.Helper()
	if !slices.Equal(*got, want) {
		t.Errorf("%s: %v, want %v", what, *got, want)
	}
	*got = nil
}

// CLK-1: the clock begins at 0 and moves only when it is advanced. Its delayed calls can be moved, cancelled and listed.
func TestAdvance(t *testing.T) {
	c, note, noted := newClock(t)
	r := c.Reactor()
	if c.Now() != 0 {
		t.Error("CLK-1: it begins at", c.Now())
	}
	first := r.CallLater(2*s, note("first"))
	second := r.CallLater(2*s, note("second"))
	third := r.CallLater(2*s, note("third"))
	if c.Advance(s); c.Now() != s {
		t.Error("CLK-1:", c.Now())
	}
	second.Cancel()
	third.Reset(3 * s)
	third.Delay(s)
	if n := len(r.DelayedCalls()); n != 2 || c.Now() != s || r.Stats().DelayedCalls != 0 {
		t.Errorf("CLK-1: %d calls at %v", n, c.Now())
	}
	c.Advance(s)
	want(t, "CLK-1", noted, entry{"first", 2 * s})
	c.Advance(10 * s)
	want(t, "CLK-1", noted, entry{"third", 5 * s})
	if c.Advance(-s); c.Now() != 12*s || first.Active() {
		t.Error("CLK-1:", c.Now())
	}
}

// CLK-2: advancing makes what is due in the order of due times, equals in the order of scheduling. Each call sees its own due time.
func TestOrder(t *testing.T) {
	c, note, noted := newClock(t)
	for _, name := range []string{"3", "1a", "2", "1b"} {
		c.Reactor().CallLater(time.Duration(name[0]-'0')*s, note(name))
	}
	c.Advance(5 * s)
	want(t, "CLK-2", noted, entry{"1a", s}, entry{"1b", s}, entry{"2", 2 * s}, entry{"3", 3 * s})
	zero := c.Reactor().Now()
	c.Reactor().CallLater(s, func() {
		if now := c.Reactor().Now() - zero; now != s {
			t.Error("CLK-2: the reactor's clock says", now)
		}
	})
	c.Advance(5 * s)
}

// CLK-3: a call that is added with delay 0 while the clock advances is made in the same advance, at the same time, also at its end.
func TestAddedMeanwhile(t *testing.T) {
	c, note, noted := newClock(t)
	r := c.Reactor()
	r.CallLater(s, func() {
		note("outer")()
		r.CallLater(0, func() { note("inner")(); r.CallLater(s, note("later")) })
	})
	c.Advance(s)
	want(t, "CLK-3: at the end", noted, entry{"outer", s}, entry{"inner", s})
	c.Advance(5 * s)
	want(t, "CLK-3", noted, entry{"later", 2 * s})
	var again func()
	again = func() { r.CallLater(0, again) }
	again()
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, sim.ErrLivelock) {
			t.Errorf("calls for ever: %v", err)
		}
	}()
	c.Advance(s)
}

// CLK-4: the order holds also if calls are moved to later, or from inside another call.
func TestMoved(t *testing.T) {
	c, note, noted := newClock(t)
	r := c.Reactor()
	a := r.CallLater(s, note("a"))
	r.CallLater(2*s, note("b"))
	a.Reset(3 * s)
	c.Advance(5 * s)
	want(t, "CLK-4: moved to later", noted, entry{"b", 2 * s}, entry{"a", 3 * s})
	x := r.CallLater(3*s, note("x"))
	y := r.CallLater(2*s, note("y"))
	r.CallLater(s, func() {
		note("mover")()
		x.Reset(s / 2)
		y.Delay(5 * s)
	})
	c.Advance(10 * s)
	want(t, "CLK-4: moved inside a call", noted, entry{"mover", 6 * s}, entry{"x", 6*s + s/2}, entry{"y", 12 * s})
}

// CLK-5: a panic in a call goes through to whoever advances, and the rest stays pending. A list of steps is several advances.
func TestPanic(t *testing.T) {
	c, note, noted := newClock(t)
	r := c.Reactor()
	r.CallLater(s, note("before"))
	r.CallLater(s, func() { panic("no") })
	r.CallLater(s, note("beside"))
	r.CallLater(2*s, note("after"))
	func() {
		defer func() {
			if e, ok := recover().(*reactor.PanicError); !ok || !strings.Contains(e.Error(), "no") {
				t.Errorf("CLK-5: %v", e)
			}
		}()
		c.Advance(5 * s)
		t.Error("CLK-5: the panic does not go through")
	}()
	want(t, "CLK-5", noted, entry{"before", s}, entry{"beside", s})
	if n := len(r.DelayedCalls()); n != 1 || c.Now() != s {
		t.Errorf("CLK-5: %d calls are pending", n)
	}
	c.Advance(5 * s)
	want(t, "CLK-5: the rest", noted, entry{"after", 2 * s})
	zero := c.Now()
	for i := range 4 {
		r.CallLater(time.Duration(i+1)*s, note("step"))
	}
	c.Pump(s, 0, 2*s)
	want(t, "CLK-5: steps", noted, entry{"step", zero + s}, entry{"step", zero + 2*s}, entry{"step", zero + 3*s})
	c.Pump()
}

// The longest time that there is lets all calls be made that are pending, and no moment comes after it.
func TestAdvanceForever(t *testing.T) {
	c, note, noted := newClock(t)
	c.Advance(s)
	c.Reactor().CallLater(time.Hour, note("an hour later"))
	c.Advance(math.MaxInt64)
	want(t, "all time", noted, entry{"an hour later", time.Hour + s})
	end := c.Now()
	c.Reactor().CallLater(time.Second, note("after all time"))
	if c.Advance(math.MaxInt64); c.Now() != end {
		t.Errorf("from %v to %v", end, c.Now())
	}
}
