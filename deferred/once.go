package deferred

import (
	"errors"

	"github.com/whorl-go/whorl/reactor"
)

// Once is a result that is made when the first one asks for it, and that all who ask get. It is for the loop's goroutine. [NewOnce] makes one.
type Once[T any] struct {
	r    *reactor.Reactor
	make func() *Deferred[T]
	d    *Deferred[T]
}

// NewOnce makes a Once whose result fn makes. A panic of fn goes to the one who asks, and the next one has fn called again.
func NewOnce[T any](r *reactor.Reactor, fn func() *Deferred[T]) *Once[T] {
	if r == nil || fn == nil {
		panic("deferred: a Once needs a Reactor and a function")
	}
	return &Once[T]{r: r, make: fn}
}

// Get returns a result of the caller's own, with the outcome of the one result. Only the first call has it made. Who gives up the own result leaves
// those of the others alone; when the last one has, the one result is given up, and the next Get has another one made. A failure is
// kept like a value, until Forget.
func (o *Once[T]) Get() *Deferred[T] {
	if o.d != nil {
		if got, ok := o.d.Outcome(); ok && errors.Is(got.Err, reactor.ErrCancelled) {
			o.d = nil
		}
	}
	if o.d == nil {
		o.d = o.make()
	}
	own := New[T](o.r, nil)
	own.Follow(o.d)
	return own
}

// Forget has the next Get make another result. Those who wait for the former one get its outcome.
func (o *Once[T]) Forget() { o.d = nil }
