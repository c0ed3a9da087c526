package reactor_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// virtualKernel is a kernel whose clock moves only when the reactor waits, to the
// moment it waits for, or when a test moves it.
type virtualKernel struct {
	kernel.Kernel
	now   time.Duration
	waits []time.Duration // the until of each Wait
}

func (k *virtualKernel) Now() time.Duration { return k.now }

func (k *virtualKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	k.waits = append(k.waits, until)
	n, err := k.Kernel.Wait(ev, 0)
	if n == 0 && until != kernel.Forever {
		k.now = max(k.now, until)
	}
	return n, err
}

// virtual is a reactor in virtual time, on every kernel.
func virtual(t *testing.T, body func(t *testing.T, k *virtualKernel, r *reactor.Reactor)) {
	t.Helper()
	worlds(t, func(t *testing.T, w testworld.World) {
		k := &virtualKernel{Kernel: w.Open(t), now: time.Second}
		body(t, k, testworld.New(t, k, reactor.Config{}))
	})
}

// waitsUntil turns r, once for what is posted and once without that, and tells
// until when it would have waited.
func (k *virtualKernel) waitsUntil(t *testing.T, r *reactor.Reactor) time.Duration {
	t.Helper()
	now := k.now
	testworld.Turns(t, r, 1)
	if err := r.Turn(-1); err != nil {
		t.Fatal(err)
	}
	k.now = now
	return k.waits[len(k.waits)-1]
}

const ms = time.Millisecond

func TestClock(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a := r.Now()
		d := r.CallLater(time.Hour, func() {})
		b := r.Now()
		if a <= 0 || b < a {
			t.Errorf("TIME-1: the clock reads %v, then %v", a, b)
		}
		if due := d.Due() - time.Hour; due < a || due > b {
			t.Errorf("TIME-2: scheduled between %v and %v, due in an hour from %v", a, b, due)
		}
		a = r.Now()
		d.Reset(time.Minute)
		b = r.Now()
		if due := d.Due() - time.Minute; due < a || due > b {
			t.Errorf("TIME-2: reset between %v and %v, due in a minute from %v", a, b, due)
		}
		early := false
		start := r.Now()
		done := false
		r.CallLater(3*ms, func() { done = true; early = r.Now() < start+3*ms })
		until(t, r, func() bool { return done })
		if early {
			t.Error("TIME-19: made early")
		}
	})
}

func TestDelaysOutOfRange(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var s steps
		r.CallLater(0, s.adds("zero"))
		r.CallLater(-time.Hour, s.adds("negative")) // TIME-3: as zero
		r.CallLater(math.MinInt64, s.adds("most negative"))
		far := r.CallLater(math.MaxInt64, s.adds("never"))
		farther := r.CallLater(time.Hour, s.adds("never either"))
		if !farther.Delay(math.MaxInt64) {
			t.Error("TIME-4: Delay refused")
		}
		testworld.Turns(t, r, 1)
		same(t, s, "zero", "negative", "most negative")
		if got := k.waitsUntil(t, r); got < math.MaxInt64/2 {
			t.Errorf("TIME-4: it waits until %v", got)
		}
		r.CallLater(ms, s.adds("soon")) // TIME-4: the loop is not disturbed
		until(t, r, func() bool { return len(s) == 4 })
		for _, d := range []*reactor.DelayedCall{far, farther} {
			if !d.Active() || d.Due() != math.MaxInt64-1 || !slices.Contains(r.DelayedCalls(), d) {
				t.Errorf("TIME-4: %v is not pending", d)
			}
		}
		r.Post(func() { far.Reset(math.MaxInt64); farther.Reset(math.MaxInt64 - 1) })
		testworld.Turns(t, r, 2)
		if !far.Active() || far.Due() != math.MaxInt64-1 || farther.Due() != math.MaxInt64-1 {
			t.Errorf("TIME-4: after Reset: %v, %v", far, farther)
		}
	})
}

