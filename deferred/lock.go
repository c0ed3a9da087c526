package deferred

import (
	"fmt"
	"slices"

	"github.com/whorl-go/whorl/reactor"
)

// Semaphore has a number of tokens. Each is handed to those who wait for one in the order in which they came (DEF-19). It is for the loop's
// goroutine. [NewSemaphore] makes one.
type Semaphore struct {
	r       *reactor.Reactor
	size    int
	free    int
	handing bool // tokens are being handed to those who wait, further up the stack
	waiting []*Deferred[None]
}

// NewSemaphore makes a semaphore of n tokens. It panics if n is below 1.
func NewSemaphore(r *reactor.Reactor, n int) *Semaphore {
	if r == nil || n < 1 {
		panic(fmt.Errorf("deferred: a semaphore needs a Reactor and at least 1 token, not %d", n))
	}
	return &Semaphore{r: r, size: n, free: n}
}

// Acquire returns a result that is there when the caller has a token: at once, if one is free and nobody waits. Who has one gives it back by
// Release. Giving up the result while it is not there leaves the queue; afterwards that does nothing. [With] does all of this.
func (s *Semaphore) Acquire() *Deferred[None] {
	if s.free > 0 && len(s.waiting) == 0 {
		s.free--
		return Of(s.r, None{})
	}
	d := New(s.r, func(d *Deferred[None]) {
		i := slices.Index(s.waiting, d)
		s.waiting = slices.Delete(s.waiting, i, i+1)
	})
	s.waiting = append(s.waiting, d)
	return d
}

// Release gives a token back. If somebody waits, it is handed over inside the call; but a Release by who has just got a token in this way
// hands its own over when that one has returned, so that a long queue needs no deep stack. Release panics if all tokens are free.
func (s *Semaphore) Release() {
	if s.free == s.size {
		panic("deferred: Release of a token that nobody has")
	}
	s.free++
	if s.handing {
		return
	}
	s.handing = true
	for s.free > 0 && len(s.waiting) > 0 {
		next := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.free--
		next.Succeed(None{})
	}
	s.handing = false
}

// Free is how many tokens nobody has.
func (s *Semaphore) Free() int { return s.free }

// Waiting is how many wait for a token.
func (s *Semaphore) Waiting() int { return len(s.waiting) }

// Lock is a lock that one has at a time. It is handed to those who wait for it in the order in which they came (DEF-18). On a loop only one function runs
// at a time, so a lock is needed only for what takes several turns. [NewLock] makes one.
type Lock struct{ tokens Semaphore }

// NewLock makes a lock that is free.
func NewLock(r *reactor.Reactor) *Lock { return &Lock{*NewSemaphore(r, 1)} }

// Acquire returns a result that is there when the caller has the lock, as [Semaphore.Acquire] does.
func (l *Lock) Acquire() *Deferred[None] { return l.tokens.Acquire() }

// Release gives the lock back, as [Semaphore.Release] does. It panics if the lock is free.
func (l *Lock) Release() { l.tokens.Release() }

// Locked tells whether somebody has the lock.
func (l *Lock) Locked() bool { return l.tokens.free == 0 }

// Acquirer is a [Semaphore] or a [Lock].
type Acquirer interface {
	Acquire() *Deferred[None]
	Release()
}

// With has fn called when a has been acquired, and releases it when the result of fn is there, or when fn panics. It returns the outcome of
// fn. Giving up the result leaves the queue, or gives up the result of fn. If something else waits for the result of fn, that goes on, and a is
// released only when it is there. If fn returns nil, or the very result that With has returned, that is a panic of fn.
func With[T any](a Acquirer, fn func() *Deferred[T]) *Deferred[T] {
	s := &withStep[T]{a: a, fn: fn}
	return after(a.Acquire(), s, &s.Deferred)
}

type withStep[T any] struct {
	Deferred[T]
	a  Acquirer
	fn func() *Deferred[T]
}

func (s *withStep[T]) take(_ None, err error) node {
	if err != nil {
		return s.Deferred.fail(err)
	}
	d := s.call()
	d.add(listener[T](func(T, error) { s.a.Release() }))
	if d.state < there {
		d.live-- // the release does not wait for d: with the last one who does, d is given up
	}
	return s.follow(d)
}

// call calls fn, and releases if there is no result to wait for.
func (s *withStep[T]) call() (d *Deferred[T]) {
	ok := false
	defer func() {
		if !ok {
			s.a.Release()
		}
	}()
	d = s.fn()
	s.check(d)
	ok = true
	return d
}
