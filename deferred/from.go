package deferred

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
)

// From is the bridge from a completion callback to a Deferred. It calls start once, inside From. start begins what is to be done, and has
// done called once with its outcome, on the loop's goroutine, inside start or later. The result of From gets that outcome.
//
// start returns what ends the work, or nil if nothing can. Giving up the result calls it. If done is called inside it, that is the outcome,
// and otherwise reactor.ErrCancelled. An outcome that comes afterwards is dropped, so what it holds must need no closing.
//
// What is started after the reactor has stopped fails inside From, if start begins it with a function of this module (THR-32). What the end of the
// reactor has given up gets no outcome any more: Done and steps are not called then, and Wait fails with reactor.ErrStopped.
func From[T any](r *reactor.Reactor, start func(done func(T, error)) (cancel func())) *Deferred[T] {
	return from(r, start)
}

func from[T any](r *reactor.Reactor, start func(done func(T, error)) (cancel func())) *Deferred[T] {
	d := New[T](r, nil)
	d.made = caller(1)
	if cancel := start(d.Give); cancel != nil && d.state == pending {
		d.canceller = func(*Deferred[T]) {
			defer func() { d.late = d.state == cancelling }() // also if cancel panics
			cancel()
		}
	}
	return d
}

// Completed is From for a callback that has no value, such as that of StopListening:
//
//	stopped := deferred.Completed(r, port.StopListening)
//
// Giving up the result does not end the work.
func Completed(r *reactor.Reactor, start func(done func(error))) *Deferred[None] {
	return from(r, func(done func(None, error)) func() {
		start(func(err error) { done(None{}, err) })
		return nil
	})
}

// StopListening is StopListening of a [*reactor.Port] or a [*reactor.GroupPort], with a result on r.
func StopListening(r *reactor.Reactor, p reactor.Listening) *Deferred[None] {
	return from(r, func(done func(None, error)) func() {
		// A GroupPort calls back on any loop of its group.
		p.StopListening(func(err error) { r.Tell(func(error) { done(None{}, err) }) })
		return nil
	})
}

// Dial is [reactor.Reactor.Dial] with a result. Giving it up ends the attempt.
func Dial(r *reactor.Reactor, a kernel.Addr, f reactor.Factory, o *reactor.DialConfig) *Deferred[reactor.Protocol] {
	return from(r, func(done func(reactor.Protocol, error)) func() {
		c := r.Dial(a, f, o, done)
		return func() { _ = c.StopConnecting() } // an error means that done has been called
	})
}

// Resolve is [reactor.Reactor.Resolve] with a result. Giving it up ends the look-up.
func Resolve(r *reactor.Reactor, name string) *Deferred[[]netip.Addr] {
	return from(r, func(done func([]netip.Addr, error)) func() { return r.Resolve(name, done) })
}

// Work is [reactor.Work] with a result. Giving it up does not end the work, whose result is dropped then.
func Work[T any](r *reactor.Reactor, w *reactor.Workers, fn func() (T, error)) *Deferred[T] {
	return from(r, func(done func(T, error)) func() { reactor.Work(w, fn, done); return nil })
}

// Go has fn called off the loop, by the workers of [reactor.InThread], and returns its result. fn may block. In simulation it is called on the
// loop's goroutine after a virtual time, and must not wait for the loop.
//
// fn gets a context that ends when ctx does, when the result is given up, and when fn has returned. The stop of the reactor does not end it. If it has ended before fn could begin, fn is
// not called, and the result fails with its cause. A result that has been given up fails with reactor.ErrCancelled at once. What fn
// returns then is dropped, so if that holds something to close, fn should look at its context last. The errors are those
// of InThread. Go is for the loop's goroutine.
func Go[T any](ctx context.Context, r *reactor.Reactor, fn func(ctx context.Context) (T, error)) *Deferred[T] {
	ctx, end := context.WithCancelCause(ctx)
	return from(r, func(done func(T, error)) func() {
		reactor.InThread(r, func() (T, error) {
			defer end(nil) // the loop may have ended meanwhile, and get no result
			if ctx.Err() != nil {
				var none T
				return none, context.Cause(ctx)
			}
			return fn(ctx)
		}, func(v T, err error) {
			end(nil) // fn was not called
			done(v, err)
		})
		return func() { end(reactor.ErrCancelled) }
	})
}

// Wait waits for d and returns its outcome. It is for goroutines other than the loop's, for which d must have been made on the loop: on the
// loop it panics, because the result could never come while it waits; use Done, Then or a coroutine there. It fails with
// reactor.ErrStopped if the reactor stops first, and with the cause of ctx if that ends first. That ends the waiting alone: d goes on.
func (d *Deferred[T]) Wait(ctx context.Context) (T, error) {
	own := &Deferred[T]{r: d.r, heard: true} // is the loop's
	v, err := ask(ctx, d.r, "Wait", func(done func(T, error)) {
		own.Follow(d)
		own.Done(done)
	})
	if err != nil && ctx.Err() != nil {
		d.r.Post(func() { d.leave(own) })
	}
	return v, err
}

// ask is AskLaterContext with a panic that names the method of this package and says what to use instead.
func ask[T any](ctx context.Context, r *reactor.Reactor, method string, fn func(done func(T, error))) (v T, err error) {
	if e := pool.Catch(func() { v, err = reactor.AskLaterContext(ctx, r, fn) }); e != nil {
		panic(fmt.Sprintf("deferred: %s where it would wait for itself, on the loop or in its work: use Done, Then or a coroutine there (%v)", method, e.Value))
	}
	return v, err
}

// Ask has fn called on the loop's goroutine, and waits for the result that fn returns. Like [Deferred.Wait] it is for other
// goroutines, and panics on the loop. If ctx ends first, the result is given up, and Ask fails with the cause of ctx. It fails with
// reactor.ErrStopped if the reactor stops first, and with a [*reactor.PanicError] if fn panics.
func Ask[T any](ctx context.Context, r *reactor.Reactor, fn func() *Deferred[T]) (T, error) {
	var d *Deferred[T] // is the loop's
	v, err := ask(ctx, r, "Ask", func(done func(T, error)) {
		d = fn()
		d.Done(done)
	})
	if err != nil && ctx.Err() != nil {
		r.Post(func() {
			if d != nil {
				d.Cancel()
			}
		})
	}
	return v, err
}
