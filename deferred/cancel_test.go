package deferred_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// failure is the error of d, or errPending.
func failure[T any](d *deferred.Deferred[T]) error {
	o, ok := d.Outcome()
	if !ok {
		return errPending
	}
	return o.Err
}

var errPending = kernel.Sentinel("pending")

// DEF-9: the canceller is called once. If it gives an outcome, that stands; otherwise it is ErrCancelled.
func TestCanceller(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	calls := 0
	var d *deferred.Deferred[int]
	d = deferred.New(r, func(c *deferred.Deferred[int]) {
		if calls++; c != d {
			t.Error("DEF-9: the canceller got another result")
		}
		c.Cancel() // does nothing
	})
	d.Cancel()
	d.Cancel()
	if err := failure(d); calls != 1 || err != reactor.ErrCancelled {
		t.Errorf("DEF-9: %d calls, %v", calls, err)
	}
	e := deferred.New(r, func(c *deferred.Deferred[int]) { c.Succeed(5) })
	e.Cancel()
	if o, ok := e.Outcome(); !ok || o.Value != 5 || o.Err != nil {
		t.Errorf("DEF-9: the canceller's outcome: %v", o)
	}
	f := deferred.New(r, func(c *deferred.Deferred[int]) { c.Fail(errTest) })
	if f.Cancel(); failure(f) != errTest {
		t.Errorf("DEF-9: the canceller's error: %v", failure(f))
	}
	g := deferred.New(r, func(c *deferred.Deferred[int]) { panic("no") })
	g.Cancel()
	if _, ok := errors.AsType[*reactor.PanicError](failure(g)); !ok {
		t.Errorf("a canceller that panics: %v", failure(g))
	}
}

// DEF-10: without a canceller the outcome is ErrCancelled at once, and one later outcome is swallowed. With a canceller none is.
func TestCancelSwallows(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for _, give := range []func(*deferred.Deferred[int]){
		func(d *deferred.Deferred[int]) { d.Succeed(1) },
		func(d *deferred.Deferred[int]) { d.Fail(errTest) },
		func(d *deferred.Deferred[int]) { d.Follow(deferred.Of(r, 1)) },
	} {
		d := deferred.New[int](r, nil)
		d.Cancel()
		if err := failure(d); err != reactor.ErrCancelled {
			t.Errorf("DEF-10: %v", err)
		}
		give(d)
		panics(t, func() { give(d) })
		if err := failure(d); err != reactor.ErrCancelled {
			t.Errorf("DEF-10: after a late outcome: %v", err)
		}
		e := deferred.New(r, func(*deferred.Deferred[int]) {})
		e.Cancel()
		panics(t, func() { give(e) })
	}
}

// DEF-11: giving up a result that is there does nothing. If it waits for another one, that one is given up.
func TestCancelInward(t *testing.T) {
	r := simulated(t, reactor.Config{})
	there := deferred.Of(r, 1)
	there.Cancel()
	if failure(there) != nil {
		t.Error("DEF-11: a result that was there has failed")
	}
	n := 0
	inner := deferred.New(r, func(*deferred.Deferred[int]) { n++ })
	outer := deferred.Chain(deferred.Of(r, 0), func(int) *deferred.Deferred[int] { return inner })
	last := deferred.Then(outer, func(i int) (int, error) { return i, nil })
	last.Cancel()
	if n != 1 || failure(inner) != reactor.ErrCancelled || failure(last) != reactor.ErrCancelled {
		t.Errorf("DEF-11: %d, %v, %v", n, failure(inner), failure(last))
	}
	// A step between may make something else of it.
	source := deferred.New[int](r, nil)
	value := source.Catch(func(err error) (int, error) { return 9, nil })
	value.Cancel()
	if o, ok := value.Outcome(); !ok || o.Value != 9 {
		t.Errorf("a step after the cancellation: %v", o)
	}
	follower := deferred.New(r, func(*deferred.Deferred[int]) { t.Error("the canceller of one that follows was called") })
	followed := deferred.New[int](r, nil)
	follower.Follow(followed)
	if follower.Cancel(); failure(followed) != reactor.ErrCancelled || failure(follower) != reactor.ErrCancelled {
		t.Error("DEF-11: Follow")
	}
}

// A result on which others depend as well goes on when one of them is given up, and is given up with the last.
func TestCancelOneOfSeveral(t *testing.T) {
	r := simulated(t, reactor.Config{})
	cancelled, finally := 0, 0
	d := deferred.New(r, func(*deferred.Deferred[int]) { cancelled++ })
	a := deferred.Then(d, func(i int) (int, error) { return i, nil })
	b := d.Finally(func() { finally++ })
	c := d.Timeout(time.Second)
	a.Cancel()
	if failure(a) != reactor.ErrCancelled || cancelled != 0 {
		t.Errorf("the first: %v, %d", failure(a), cancelled)
	}
	b.Cancel()
	if failure(b) != reactor.ErrCancelled || cancelled != 0 || finally != 1 {
		t.Errorf("the second: %v, %d, %d", failure(b), cancelled, finally)
	}
	c.Cancel()
	if failure(c) != reactor.ErrCancelled || cancelled != 1 || r.Stats().Pending != 0 {
		t.Errorf("the last: %v, %d", failure(c), cancelled)
	}
	e := deferred.New[int](r, nil)
	e.Done(func(int, error) {})
	one, other := e.Timeout(time.Second), e.Timeout(time.Minute)
	one.Cancel()
	if failure(one) != reactor.ErrCancelled || failure(e) != errPending || r.Stats().Pending != 1 {
		t.Errorf("beside a function: %v, %d timers", failure(one), r.Stats().Pending)
	}
	if e.Succeed(2); failure(other) != nil || r.Stats().Pending != 0 {
		t.Errorf("%v", failure(other))
	}
}

