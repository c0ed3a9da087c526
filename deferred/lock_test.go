package deferred_test

import (
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// DEF-18: a lock is handed to those who wait in the order they came, inside the call that unlocks it.
func TestLock(t *testing.T) {
	r := simulated(t, reactor.Config{})
	l := deferred.NewLock(r)
	if l.Locked() || failure(l.Acquire()) != nil || !l.Locked() {
		t.Error("DEF-18: a free lock is not there at once")
	}
	var got []int
	var waiters []*deferred.Deferred[deferred.None]
	for i := range 4 {
		d := l.Acquire()
		d.Done(func(_ deferred.None, err error) {
			if err == nil {
				got = append(got, i)
			}
		})
		waiters = append(waiters, d)
	}
	waiters[1].Cancel()
	if failure(waiters[1]) != reactor.ErrCancelled {
		t.Error("DEF-18:", failure(waiters[1]))
	}
	for i, want := range [][]int{{0}, {0, 2}, {0, 2, 3}} {
		if l.Release(); !slices.Equal(got, want) || !l.Locked() {
			t.Errorf("DEF-18: after release %d: %v, want %v", i, got, want)
		}
	}
	waiters[3].Cancel() // has it: nothing
	if !l.Locked() || failure(waiters[3]) != nil {
		t.Error("DEF-18: giving up after the acquisition")
	}
	if l.Release(); l.Locked() {
		t.Error("DEF-18: locked at the end")
	}
	panics(t, l.Release)
}

// DEF-18: a function can be run under a lock until its result is there, also if it fails, panics or is given up.
func TestWith(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	l := deferred.NewLock(r)
	inner := deferred.New[int](r, nil)
	d := deferred.With(l, func() *deferred.Deferred[int] { return inner })
	calls := 0
	second := deferred.With(l, func() *deferred.Deferred[int] { calls++; return deferred.Failed[int](r, errTest) })
	if !l.Locked() || calls != 0 || failure(d) != errPending {
		t.Error("DEF-18: not locked meanwhile")
	}
	inner.Succeed(4)
	if o, ok := d.Outcome(); !ok || o.Value != 4 || failure(second) != errTest || l.Locked() || calls != 1 {
		t.Errorf("DEF-18: %v, %v", o, failure(second))
	}
	for _, fn := range []func() *deferred.Deferred[int]{
		func() *deferred.Deferred[int] { panic("x") },
		func() *deferred.Deferred[int] { return nil },
	} {
		d = deferred.With(l, fn)
		if _, ok := failure(d).(*reactor.PanicError); !ok || l.Locked() {
			t.Errorf("DEF-18: a panic: %v, locked: %v", failure(d), l.Locked())
		}
	}
	inner = deferred.New[int](r, nil)
	d = deferred.With(l, func() *deferred.Deferred[int] { return inner })
	waits := deferred.With(l, func() *deferred.Deferred[int] { t.Error("DEF-18: called"); return inner })
	waits.Cancel()
	d.Cancel()
	if failure(inner) != reactor.ErrCancelled || failure(d) != reactor.ErrCancelled || failure(waits) != reactor.ErrCancelled || l.Locked() {
		t.Errorf("DEF-18: given up: %v, %v, %v", failure(inner), failure(d), failure(waits))
	}
}

// DEF-19: a semaphore is the same with n tokens. Less than one token is refused, and giving back too many is wrong use.
func TestSemaphore(t *testing.T) {
	r := simulated(t, reactor.Config{})
	s := deferred.NewSemaphore(r, 3)
	for i := range 3 {
		if failure(s.Acquire()) != nil || s.Free() != 2-i {
			t.Errorf("DEF-19: token %d", i)
		}
	}
	var got []int
	for i := range 2 {
		s.Acquire().Done(func(deferred.None, error) { got = append(got, i) })
	}
	third := s.Acquire()
	third.Cancel()
	if s.Waiting() != 2 {
		t.Errorf("DEF-19: %d wait", s.Waiting())
	}
	s.Release()
	if s.Release(); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("DEF-19: %v", got)
	}
	for range 3 {
		s.Release()
	}
	panics(t, s.Release)
	panics(t, func() { deferred.NewSemaphore(r, 0) })
	panics(t, func() { deferred.NewSemaphore(nil, 1) })
}

// A long queue of functions that end at once needs no deep stack, and keeps its order.
func TestDeepLock(t *testing.T) {
	const n = 100_000
	r := simulated(t, reactor.Config{})
	l := deferred.NewLock(r)
	l.Acquire()
	calls, deepest := 0, 0
	for i := range n {
		deferred.With(l, func() *deferred.Deferred[int] {
			if calls != i {
				t.Fatalf("call %d came as %d", i, calls)
			}
			calls++
			deepest = max(deepest, depth())
			return deferred.Of(r, i)
		})
	}
	base := depth()
	if l.Release(); calls != n || deepest > base+30 || l.Locked() {
		t.Errorf("%d calls, %d deep", calls, deepest)
	}
}

