package reactor

import (
	"context"
	"slices"
	"sync"
)

// Ask has fn called on the loop's goroutine and returns the results. It waits for the loop,
// so it is for other goroutines: in a callback of r it panics (THR-21). It fails with
// ErrStopped if the reactor stops first, and with a [*PanicError] if fn panics.
func Ask[T any](r *Reactor, fn func() (T, error)) (T, error) {
	return AskContext(context.Background(), r, fn)
}

// AskContext is Ask, but it waits no longer than ctx. Then it fails with the cause of ctx.
// If the loop has not called fn by then, it does not call it any more.
func AskContext[T any](ctx context.Context, r *Reactor, fn func() (T, error)) (T, error) {
	return AskLaterContext(ctx, r, func(done func(T, error)) {
		v, err := protect(r, askedFunction, fn)
		done(v, err)
	})
}

// AskLater is Ask for a function whose result comes later. fn, or something that fn starts,
// calls done with the result, on the loop's goroutine. Only the first call of done counts.
//
// A shutdown waits for blocking work, and work may wait in AskLater. So from then on, what is
// not answered when the loop has nothing more to call fails with ErrStopped.
func AskLater[T any](r *Reactor, fn func(done func(T, error))) (T, error) {
	return AskLaterContext(context.Background(), r, fn)
}

// AskLaterContext is AskLater, but it waits no longer than ctx, as in [AskContext].
func AskLaterContext[T any](ctx context.Context, r *Reactor, fn func(done func(T, error))) (T, error) {
	r.checkAsk()
	type answer struct {
		v   T
		err error
	}
	var none T
	c := make(chan answer, 1)
	q := &question{r: r}
	done := func(v T, err error) {
		q.close()
		select {
		case c <- answer{v, err}:
		default:
		}
	}
	q.refuse = func() { done(none, ErrStopped) }
	r.Post(func() {
		if ctx.Err() != nil {
			return
		}
		q.open()
		if e := r.guard(askedFunction, func() { fn(done) }); e != nil {
			done(none, e)
		}
	})
	select {
	case a := <-c:
		return a.v, a.err
	case <-ctx.Done():
		r.Post(q.close)
		return none, context.Cause(ctx)
	case <-r.stopped:
	}
	select {
	case a := <-c: // the last posts of the shutdown brought it
		return a.v, a.err
	default:
		return none, ErrStopped
	}
}

// question is an ask whose function was called, and which nobody has answered.
type question struct {
	r      *Reactor
	at     int // index in questions.open, from 1; 0: it does not stand there
	refuse func()
}

// questions are the open ones. They have a lock, because a program may answer on another
// goroutine.
type questions struct {
	mu   sync.Mutex
	open []*question
}

func (q *question) open() {
	all := &q.r.questions
	all.mu.Lock()
	defer all.mu.Unlock()
	all.open = append(all.open, q)
	q.at = len(all.open)
}

// close is called when q is answered, or when nobody waits for the answer any more.
func (q *question) close() {
	all := &q.r.questions
	all.mu.Lock()
	defer all.mu.Unlock()
	if q.at == 0 {
		return
	}
	last := all.open[len(all.open)-1]
	all.open[q.at-1], last.at = last, q.at
	all.open[len(all.open)-1] = nil
	all.open = all.open[:len(all.open)-1]
	q.at = 0
}

// refuseAll answers with ErrStopped what nobody has answered.
func (all *questions) refuseAll() {
	all.mu.Lock()
	open := slices.Clone(all.open)
	all.mu.Unlock()
	for _, q := range open {
		q.refuse()
	}
}

// checkAsk panics where an answer could never come.
func (r *Reactor) checkAsk() {
	switch {
	case r.work.inKernel.Load():
		panic("reactor: Ask in blocking work that the kernel does on the loop's goroutine: the answer could never come; use Post")
	case r.onLoop():
		panic("reactor: Ask in a callback of the same reactor: the loop cannot answer while it waits; call the function directly, or use Post")
	}
}
