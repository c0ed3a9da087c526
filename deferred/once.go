package deferred

import (
	"errors"

	"github.com/whorl-go/whorl/reactor"
)

// Once is a result that is made when the first one asks for it, and that all who ask get. It is for the loop's goroutine. [NewOnce] makes one.
type Once[T any] struct {
	r      *reactor.Reactor
	fn     func() *Deferred[T]
	d      *Deferred[T] // nil: the next Get has it made
	making bool         // fn is being called
}

// NewOnce makes a Once whose result fn makes. A panic of fn goes to the one who asks, and the next one has fn called again. fn must not call Get.
func NewOnce[T any](r *reactor.Reactor, fn func() *Deferred[T]) *Once[T] {
	if r == nil || fn == nil {
		panic("deferred: a Once needs a Reactor and a function")
	}
	return &Once[T]{r: r, fn: fn}
}

// Get returns a result of the caller's own, with the outcome of the one result. Only the first call has it made. Who gives up the own result leaves
// those of the others alone; when the last one has, the one result is given up, and the next Get has another one made, also while that one takes its time to
// end. A failure is kept like a value, until Forget.
func (o *Once[T]) Get() *Deferred[T] {
	if o.d != nil {
		if got, ok := o.d.Outcome(); ok && errors.Is(got.Err, reactor.ErrCancelled) {
			o.d = nil
		}
	}
	d := o.d
	if d == nil {
		d = o.make()
	}
	own := New[T](o.r, nil)
	own.Follow(d)
	return own
}

// make has the result made, and returns what all who ask follow.
func (o *Once[T]) make() *Deferred[T] {
	if o.making {
		panic("deferred: Get of a Once in the function that makes its result")
	}
	o.making = true
	defer func() { o.making = false }()
	made := o.fn()
	all := New[T](o.r, nil)
	all.Follow(made)
	if all.state == pending {
		all.peer = &onceMade[T]{made, o, all}
	}
	o.d = all
	return all
}

// Forget has the next Get make another result. Those who wait for the former one get its outcome.
func (o *Once[T]) Forget() { o.d = nil }

// onceMade is what fn of a Once has made, as all who ask see it. So the Once hears when the last of them has given up.
type onceMade[T any] struct {
	*Deferred[T]
	o   *Once[T]
	all *Deferred[T]
}

func (m *onceMade[T]) drop(by node, cut bool) (next node, found bool) {
	if m.o.d == m.all {
		m.o.d = nil
	}
	return m.Deferred.drop(by, cut)
}

// awaits names the result itself, so that a circle through it is seen.
func (m *onceMade[T]) awaits(i int) node {
	if i > 0 {
		return nil
	}
	return m.Deferred
}
