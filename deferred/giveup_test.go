package deferred_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

func same(v int) (int, error) { return v, nil }

// DEF-6: giving up a long chain needs no deep stack.
func TestCancelDeep(t *testing.T) {
	r := simulated(t, reactor.Config{})
	base, deepest := depth(), 0
	d := deferred.New(r, func(*deferred.Deferred[int]) { deepest = depth() })
	root := d
	for i := range 100_000 {
		if i%2 == 0 {
			d = deferred.Then(d, same)
		} else {
			d = deferred.Then(deferred.Gather(r, d), func(v []int) (int, error) { return v[0], nil })
		}
	}
	d.Cancel()
	if failure(root) != reactor.ErrCancelled || !errors.Is(failure(d), reactor.ErrCancelled) || deepest == 0 || deepest > base+30 {
		t.Errorf("DEF-6: %v, %d deep", failure(root), deepest-base)
	}
}

// DEF-7: a result that is to wait for one that waits for it is refused where the circle would close. In a step that is the outcome, and everything
// comes to an end; Follow panics, and changes nothing.
func TestCircle(t *testing.T) {
	var reported int
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) { reported++ }})
	for name, through := range circles(r) {
		reported = 0
		x, y := circle(r, through)
		for _, d := range []*deferred.Deferred[int]{x, y} {
			e, ok := errors.AsType[*reactor.PanicError](failure(d))
			if !ok || !strings.Contains(e.Error(), "DEF-7") {
				t.Errorf("DEF-7: %s: %v", name, failure(d))
			}
		}
		if reported != 1 {
			t.Errorf("DEF-7: %s: %d panics", name, reported)
		}
	}
	a, b := deferred.New[int](r, nil), deferred.New[int](r, nil)
	a.Follow(b)
	if text := fmt.Sprint(panics(t, func() { b.Follow(a) })); !strings.Contains(text, "DEF-7") {
		t.Error("DEF-7: Follow:", text)
	}
	if b.Succeed(1); failure(a) != nil {
		t.Error("DEF-7: after a refused Follow:", failure(a))
	}
}

// A list for which one of several is enough comes although one of them waits for it.
func TestCircleWithWayOut(t *testing.T) {
	r := simulated(t, reactor.Config{})
	other := deferred.New[int](r, nil)
	x, y := circle(r, func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
		return deferred.Then(deferred.First(r, x, other), func(w deferred.Won[int]) (int, error) { return w.Value, nil })
	})
	if other.Succeed(5); failure(x) != nil || failure(y) != nil {
		t.Error(failure(x), failure(y))
	}
}

// To look for a circle takes no memory, and no time that grows with the chain.
func TestCircleCost(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	r := simulated(t, reactor.Config{})
	long := deferred.New[int](r, nil)
	for range 1_000_000 {
		long = deferred.Then(long, same)
	}
	ignore := func(int, error) {}
	began := time.Now()
	n := testing.AllocsPerRun(1000, func() {
		d := deferred.New[int](r, nil)
		d.Done(ignore) // without anybody who waits for d, there is no circle to look for
		d.Follow(long)
	})
	if took := time.Since(began); n > 2 || took > time.Second {
		t.Errorf("%v allocations, %v for 1000", n, took)
	}
}

// DEF-7, DEF-11: results that wait for one another in a circle that is too long to be seen end when one of them is given up.
func TestCancelCircle(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for name, through := range circles(r) {
		x, y := circle(r, func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
			y := through(x)
			for range 200 {
				y = deferred.Then(y, same)
			}
			return y
		})
		calls := 0
		x.Done(func(int, error) { calls++ })
		x.Cancel()
		if !errors.Is(failure(x), reactor.ErrCancelled) || !errors.Is(failure(y), reactor.ErrCancelled) || calls != 1 {
			t.Errorf("DEF-7, DEF-11: %s: %v, %v, %d calls", name, failure(x), failure(y), calls)
		}
	}
}

// circle makes a result x whose step returns what through makes of x. It returns both.
func circle(r *reactor.Reactor, through func(x *deferred.Deferred[int]) *deferred.Deferred[int]) (x, y *deferred.Deferred[int]) {
	root := deferred.New[int](r, nil)
	x = deferred.Chain(root, func(int) *deferred.Deferred[int] { y = through(x); return y })
	root.Succeed(1)
	return x, y
}