func TestWaitsForTheFirstCall(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var d *reactor.DelayedCall
		for _, c := range []struct {
			what string
			do   func()
			want time.Duration
		}{
			{"TIME-5: nothing pending", func() {}, kernel.Forever},
			{"TIME-5: one call", func() { d = r.CallLater(40*ms, func() {}) }, time.Second + 40*ms},
			{"TIME-6: time passes, the moment stays", func() { k.now += 10 * ms }, time.Second + 40*ms},
			{"TIME-6: an earlier one", func() { r.CallLater(20*ms, func() {}) }, time.Second + 30*ms},
			{"TIME-6: reset to sooner", func() { d.Reset(5 * ms) }, time.Second + 15*ms},            // TIME-20
			{"TIME-6: delayed by so much", func() { d.Delay(2 * ms) }, time.Second + 17*ms},         // TIME-18
			{"TIME-18: delayed by less than nothing", func() { d.Delay(-ms) }, time.Second + 16*ms}, // TIME-20
			{"TIME-27: reset to later, between turns", func() { d.Reset(time.Hour) }, time.Second + 30*ms},
			{"TIME-21: only the last counts", func() { d.Reset(ms); d.Reset(time.Hour); d.Reset(9 * ms) }, time.Second + 19*ms},
			{"TIME-6: cancelled", func() { d.Cancel() }, time.Second + 30*ms},
			{"TIME-6: all cancelled", func() { r.DelayedCalls()[0].Cancel() }, kernel.Forever},
		} {
			c.do()
			if got := k.waitsUntil(t, r); got != c.want {
				t.Errorf("%s: it waits until %v, not %v", c.what, got, c.want)
			}
		}
		// TIME-5: the wait has no limit but Forever. If a call is due, the loop does not wait.
		d.Reset(100 * 365 * 24 * time.Hour)
		if got := k.waitsUntil(t, r); got != d.Due() {
			t.Errorf("TIME-5: a call in a century: it waits until %v", got)
		}
		d.Cancel()
		r.CallLater(0, func() { r.CallLater(0, func() { r.Stop() }) })
		now := k.now
		runToEnd(t, r)
		if k.now != now {
			t.Errorf("TIME-5: with a call due it waited %v", k.now-now)
		}
	})
}

func TestOneReadingOfTheClock(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var s steps
		turn := func(what string) func() { return func() { s.add(fmt.Sprint(what, " ", r.Stats().Turns)) } }
		r.CallLater(ms, turn("late"))
		r.CallLater(0, func() {
			turn("first")()
			k.now += time.Minute                                       // TIME-7: "late" is due now, but was not when the turn began
			r.CallLater(0, turn("nested"))                             // TIME-8: the next turn
			r.Post(func() { r.CallLater(-time.Hour, turn("posted")) }) // TIME-8: the same turn as the post
			turn("end")()                                              // TIME-9
		})
		testworld.Turns(t, r, 3)
		same(t, s, "first 1", "end 1", "late 2", "nested 2", "posted 2")
	})
}

func TestNoCallInsideCallLater(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		calls := 0
		var again *reactor.DelayedCall
		again = r.CallLater(0, func() {
			calls++
			before := calls
			again.Reset(0) // TIME-8: a call that schedules itself does not hold the turn
			if calls != before {
				t.Error("TIME-9: called inside Reset")
			}
		})
		if calls != 0 {
			t.Error("TIME-9: called inside CallLater")
		}
		testworld.Turns(t, r, 5)
		if calls > 5 {
			t.Errorf("TIME-8: %d calls in 5 turns", calls)
		}
		until(t, r, func() bool { return calls >= 5 })
	})
}

func TestCallsInOrder(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var got, want []int
		for i := range 1000 {
			r.CallLater(ms, func() { got = append(got, i) })
			want = append(want, i)
		}
		until(t, r, func() bool { return len(got) >= 1000 })
		same(t, got, want...) // TIME-10: equals in the order of scheduling
	})
}

// planned is what the model knows of a delayed call.
type planned struct {
	due    time.Duration
	active bool
	past   bool   // moved to before now: as good as now, whatever Due says
	seq    int    // of its last change
	turn   uint64 // in which that was
}

// model is the plain way to keep delayed calls, beside the reactor's.
type model struct {
	t       *testing.T
	k       *virtualKernel
	r       *reactor.Reactor
	rnd     *rand.Rand
	plan    [200]planned
	calls   [200]reactor.DelayedCall
	changes int
	made    int
}

