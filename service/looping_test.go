package service_test

import (
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// beat is a looping call of a test, which notes when it is called, and with which counts.
type beat struct {
	*service.LoopingCall
	r      *reactor.Reactor
	zero   time.Duration
	at     []time.Duration
	counts []int
	do     func() *deferred.Deferred[service.None] // nil: nothing
}

func newBeat(r *reactor.Reactor) *beat {
	b := &beat{r: r, zero: r.Now()}
	b.LoopingCall = service.NewLoopingCall(r, func(count int) *deferred.Deferred[service.None] {
		b.at, b.counts = append(b.at, r.Now()-b.zero), append(b.counts, count)
		if b.do == nil {
			return nil
		}
		return b.do()
	})
	return b
}

// pass lets time pass until d after the beginning.
func (b *beat) pass(t *testing.T, d time.Duration) {
	t.Helper()
	reached := false
	b.r.CallLater(b.zero+d-b.r.Now(), func() { reached = true })
	for !reached {
		if err := b.r.Turn(-1); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *beat) want(t *testing.T, what string, counts []int, at ...time.Duration) {
	t.Helper()
	for i := range b.at {
		b.at[i] = b.at[i].Round(time.Millisecond)
	}
	if !slices.Equal(b.at, at) || !slices.Equal(b.counts, counts) {
		t.Errorf("%s: calls at %v, counts %v; want %v, %v", what, b.at, b.counts, at, counts)
	}
	b.at, b.counts = nil, nil
}

const s = time.Second

// LC-1: a start makes the first call inside it, or after one interval. Wrong use panics.
func TestLoopStart(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	d := b.Start(s, true)
	if len(b.at) != 1 || !b.Running() {
		t.Error("LC-1: no call inside Start")
	}
	panics(t, func() { b.Start(s, true) })
	b.pass(t, 2500*time.Millisecond)
	b.want(t, "LC-1, LC-7", []int{1, 1, 1}, 0, s, 2*s)
	if b.Stop(); failure(d) != nil || b.Running() {
		t.Error("LC-4:", failure(d))
	}
	panics(t, b.Stop)
	panics(t, b.Reset)
	panics(t, func() { b.Start(-1, true) })
	panics(t, func() { b.SetInterval(-1) })
	b.pass(t, 10*s)
	b.want(t, "LC-4: no call after a stop", nil)
	b.Start(s, false)
	b.pass(t, 12500*time.Millisecond)
	b.want(t, "LC-1, LC-7: after an interval", []int{1, 1}, 11*s, 12*s)
	b.Stop()
	panics(t, func() { service.NewLoopingCall(r, nil) })
}

// LC-2: calls stay on the grid. Places that were missed are skipped, and one that is just now counts as missed. LC-3, LC-7: a call that takes its time
// postpones the next one, and is counted.
func TestLoopGrid(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	takes := []time.Duration{2500 * time.Millisecond, 0, 2 * s, 0, 100 * time.Millisecond}
	b.do = func() *deferred.Deferred[service.None] {
		d := takes[0]
		if takes = takes[1:]; len(takes) == 0 {
			b.Stop()
		}
		if d == 0 {
			return nil
		}
		return deferred.Sleep(r, d)
	}
	d := b.Start(s, true)
	b.pass(t, 20*s)
	b.want(t, "LC-2, LC-3, LC-7", []int{1, 3, 1, 3, 1}, 0, 3*s, 4*s, 7*s, 8*s)
	if failure(d) != nil {
		t.Error(failure(d))
	}
}

// LC-3: a call that fails ends the loop with its error, and it does not run by then. So does one that panics.
func TestLoopFails(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	for name, do := range map[string]func() *deferred.Deferred[service.None]{
		"fails": func() *deferred.Deferred[service.None] { return deferred.Failed[service.None](r, errTest) },
		"fails later": func() *deferred.Deferred[service.None] {
			return deferred.Later(r, s, func() (service.None, error) { return service.None{}, errTest })
		},
		"panics": func() *deferred.Deferred[service.None] { panic(errTest) },
	} {
		b := newBeat(r)
		b.do = do
		told := false
		d := b.Start(s, true)
		d.Done(func(_ service.None, err error) {
			if told = true; b.Running() || err == nil {
				t.Errorf("LC-3: %s: it runs: %v, %v", name, b.Running(), err)
			}
		})
		b.pass(t, 5*s)
		if !told || len(b.at) != 1 || r.Stats().Pending != 0 {
			t.Errorf("LC-3: %s: %v", name, b.at)
		}
	}
}

// LC-4: a stop inside the call is told when the call has returned, or fails if it fails.
func TestLoopStopInside(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for _, want := range []error{nil, errTest} {
		b := newBeat(r)
		var end *deferred.Deferred[service.None]
		b.do = func() *deferred.Deferred[service.None] {
			b.Stop()
			if end != nil && failure(end) != errPending {
				t.Error("LC-4: told before the call has returned")
			}
			return deferred.Later(r, s, func() (service.None, error) { return service.None{}, want })
		}
		end = b.Start(2*s, false)
		end.Ignore()
		b.pass(t, 2500*time.Millisecond)
		if failure(end) != errPending || !b.Busy() {
			t.Error("LC-4: told before the call was done")
		}
		b.pass(t, 6*s)
		if failure(end) != want || len(b.at) != 1 || b.Busy() {
			t.Errorf("LC-4: %v, want %v; %v", failure(end), want, b.at)
		}
	}
}

// LC-5: a reset drops the next call and begins the interval anew. While a call takes its time it does nothing.
func TestLoopReset(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	b.Start(2*s, false)
	b.pass(t, 1500*time.Millisecond)
	b.Reset()
	b.pass(t, 6*s)
	b.want(t, "LC-5", []int{1, 1}, 3500*time.Millisecond, 5500*time.Millisecond)
	b.do = func() *deferred.Deferred[service.None] { return deferred.Sleep(r, s) }
	b.pass(t, 8*s)
	b.Reset()
	b.pass(t, 9600*time.Millisecond)
	b.want(t, "LC-5: in a call", []int{1, 1}, 7500*time.Millisecond, 9500*time.Millisecond)
	b.Stop()
	b.pass(t, 12*s)
}

// LC-7: a reset does not lose the places that a long call has missed. Another interval counts from the reset on (LC-8).
func TestLoopResetCounts(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	b.do = func() *deferred.Deferred[service.None] { return deferred.Sleep(r, 5*s) }
	b.Start(2*s, true)
	b.pass(t, 5500*time.Millisecond) // the places at 2 s and 4 s are missed
	b.do = nil
	b.Reset()
	b.pass(t, 9600*time.Millisecond)
	b.want(t, "LC-7", []int{1, 3, 1}, 0, 7500*time.Millisecond, 9500*time.Millisecond)
	b.do = func() *deferred.Deferred[service.None] { return deferred.Sleep(r, 5*s) }
	b.pass(t, 17*s) // the call of 11.5 s misses 13.5 s and 15.5 s
	b.do = nil
	b.SetInterval(s)
	b.Reset()
	b.Reset()
	b.pass(t, 19100*time.Millisecond)
	b.want(t, "LC-7, LC-8: another interval", []int{1, 3, 1}, 11500*time.Millisecond, 18*s, 19*s)
	b.Stop()
}

// LC-6, LC-7: with interval 0 there is one call a turn, never two, and the count is 1.
func TestLoopZero(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	b.Start(0, true)
	for i := range 5 {
		if len(b.at) != i+1 || b.counts[i] != 1 {
			t.Errorf("LC-6, LC-7: after %d turns: %v", i, b.counts)
		}
		if err := r.Turn(0); err != nil {
			t.Fatal(err)
		}
	}
	b.Stop()
}

// LC-7: after a delay of whole intervals the count is more, and less than an interval does not count. The counts add up.
func TestLoopCounts(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	interval := 100 * time.Millisecond
	takes := []time.Duration{0, 50, 99, 100, 101, 350, 1000, 0}
	i := 0
	b.do = func() *deferred.Deferred[service.None] {
		d := takes[i%len(takes)] * time.Millisecond
		i++
		return deferred.Sleep(r, d)
	}
	b.Start(interval, false)
	b.pass(t, 20*s+50*time.Millisecond)
	sum := 0
	for i, n := range b.counts {
		sum += n
		if place := int(b.at[i] / interval); n < 1 || sum != place {
			t.Errorf("LC-7: the counts up to call %d, at %v, are %d", i, b.at[i], sum)
		}
	}
	if !slices.Contains(b.counts, 2) || !slices.Contains(b.counts, 11) {
		t.Errorf("LC-7: %v", b.counts)
	}
	b.Stop()
	b.pass(t, 25*s)
}

// LC-8: another interval counts from the next scheduling on.
func TestLoopInterval(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	b.Start(2*s, true)
	b.pass(t, s)
	b.SetInterval(3 * s)
	b.pass(t, 9*s)
	b.want(t, "LC-8", []int{1, 1, 1, 1}, 0, 2*s, 5*s, 8*s)
	b.SetInterval(0)
	b.pass(t, 11*s)
	if b.at[0].Round(time.Millisecond) != 11*s || b.counts[0] != 1 {
		t.Errorf("LC-8: %v", b.at)
	}
	b.Stop()
}

// LC-9: giving up the wait for the end stops the loop. A stop and a start while a call takes its time do not get in each other's way.
func TestLoopRestart(t *testing.T) {
	r := simulated(t, reactor.Config{})
	b := newBeat(r)
	d := b.Start(s, true)
	d.Cancel()
	if failure(d) != reactor.ErrCancelled || b.Running() || r.Stats().Pending != 0 {
		t.Error("LC-9: given up:", failure(d))
	}
	b.at, b.counts = nil, nil
	calls := 0
	b.do = func() *deferred.Deferred[service.None] {
		if calls++; calls == 1 {
			return deferred.Sleep(r, 2500*time.Millisecond)
		}
		return nil
	}
	first := b.Start(s, true)
	b.pass(t, 500*time.Millisecond)
	b.Stop()
	second := b.Start(s, true)
	b.pass(t, 700*time.Millisecond)
	b.Stop()
	third := b.Start(s, false)
	if failure(first) != errPending || failure(second) != nil || !b.Running() {
		t.Errorf("LC-9: %v, %v", failure(first), failure(second))
	}
	b.pass(t, 5*s)
	b.want(t, "LC-9", []int{1, 2, 1, 1}, 0, 2700*time.Millisecond, 3700*time.Millisecond, 4700*time.Millisecond)
	if failure(first) != nil || failure(third) != errPending {
		t.Errorf("LC-9: %v, %v", failure(first), failure(third))
	}
	third.Cancel()
	b.pass(t, 10*s)
	if len(b.at) != 0 || b.Running() {
		t.Error("LC-9: it goes on")
	}
	// Giving up during a call: the loop ends, and the call's end is told to nobody.
	b.do = func() *deferred.Deferred[service.None] { return deferred.Sleep(r, s) }
	d = b.Start(s, true)
	d.Cancel()
	b.pass(t, 15*s)
	if len(b.at) != 1 || b.Busy() {
		t.Error("LC-9:", b.at)
	}
}