// circles are ways from a result back to it.
func circles(r *reactor.Reactor) map[string]func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
	first := func(v []int) (int, error) { return v[0], nil }
	return map[string]func(x *deferred.Deferred[int]) *deferred.Deferred[int]{
		"a step": func(x *deferred.Deferred[int]) *deferred.Deferred[int] { return deferred.Then(x, same) },
		"three": func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
			return deferred.Then(deferred.Then(x, same).Finally(func() {}), same)
		},
		"a list": func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
			return deferred.Then(deferred.Gather(r, x), first)
		},
		"the first of a list": func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
			return deferred.Then(deferred.Gather(r, x, deferred.New[int](r, nil)), first)
		},
		"the last of a list": func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
			return deferred.Then(deferred.Gather(r, deferred.New[int](r, nil), deferred.Then(x, same)), first)
		},
		"the only one of a list": func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
			return deferred.Then(deferred.First(r, x), func(w deferred.Won[int]) (int, error) { return w.Value, nil })
		},
		"a result of its own": func(x *deferred.Deferred[int]) *deferred.Deferred[int] {
			d := deferred.New[int](r, nil)
			d.Follow(x)
			return d
		},
	}
}

// DEF-11: a result that is given up inside the step that gives it gives up what that step returns. So does one whose step runs because it was given up.
func TestCancelInsideStep(t *testing.T) {
	r := simulated(t, reactor.Config{})
	root := deferred.New[int](r, nil)
	gaveUp := 0
	var x *deferred.Deferred[int]
	x = deferred.Chain(root, func(int) *deferred.Deferred[int] {
		x.Cancel()
		return deferred.New(r, func(*deferred.Deferred[int]) { gaveUp++ })
	})
	root.Succeed(1)
	if failure(x) != reactor.ErrCancelled || gaveUp != 1 {
		t.Errorf("DEF-11: %v, given up %d times", failure(x), gaveUp)
	}
	shared := deferred.New[int](r, nil)
	other := deferred.Then(shared, same)
	x = shared.CatchChain(func(error) *deferred.Deferred[int] {
		x.Cancel()
		return deferred.New(r, func(*deferred.Deferred[int]) { gaveUp++ })
	})
	if x.Cancel(); failure(x) != reactor.ErrCancelled || gaveUp != 2 || failure(other) != errPending {
		t.Errorf("DEF-11: shared: %v, given up %d times, the other: %v", failure(x), gaveUp, failure(other))
	}
}

// DEF-11, DEF-12: what waits for a result that is there and paused gets ErrCancelled when it is given up, and its limit on time holds.
func TestCancelPaused(t *testing.T) {
	r := simulated(t, reactor.Config{})
	root := deferred.Of(r, 1)
	root.Pause()
	x, y, z := deferred.Then(root, same), root.Timeout(time.Second), deferred.Then(root, same)
	if x.Cancel(); failure(x) != reactor.ErrCancelled {
		t.Error("DEF-11:", failure(x))
	}
	until(t, r, func() bool { return failure(y) != errPending })
	root.Resume()
	if !errors.Is(failure(y), deferred.ErrTimeout) || failure(z) != nil {
		t.Error("DEF-12:", failure(y), failure(z))
	}
}

// A result that waits long does not grow with those who give up, nor with waits that end.
func TestCancelFrees(t *testing.T) {
	r := simulated(t, reactor.Config{})
	root := deferred.New[int](r, nil)
	o := deferred.NewOnce(r, func() *deferred.Deferred[int] { return root })
	var kept []*deferred.Deferred[int]
	var got []int
	before := heap()
	for i := range 30_000 {
		if d := o.Get(); i%10_000 == 0 {
			d.Done(func(int, error) { got = append(got, i) })
			kept = append(kept, d)
		} else {
			d.Cancel()
		}
	}
	if grown := heap() - before; grown > 100<<10 {
		t.Errorf("%d bytes for 3 that wait", grown)
	}
	root.Succeed(1)
	if len(got) != 3 || got[0] != 0 || got[2] != 20_000 {
		t.Errorf("DEF-6: the order of those that are left: %v", got)
	}
	runtime.KeepAlive(kept)
}

// DEF-8, DEF-11: while a result that is there waits for the end of a pause, many may give up. Those that are left get it, in their order, and once.
func TestCancelManyPaused(t *testing.T) {
	r := simulated(t, reactor.Config{})
	root := deferred.New[int](r, nil)
	var got []int
	note := func(i int) *deferred.Deferred[int] {
		return deferred.Then(root, func(int) (int, error) { got = append(got, i); return i, nil })
	}
	note(-1) // so that the next ones are not the last who wait
	for range 5 {
		note(0).Cancel()
	}
	deferred.Then(root, func(int) (int, error) { root.Pause(); return 0, nil })
	var ds []*deferred.Deferred[int]
	for i := range 30 {
		ds = append(ds, note(i))
	}
	root.Succeed(1)
	for i, d := range ds {
		if i%6 > 0 {
			d.Cancel()
		}
	}
	if root.Resume(); !slices.Equal(got, []int{-1, 0, 6, 12, 18, 24}) {
		t.Errorf("DEF-8, DEF-11: got it: %v", got)
	}
}