// DEF-12: a limit on time gives up the result and makes a timeout of ErrCancelled.
func TestTimeout(t *testing.T) {
	r := simulated(t, reactor.Config{})
	var got error
	n := 0
	start := r.Now()
	var at time.Duration
	d := deferred.New(r, func(*deferred.Deferred[int]) { n++ })
	d.Timeout(time.Second).Done(func(_ int, err error) { got, at = err, r.Now() })
	// As a step of the result itself, it is before the timeout.
	until(t, r, func() bool { return got != nil })
	if !errors.Is(got, deferred.ErrTimeout) || !errors.Is(got, os.ErrDeadlineExceeded) || errors.Is(got, reactor.ErrCancelled) || n != 1 || at-start != time.Second {
		t.Errorf("DEF-12: %v after %v, %d", got, at-start, n)
	}
	if failure(d) != reactor.ErrCancelled {
		t.Errorf("DEF-12: the result itself: %v", failure(d))
	}

	// Other outcomes pass, also when the limit has passed.
	saved := deferred.New(r, func(d *deferred.Deferred[int]) { d.Succeed(3) }).Timeout(time.Second)
	until(t, r, func() bool { _, ok := saved.Outcome(); return ok })
	if o, _ := saved.Outcome(); o.Value != 3 || o.Err != nil {
		t.Errorf("DEF-12: a canceller's value: %v", o)
	}
	// One that comes early removes the timer, of whatever kind.
	for _, err := range []error{nil, errTest, reactor.ErrCancelled} {
		early := deferred.New[int](r, nil)
		limited := early.Timeout(time.Second)
		if early.Give(1, err); failure(limited) != err || r.Stats().Pending != 0 {
			t.Errorf("DEF-12: early: %v, %d timers", failure(limited), r.Stats().Pending)
		}
	}
	// The translation can be changed.
	other := deferred.New[int](r, nil).TimeoutFunc(time.Second, func(v int, err error) (int, error) {
		if err != reactor.ErrCancelled {
			t.Error(err)
		}
		return 8, nil
	})
	until(t, r, func() bool { _, ok := other.Outcome(); return ok })
	if o, _ := other.Outcome(); o.Value != 8 || o.Err != nil {
		t.Errorf("DEF-12: translated: %v", o)
	}
	// A result that others wait for goes on after the limit of one.
	shared := deferred.New[int](r, nil)
	shared.Done(func(int, error) {})
	limited := shared.Timeout(0)
	until(t, r, func() bool { _, ok := limited.Outcome(); return ok })
	if !errors.Is(failure(limited), deferred.ErrTimeout) || failure(shared) != errPending {
		t.Errorf("DEF-12: shared: %v, %v", failure(limited), failure(shared))
	}
}

// CLK-6: a delayed result comes with what its function returns, or with its error. Giving it up removes the call. Without a function the result is
// empty.
func TestLater(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	start := r.Now()
	var at time.Duration
	value := deferred.Later(r, 2*time.Second, func() (int, error) { at = r.Now(); return 4, nil })
	failed := deferred.Later(r, time.Second, func() (int, error) { return 0, errTest })
	panicked := deferred.Later(r, time.Second, func() (int, error) { panic("x") })
	empty := deferred.Sleep(r, time.Second)
	failed.Ignore()
	panicked.Ignore()
	gone := deferred.Later(r, time.Second, func() (int, error) { t.Error("CLK-6: called"); return 0, nil })
	pendingBefore := r.Stats().Pending
	gone.Cancel()
	if failure(gone) != reactor.ErrCancelled || r.Stats().Pending != pendingBefore-1 {
		t.Errorf("CLK-6: given up: %v", failure(gone))
	}
	until(t, r, func() bool { _, ok := value.Outcome(); return ok })
	if o, _ := value.Outcome(); o.Value != 4 || o.Err != nil || at-start != 2*time.Second {
		t.Errorf("CLK-6: %v after %v", o, at-start)
	}
	if failure(failed) != errTest || failure(empty) != nil {
		t.Errorf("CLK-6: %v, %v", failure(failed), failure(empty))
	}
	if _, ok := errors.AsType[*reactor.PanicError](failure(panicked)); !ok {
		t.Errorf("CLK-6: a panic: %v", failure(panicked))
	}
}
