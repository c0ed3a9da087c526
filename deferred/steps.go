package deferred

// Done has fn called with the outcome: a value and nil, or the zero value and an error. It ends a chain: it gives no further result. A failure
// counts as heard.
func (d *Deferred[T]) Done(fn func(T, error)) { d.add(listener[T](fn)) }

// Then returns the result of fn, which is called with the value of d. If d fails, fn is not called, and the result fails with
// the same error (DEF-2).
func Then[T, U any](d *Deferred[T], fn func(T) (U, error)) *Deferred[U] {
	s := &thenStep[T, U]{fn: fn}
	return after(d, s, &s.Deferred)
}

// Chain is Then for a function whose result comes later: the result waits for the one that fn returns and takes its outcome over (DEF-5). If
// fn returns nil, or the very result that Chain has returned, or one that waits for that, by way of up to a hundred results, that is a panic of the step (DEF-7).
func Chain[T, U any](d *Deferred[T], fn func(T) *Deferred[U]) *Deferred[U] {
	s := &chainStep[T, U]{fn: fn}
	return after(d, s, &s.Deferred)
}

// Catch returns the result of fn, which is called with the error of d. If d does not fail, fn is not called, and the result has the same
// value. So a step can turn a failure into a success, or into another failure (DEF-2).
func (d *Deferred[T]) Catch(fn func(error) (T, error)) *Deferred[T] {
	s := &catchStep[T]{fn: fn}
	return after(d, s, &s.Deferred)
}

// CatchChain is Catch for a function whose result comes later, as [Chain] is Then.
func (d *Deferred[T]) CatchChain(fn func(error) *Deferred[T]) *Deferred[T] {
	s := &catchChainStep[T]{fn: fn}
	return after(d, s, &s.Deferred)
}

// Finally returns a result with the outcome of d. fn is called first, whatever the outcome is. It is for cleaning up. If the
// result is given up while something else waits for d, fn is called at once, and d goes on: what d itself needs is cleaned up in a Done of d.
func (d *Deferred[T]) Finally(fn func()) *Deferred[T] {
	s := &finallyStep[T]{fn: fn}
	return after(d, s, &s.Deferred)
}

// FinallyChain is Finally for a function whose result comes later: the outcome of d is passed on when that is there. If that fails, the
// result fails with its error.
func (d *Deferred[T]) FinallyChain(fn func() *Deferred[None]) *Deferred[T] {
	return Transform(d, func(v T, err error) *Deferred[T] {
		return Then(fn(), func(None) (T, error) { return v, err })
	})
}

// Transform is the general step: fn gets the outcome of d, whatever it is, and returns a result that comes later, as in [Chain].
func Transform[T, U any](d *Deferred[T], fn func(T, error) *Deferred[U]) *Deferred[U] {
	s := &transformStep[T, U]{fn: fn}
	return after(d, s, &s.Deferred)
}

// after makes result the result of l, a step of d. Both are one object, so that a step is one allocation.
func after[T, U any](d *Deferred[T], l link[T], result *Deferred[U]) *Deferred[U] {
	result.r, result.made, result.peer = d.r, d.made, d
	d.add(l)
	return result
}

type thenStep[T, U any] struct {
	Deferred[U]
	fn func(T) (U, error)
}

func (s *thenStep[T, U]) take(v T, err error) node {
	var u U
	if err == nil {
		u, err = s.fn(v)
	}
	return s.settle(u, err)
}

type chainStep[T, U any] struct {
	Deferred[U]
	fn func(T) *Deferred[U]
}

func (s *chainStep[T, U]) take(v T, err error) node {
	if err != nil {
		return s.Deferred.fail(err)
	}
	return s.follow(s.fn(v))
}

type catchStep[T any] struct {
	Deferred[T]
	fn func(error) (T, error)
}

func (s *catchStep[T]) take(v T, err error) node {
	if err != nil {
		v, err = s.fn(err)
	}
	return s.settle(v, err)
}

type catchChainStep[T any] struct {
	Deferred[T]
	fn func(error) *Deferred[T]
}

func (s *catchChainStep[T]) take(v T, err error) node {
	if err == nil {
		return s.settle(v, nil)
	}
	return s.follow(s.fn(err))
}

type finallyStep[T any] struct {
	Deferred[T]
	fn func()
}

func (s *finallyStep[T]) take(v T, err error) node {
	s.fn()
	return s.settle(v, err)
}

type transformStep[T, U any] struct {
	Deferred[U]
	fn func(T, error) *Deferred[U]
}

func (s *transformStep[T, U]) take(v T, err error) node { return s.follow(s.fn(v, err)) }