// DEF-11: a result is given up with the last who waits for it, however many have come, given up and come again, and whether a list, another result or a step waits.
func TestLastGivesUp(t *testing.T) {
	r := simulated(t, reactor.Config{})
	gaveUp := 0
	root := deferred.New(r, func(*deferred.Deferred[int]) { gaveUp++ })
	step := func() func() { return deferred.Then(root, same).Cancel }
	list := func() func() { return deferred.All(r, root).Cancel }
	follow := func() func() { d := deferred.New[int](r, nil); d.Follow(root); return d.Cancel }
	last := step()
	for range 10 {
		for _, wait := range []func() func(){step, list, follow} {
			next := wait()
			if last(); gaveUp != 0 {
				t.Fatal("DEF-11: given up while somebody waits")
			}
			last = next
		}
	}
	if last(); gaveUp != 1 || failure(root) != reactor.ErrCancelled {
		t.Errorf("DEF-11: given up %d times: %v", gaveUp, failure(root))
	}
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// DEF-11: a Wait whose context has ended does not wait any more: the result is given up with the last one that does.
func TestWaitLeaves(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			gaveUp := 0
			d := deferred.New(r, func(*deferred.Deferred[int]) { gaveUp++ })
			ctx, cancel := context.WithCancel(context.Background())
			waited := make(chan error, 1)
			posted := r.Stats().Posted
			go func() { _, err := d.Wait(ctx); waited <- err }()
			until(t, r, func() bool { return r.Stats().Posted > posted })
			cancel()
			err := <-waited
			testworld.Turns(t, r, 3)
			if failure(d) != errPending || !errors.Is(err, context.Canceled) {
				t.Fatal(failure(d), err)
			}
			if deferred.Then(d, same).Cancel(); gaveUp != 1 {
				t.Errorf("DEF-11: given up %d times", gaveUp)
			}
		})
	}
}

// DEF-11, DEF-15: a list that has its outcome does not wait for its members any more.
func TestDecidedList(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for _, first := range []bool{false, true} {
		gaveUp := 0
		a, b := deferred.New[int](r, nil), deferred.New(r, func(*deferred.Deferred[int]) { gaveUp++ })
		y := deferred.Then(b, same)
		if first {
			deferred.First(r, a, b)
			a.Succeed(1)
		} else {
			deferred.Gather(r, a, b).Ignore()
			a.Fail(errTest)
		}
		if failure(b) != errPending {
			t.Errorf("DEF-15: the other does not go on: %v", failure(b))
		}
		if y.Cancel(); gaveUp != 1 || failure(b) != reactor.ErrCancelled {
			t.Errorf("DEF-11: given up %d times: %v", gaveUp, failure(b))
		}
	}
}

// DEF-18: a lock is kept until the result of the function is there, also if the result of With is given up before, and others wait.
func TestWithGivenUp(t *testing.T) {
	r := simulated(t, reactor.Config{})
	l := deferred.NewLock(r)
	work := deferred.New[int](r, nil)
	w := deferred.With(l, func() *deferred.Deferred[int] { return work })
	other := deferred.Then(work, same)
	if w.Cancel(); failure(w) != reactor.ErrCancelled || failure(work) != errPending || !l.Locked() {
		t.Errorf("DEF-18: %v, %v, locked: %v", failure(w), failure(work), l.Locked())
	}
	if other.Cancel(); failure(work) != reactor.ErrCancelled || l.Locked() {
		t.Errorf("DEF-18: the last: %v, locked: %v", failure(work), l.Locked())
	}
}

// DEF-7, DEF-18: a function under a lock that returns the result of With is reported, and the lock is released.
func TestWithItself(t *testing.T) {
	panics := 0
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
	l := deferred.NewLock(r)
	l.Acquire()
	var w *deferred.Deferred[int]
	w = deferred.With(l, func() *deferred.Deferred[int] { return w })
	l.Release()
	if _, ok := failure(w).(*reactor.PanicError); !ok || panics != 1 || l.Locked() {
		t.Errorf("DEF-7: %v, %d panics; DEF-18: locked: %v", failure(w), panics, l.Locked())
	}
}
