package deferred

import (
	"errors"
	"fmt"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ErrTimeout: a result was given up, because it took longer than Timeout allows. It is also kernel.ErrTimeout and os.ErrDeadlineExceeded.
var ErrTimeout = kernel.Sentinel("it took too long", kernel.ErrTimeout)

// Timeout returns the result of d, for which d has the time limit, by the reactor's clock (DEF-12). When that has passed, the result is given up as by
// [Deferred.Cancel]: d is given up, unless something else waits for d as well, a Done included; then d goes on. If the outcome is
// reactor.ErrCancelled, the result fails with ErrTimeout instead. Every other outcome is passed on, and one that comes in time removes the timer. A
// limit of zero or less passes in the next round of delayed calls.
func (d *Deferred[T]) Timeout(limit time.Duration) *Deferred[T] {
	return d.TimeoutFunc(limit, func(v T, err error) (T, error) {
		if errors.Is(err, reactor.ErrCancelled) {
			err = fmt.Errorf("%w: more than %v", ErrTimeout, limit)
		}
		return v, err
	})
}

// TimeoutFunc is Timeout with another translation. If the limit has passed, fn gets the outcome of d, whatever it is, and returns that of the
// result. Otherwise fn is not called.
func (d *Deferred[T]) TimeoutFunc(limit time.Duration, fn func(T, error) (T, error)) *Deferred[T] {
	s := &timeoutStep[T]{fn: fn}
	s.call.Init(d.r, func() {
		s.passed = true
		s.Cancel()
	})
	s.call.Reset(limit)
	return after(d, s, &s.Deferred)
}

type timeoutStep[T any] struct {
	Deferred[T]
	call   reactor.DelayedCall
	fn     func(T, error) (T, error)
	passed bool
}

func (s *timeoutStep[T]) take(v T, err error) node {
	s.call.Cancel()
	if s.passed {
		v, err = s.fn(v, err)
	}
	return s.settle(v, err)
}

// Later returns a result that comes after delay, by the reactor's clock, with what fn returns then. A nil fn gives the zero value (CLK-6).
// Giving the result up removes the call, or, inside fn, drops what fn returns.
func Later[T any](r *reactor.Reactor, delay time.Duration, fn func() (T, error)) *Deferred[T] {
	if fn == nil {
		fn = func() (v T, err error) { return v, err }
	}
	return from(r, func(done func(T, error)) func() {
		call := r.CallLater(delay, func() { done(guarded(r, fn)) })
		return func() { call.Cancel() }
	})
}

// Sleep returns a result that comes after delay and has no value.
func Sleep(r *reactor.Reactor, delay time.Duration) *Deferred[None] {
	return Later[None](r, delay, nil)
}
