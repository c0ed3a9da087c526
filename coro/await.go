package coro

import (
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Await waits for d and returns its outcome. If that is there already, it does not wait (DEF-22). If the coroutine is given up meanwhile, d is given
// up, unless others depend on it too, and the outcome that this gives d is returned; that is reactor.ErrCancelled as a rule (DEF-23).
// Await does not wait then until d has ended, which may take time if d cleans up, as another coroutine may: who needs that end calls Await of d again.
// A failure counts as heard.
func Await[T any](w Waiter, d *deferred.Deferred[T]) (T, error) {
	c := w.waiting("Await")
	if o, ok := d.Outcome(); ok {
		c.failures = 0
		return o.Value, o.Err
	}
	x := &waited[T]{c: c}
	step := d.Finally(func() {}) // to give it up is to give up d only if nobody else waits
	step.Done(x.done)
	for !x.over {
		err := c.suspend(kernel.Forever)
		if err == nil || x.over {
			continue
		}
		step.Cancel()
		if !x.over { // a canceller has given nothing, or d is paused
			x.over, x.err = true, err
		}
	}
	return x.v, x.err
}

// Result starts body as a coroutine of r, as Go does, and returns its result (DEF-14). Giving that up gives up what the coroutine waits for now, as
// [Coroutine.Cancel] does. The outcome is what the body returns when it has really ended: one that handles the end of its wait and goes on
// can be given up again (DEF-23).
func Result[T any](r *reactor.Reactor, body func(*Coroutine) (T, error)) *deferred.Deferred[T] {
	x := &result[T]{r: r}
	x.c = Go(r, func(c *Coroutine) (err error) {
		x.v, err = body(c)
		return err
	})
	out := x.await()
	x.c.OnEnd(x.end)
	return out
}

// result is a coroutine as a result.
type result[T any] struct {
	r    *reactor.Reactor
	c    *Coroutine
	v    T
	over bool
	next *deferred.Deferred[T] // fails when it is given up, or gets the outcome
}

// await returns the outcome, through any number of times in which it was given up and the body has gone on.
func (x *result[T]) await() *deferred.Deferred[T] {
	x.next = deferred.New(x.r, func(*deferred.Deferred[T]) { x.c.Cancel() })
	return x.next.CatchChain(func(err error) *deferred.Deferred[T] {
		if x.over {
			d := deferred.New[T](x.r, nil)
			d.Ignore() // the step takes it over, and reports it if nobody hears that
			d.Fail(err)
			return d
		}
		return x.await()
	})
}

func (x *result[T]) end(err error) {
	x.over = true
	x.next.Give(x.v, err)
}