// change does something to some call, in both.
func (m *model) change() {
	i := m.rnd.IntN(len(m.calls))
	by := time.Duration(m.rnd.IntN(50)) * ms
	p, d := &m.plan[i], &m.calls[i]
	switch m.rnd.IntN(5) {
	case 0:
		if d.Cancel() != p.active {
			m.t.Errorf("TIME-14: Cancel of call %d: %+v", i, *p)
		}
		p.active = false
	case 1:
		by -= 25 * ms
		if d.Delay(by) != p.active {
			m.t.Errorf("TIME-18: Delay of call %d: %+v", i, *p)
		}
		p.due += by
		if p.past = p.due <= m.k.now; p.past {
			p.due = m.k.now
		}
	default:
		d.Reset(by)
		*p = planned{due: m.k.now + by, active: true}
	}
	m.changes++
	p.seq, p.turn = m.changes, m.r.Stats().Turns
	if d.Active() != p.active || p.active && !p.past && d.Due() != p.due {
		m.t.Errorf("TIME-17: call %d is due %v, want %+v", i, d.Due(), *p)
	}
}

// called is the function of call i.
func (m *model) called(i int) {
	p := &m.plan[i]
	if !p.active || m.k.now < p.due {
		m.t.Errorf("TIME-19: call %d made at %v: %+v", i, m.k.now, *p)
	}
	for j, o := range m.plan {
		first := o.due < p.due || o.due == p.due && o.seq < p.seq
		// One that was changed in this turn waits for the next.
		if j != i && o.active && !o.past && !p.past && o.turn < m.r.Stats().Turns && first {
			m.t.Errorf("TIME-10: call %d %+v before call %d %+v", i, *p, j, o)
		}
	}
	p.active = false
	m.made++
	m.change()
	m.change()
}

// TestCallsAgainstModel schedules, resets, delays and cancels at random, inside
// and outside of turns, and compares with the model (TIME-10, TIME-14, TIME-17,
// TIME-18, TIME-19, TIME-20, TIME-21).
func TestCallsAgainstModel(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		m := &model{t: t, k: k, r: r, rnd: rand.New(rand.NewPCG(1, 2))}
		for i := range m.calls {
			m.calls[i].Init(r, func() { m.called(i) })
		}
		for range 3000 {
			m.change()
			if m.rnd.IntN(3) == 0 {
				r.Post(m.change)
			}
			now := k.now
			if err := r.Turn(time.Duration(m.rnd.IntN(3)) * ms); err != nil {
				t.Fatal(err)
			}
			testworld.Turns(t, r, 1)
			for i, p := range m.plan {
				if p.active && p.due < now {
					t.Fatalf("TIME-20: call %d is still pending at %v: %+v", i, k.now, p)
				}
			}
		}
		if m.made < 500 {
			t.Errorf("only %d calls were made", m.made)
		}
	})
}

func TestDelayedCallPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var s steps
		r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { s.add(e.Error()) }})
		r.CallLater(0, s.adds("first"))
		bad := r.CallLater(0, func() { panic("oh") })
		r.CallLater(0, s.adds("last"))
		testworld.Turns(t, r, 1)
		same(t, s, "first", "panic in delayed call: oh", "last") // TIME-11: in the same turn
		if bad.Active() {
			t.Error("TIME-12: a call that panicked is pending")
		}
	})
}

func TestDelayedCallStates(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var d *reactor.DelayedCall
		calls := 0
		d = r.CallLater(ms, func() {
			calls++
			// TIME-12: called already, as far as it knows.
			if d.Active() || d.Cancel() || d.Delay(ms) || d.Due() != 0 || len(r.DelayedCalls()) != 0 {
				t.Errorf("TIME-12: inside its function it is %v", d)
			}
			if calls == 1 {
				d.Reset(ms) // TIME-12: to be called again
			}
		})
		until(t, r, func() bool { return calls == 2 })
		for range 2 {
			if d.Cancel() {
				t.Error("TIME-13: Cancel after the run")
			}
		}
		d.Reset(ms)
		if !d.Cancel() || d.Cancel() || d.Delay(ms) || d.Active() {
			t.Error("TIME-13: Cancel twice")
		}
		testworld.Turns(t, r, 1)
		k.now += time.Hour
		testworld.Turns(t, r, 2)
		if calls != 2 {
			t.Error("TIME-14: a cancelled call was made")
		}
		d.Reset(ms)
		until(t, r, func() bool { return calls == 3 }) // TIME-15: it has kept its function
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Init of a pending call did not panic")
				}
			}()
			d.Reset(ms)
			d.Init(r, func() {})
		}()
	})
}

