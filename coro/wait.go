package coro

import "github.com/whorl-go/whorl/kernel"

// Waiter is what can wait: a [Coroutine], or a [Session] for the coroutine that uses it now.
type Waiter interface {
	// waiting is the coroutine that runs. what names the call, for a panic.
	waiting(what string) *Coroutine
}

func (c *Coroutine) waiting(what string) *Coroutine {
	c.mustRun(what)
	return c
}

func (s *Session) waiting(what string) *Coroutine { return s.loop().running(what) }

// Wait waits for an operation that tells its end by a callback, and returns what it was told. start begins the operation and returns
// what gives it up, or nil. The operation calls done, once, on the loop's goroutine; it may do so inside start, and then Wait
// returns without waiting (DEF-22). If the coroutine is given up meanwhile, the operation is given up too, and the error is the reason
// (DEF-23); a done that comes later does nothing. If the coroutine was given up before, start is not called.
//
// Reactor.Resolve, for instance, has this form:
//
//	ips, err := coro.Wait(s, func(done func([]netip.Addr, error)) func() { return r.Resolve(name, done) })
func Wait[T any](w Waiter, start func(done func(T, error)) (cancel func())) (T, error) {
	return wait(w.waiting("Wait"), func(x *waited[T]) func() { return start(x.done) })
}

func wait[T any](c *Coroutine, start func(*waited[T]) (cancel func())) (v T, err error) {
	if err := c.why(); err != nil {
		return v, c.fail(err)
	}
	x := &waited[T]{c: c}
	cancel := start(x)
	for !x.over {
		if err := c.suspend(kernel.Forever); err != nil && !x.over {
			x.over = true
			if cancel != nil {
				cancel()
			}
			return v, err
		}
	}
	c.failures = 0
	return x.v, x.err
}

// waited is an operation of Wait.
type waited[T any] struct {
	c    *Coroutine
	v    T
	err  error
	over bool
}

func (x *waited[T]) done(v T, err error) {
	if !x.over {
		x.v, x.err, x.over = v, err, true
		x.c.resume()
	}
}