// DEF-20: a queue hands each item to the one who has waited longest, inside the call. Both limits are errors when passed, and may be 0.
func TestQueue(t *testing.T) {
	r := simulated(t, reactor.Config{})
	q := deferred.NewQueue[int](r, 2, 3)
	for i := range 2 {
		if err := q.Put(i); err != nil {
			t.Error("DEF-20:", err)
		}
	}
	if err := q.Put(2); err != deferred.ErrQueueFull || q.Len() != 2 {
		t.Error("DEF-20:", err)
	}
	for i := range 2 {
		if o, ok := q.Get().Outcome(); !ok || o.Value != i {
			t.Errorf("DEF-20: %v, want %d", o, i)
		}
	}
	var got []int
	var ds []*deferred.Deferred[int]
	for i := range 3 {
		d := q.Get()
		d.Done(func(v int, err error) {
			if err == nil {
				got = append(got, i, v)
			}
		})
		ds = append(ds, d)
	}
	if err := failure(q.Get()); err != deferred.ErrTooManyWaiting || q.Waiting() != 3 {
		t.Error("DEF-20:", err)
	}
	ds[1].Cancel()
	_, _, _ = q.Put(7), q.Put(8), q.Put(9)
	if want := []int{0, 7, 2, 8}; !slices.Equal(got, want) || q.Len() != 1 || failure(ds[1]) != reactor.ErrCancelled {
		t.Errorf("DEF-20: %v, want %v, and %d left: giving up swallows no item", got, want, q.Len())
	}
	none := deferred.NewQueue[int](r, 0, 0)
	if none.Put(1) != deferred.ErrQueueFull || failure(none.Get()) != deferred.ErrTooManyWaiting {
		t.Error("DEF-20: limits of 0")
	}
	handed := deferred.NewQueue[int](r, 0, 1)
	d := handed.Get()
	if err := handed.Put(5); err != nil || failure(d) != nil {
		t.Error("DEF-20: an item for who waits needs no room:", err)
	}
	panics(t, func() { deferred.NewQueue[int](r, -1, 0) })
	panics(t, func() { deferred.NewQueue[int](r, 0, -1) })
}

// DEF-20: a queue keeps no item that it has handed out, and nobody who has got one.
func TestQueueLetsGo(t *testing.T) {
	r := simulated(t, reactor.Config{})
	q := deferred.NewQueue[*[64]byte](r, 3, 3)
	var items []weak.Pointer[[64]byte]
	put := func() {
		p := new([64]byte)
		items = append(items, weak.Make(p))
		if err := q.Put(p); err != nil {
			t.Error(err)
		}
	}
	kept := func() (n int) {
		runtime.GC()
		for _, p := range items {
			if p.Value() != nil {
				n++
			}
		}
		return n
	}
	// One stays in the queue, or waits, so that the queue keeps its slice.
	for range 3 {
		put()
	}
	for range 2 {
		q.Get()
	}
	if n := kept(); n != 1 {
		t.Errorf("DEF-20: %d items are kept, and 1 is in the queue", n)
	}
	for range 4 {
		q.Get()
	}
	for range 2 {
		put()
	}
	if n := kept(); n != 0 || q.Waiting() != 1 {
		t.Errorf("DEF-20: %d items are kept, %d wait", n, q.Waiting())
	}
	runtime.KeepAlive(q)
}

// A semaphore keeps nobody who has got a token.
func TestSemaphoreLetsGo(t *testing.T) {
	s := deferred.NewSemaphore(simulated(t, reactor.Config{}), 1)
	s.Acquire()
	var got []weak.Pointer[deferred.Deferred[deferred.None]]
	for range 3 {
		got = append(got, weak.Make(s.Acquire()))
	}
	s.Release()
	s.Release()
	runtime.GC()
	if got[0].Value() != nil || got[1].Value() != nil || got[2].Value() == nil || s.Waiting() != 1 {
		t.Errorf("%v, %v and %v are kept, %d wait", got[0].Value(), got[1].Value(), got[2].Value(), s.Waiting())
	}
	runtime.KeepAlive(s)
}

// A Once makes its result once, for all who ask. Who gives up leaves the others alone.
func TestOnce(t *testing.T) {
	r := simulated(t, reactor.Config{})
	var made []*deferred.Deferred[int]
	o := deferred.NewOnce(r, func() *deferred.Deferred[int] {
		d := deferred.New[int](r, nil)
		made = append(made, d)
		return d
	})
	a, b := o.Get(), o.Get()
	if a.Cancel(); failure(a) != reactor.ErrCancelled || failure(b) != errPending || failure(made[0]) != errPending {
		t.Error("giving up one of two")
	}
	made[0].Succeed(6)
	if got, ok := b.Outcome(); !ok || got.Value != 6 {
		t.Error(got)
	}
	if got, ok := o.Get().Outcome(); !ok || got.Value != 6 || len(made) != 1 {
		t.Error(got, len(made))
	}
	o.Forget()
	a, b = o.Get(), o.Get()
	a.Cancel()
	if b.Cancel(); failure(made[1]) != reactor.ErrCancelled {
		t.Error("the last has given up, and the work goes on")
	}
	c := o.Get()
	if made[2].Fail(errTest); failure(c) != errTest || failure(o.Get()) != errTest || len(made) != 3 {
		t.Error("a failure is kept")
	}
	panics(t, func() { deferred.NewOnce[int](r, nil) })
}