func TestCallChangesAnotherThatIsDue(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var s steps
		var a, b, c, d, e *reactor.DelayedCall
		k.now = time.Second
		a = r.CallLater(ms, func() {
			b.Cancel()         // TIME-14: due in this very turn
			c.Reset(time.Hour) // TIME-19: it must not run early
			d.Reset(0)         // TIME-8: the next turn
			e.Delay(-time.Hour)
			s.add("a")
		})
		b = r.CallLater(ms, s.adds("b"))
		c = r.CallLater(ms, s.adds("c"))
		d = r.CallLater(ms, s.adds("d"))
		e = r.CallLater(time.Minute, s.adds("e"))
		r.CallLater(ms, s.adds("last"))
		k.now += ms
		testworld.Turns(t, r, 1)
		same(t, s, "a", "last")
		testworld.Turns(t, r, 1)
		same(t, s, "a", "last", "d", "e")
		if !c.Active() || c.Due() != k.now+time.Hour || a.Active() {
			t.Errorf("TIME-19: %v", c)
		}
	})
}

func TestPostponedIsNotLate(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var made time.Duration
		d := r.CallLater(10*ms, func() { made = k.now })
		start := k.now
		r.Post(func() { d.Reset(100 * ms) }) // its entry stays where it was
		testworld.Turns(t, r, 1)
		r.CallLater(10*ms, func() { d.Reset(20 * ms) }) // sooner than that, later than the entry
		k.now = start + 10*ms
		until(t, r, func() bool { return made > 0 })
		if made != start+30*ms {
			t.Errorf("TIME-19: made after %v, not 30ms", made-start)
		}
	})
}

func TestPostponing(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		calls := 0
		d := r.CallLater(10*ms, func() { calls++ })
		for range 1000 {
			k.now += 9 * ms
			r.Post(func() {
				d.Reset(10 * ms)
				if d.Due() != k.now+10*ms { // TIME-17
					t.Fatalf("TIME-17: due %v, at %v", d.Due(), k.now)
				}
				d.Reset(12 * ms)
				d.Reset(11 * ms)
			})
			testworld.Turns(t, r, 1)
			if d.Due() != k.now+11*ms {
				t.Fatalf("TIME-21: due %v, at %v", d.Due(), k.now)
			}
		}
		if calls != 0 {
			t.Fatal("TIME-19: made early")
		}
		last, waits := k.now, len(k.waits)
		for calls == 0 {
			if err := r.Turn(-1); err != nil {
				t.Fatal(err)
			}
		}
		if k.now != last+11*ms {
			t.Errorf("TIME-19: made after %v", k.now-last)
		}
		// TIME-19: a turn at the old time makes no call, one at the new does, one does not wait.
		if n := len(k.waits) - waits; n > 3 {
			t.Errorf("TIME-19: %d waits for one call", n)
		}
		// A postponed call can be cancelled, and moved sooner, in the same turn.
		d.Reset(10 * ms)
		r.Post(func() { d.Reset(time.Hour); d.Cancel() })
		testworld.Turns(t, r, 1)
		if d.Active() || k.waits[len(k.waits)-1] != 0 {
			t.Error("TIME-14: cancelled after it was postponed, and still there")
		}
		d.Reset(10 * ms)
		r.Post(func() { d.Reset(time.Hour); d.Reset(ms) })
		if got := k.waitsUntil(t, r); got != k.now+ms {
			t.Errorf("TIME-20: it waits until %v at %v", got, k.now)
		}
	})
}

func TestCancelledCallsAreForgotten(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		r.CallLater(time.Hour, func() {})
		held := func() weak.Pointer[[1 << 16]byte] {
			big := new([1 << 16]byte)
			d := r.CallLater(time.Hour, func() { big[0]++ })
			r.Post(func() { d.Reset(2 * time.Hour); d.Cancel() })
			return weak.Make(big)
		}()
		testworld.Turns(t, r, 1)
		for i := 0; i < 20 && held.Value() != nil; i++ {
			runtime.GC()
		}
		if held.Value() != nil {
			t.Error("TIME-15: the reactor keeps what a cancelled call refers to")
		}
		for range 10000 {
			r.CallLater(time.Hour, func() {}).Cancel()
		}
		if n := r.Stats().Pending; n != 1 {
			t.Errorf("TIME-22: %d entries for 1 live call", n)
		}
	})
}

func TestDelayedCalls(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		a := r.CallLater(time.Hour, func() {})
		b := r.CallLater(0, func() {})
		c := r.CallLater(time.Minute, func() {})
		c.Cancel()
		order := func(x, y *reactor.DelayedCall) int { return cmp.Compare(x.Due(), y.Due()) }
		got := r.DelayedCalls()
		slices.SortFunc(got, order)
		same(t, got, b, a) // TIME-16: those added since the last turn too
		clear(got)         // TIME-16: it is the caller's
		testworld.Turns(t, r, 1)
		same(t, r.DelayedCalls(), a)
	})
}

func TestDelayedCallText(t *testing.T) {
	virtual(t, func(t *testing.T, k *virtualKernel, r *reactor.Reactor) {
		var zero, d reactor.DelayedCall
		d.Init(r, func() {})
		got := []string{zero.String(), d.String()}
		d.Reset(90 * time.Second)
		got = append(got, d.String())
		r.Post(func() { d.Reset(2 * time.Minute); got = append(got, d.String()) })
		testworld.Turns(t, r, 1)
		d.Cancel()
		got = append(got, d.String())
		d.Reset(0)
		testworld.Turns(t, r, 1)
		got = append(got, d.String())
		// TIME-25: in every state.
		same(t, got, "DelayedCall(idle)", "DelayedCall(idle)", "DelayedCall(in 1m30s)", "DelayedCall(in 2m0s)",
			"DelayedCall(cancelled)", "DelayedCall(called)")
		if !strings.Contains(fmt.Sprint(&d), "called") {
			t.Errorf("TIME-25: fmt prints %v", &d)
		}
	})
}

func TestCallLaterAroundRun(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var s steps
		r.CallLater(ms, func() {
			s.add(fmt.Sprint("before run, running ", r.Running())) // TIME-23
			go r.Post(func() {                                     // TIME-26: how another goroutine schedules
				r.CallLater(ms, func() {
					s.add("from a goroutine")
					r.Stop() // TIME-24
				})
			})
		})
		runToEnd(t, r)
		same(t, s, "before run, running true", "from a goroutine")
	})
}

// idle is an owner of a delayed call, as a protocol with a time limit is.
type idle struct {
	limit reactor.DelayedCall
	calls int
}

func (i *idle) expired() { i.calls++ }

func TestDelayedCallAllocs(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var o idle
		o.limit.Init(r, o.expired)
		none := func(what string, fn func()) {
			t.Helper()
			fn()
			if n := testing.AllocsPerRun(100, fn); n != 0 {
				t.Errorf("%s: %v allocations", what, n)
			}
		}
		none("Reset and Cancel", func() { o.limit.Reset(time.Hour); o.limit.Cancel() })
		none("Reset and call", func() { o.limit.Reset(0); r.Turn(0) })
		var self reactor.DelayedCall
		self.Init(r, func() { self.Reset(0) })
		self.Reset(0)
		none("Reset in its own function", func() { r.Turn(0) })
		self.Cancel()
		o.limit.Reset(time.Hour)
		postpone := func() { o.limit.Reset(2 * time.Hour) }
		none("postponing", func() { r.Post(postpone); r.Turn(0) })
		if o.calls == 0 {
			t.Error("the call was never made")
		}
	})
}

func TestDelayedCallSize(t *testing.T) {
	queue, _ := reflect.TypeFor[reactor.Reactor]().FieldByName("timers")
	heap, ok := queue.Type.FieldByName("entries")
	if !ok {
		t.Fatal("no heap of timers")
	}
	if n := unsafe.Sizeof(reactor.DelayedCall{}) + heap.Type.Elem().Size(); n > 96 {
		t.Errorf("a pending call takes %d bytes", n)
	}
}
