package deferred

import (
	"fmt"
	"slices"

	"github.com/whorl-go/whorl/reactor"
)

// All returns the outcomes of all ds, in their order, when the last of them is there (DEF-15). It never fails: failures are among the outcomes, and
// count as heard. Without ds it is there at once. Giving it up gives up every member (DEF-16).
func All[T any](r *reactor.Reactor, ds ...*Deferred[T]) *Deferred[[]Outcome[T]] {
	return newList(r, ds, false, func(l *list[T, []Outcome[T]], _ int) node {
		if l.left > 0 {
			return nil
		}
		return l.settle(l.outcomes, nil)
	})
}

// FirstError is the failure of a [Gather].
type FirstError struct {
	Index int   // which of the list has failed, from 0
	Err   error // with which error
}

// Error is "result 2 of the list: connection refused".
func (e *FirstError) Error() string { return fmt.Sprintf("result %d of the list: %v", e.Index, e.Err) }

// Unwrap is Err.
func (e *FirstError) Unwrap() error { return e.Err }

// Gather returns the values of all ds, in their order, or fails as soon as one does, with a [*FirstError] that has its place (DEF-15,
// DEF-17). The others then go on, and their failures count as heard. Without ds it is there at once. Giving it up gives up
// every member.
func Gather[T any](r *reactor.Reactor, ds ...*Deferred[T]) *Deferred[[]T] {
	return newList(r, ds, false, func(l *list[T, []T], i int) node {
		if i >= 0 && l.outcomes[i].Err != nil {
			l.leave()
			return l.Deferred.fail(&FirstError{i, l.outcomes[i].Err})
		}
		if l.left > 0 {
			return nil
		}
		values := make([]T, len(l.outcomes))
		for i, o := range l.outcomes {
			values[i] = o.Value
		}
		return l.settle(values, nil)
	})
}

// Won is the first success of a list.
type Won[T any] struct {
	Index int // which of the list, from 0
	Value T
}

// AllFailedError is the failure of a [First] or a [Race].
type AllFailedError struct {
	Errs []error // in the order of the list
}

// Error has the number of failures and the first error.
func (e *AllFailedError) Error() string {
	return fmt.Sprintf("all %d results of the list have failed, the first with: %v", len(e.Errs), e.Errs[0])
}

// Unwrap is Errs.
func (e *AllFailedError) Unwrap() []error { return e.Errs }

// First returns the first success of ds and its place (DEF-15). The others go on. If all fail, it fails with an [*AllFailedError]. Failures of members
// count as heard. Without ds it never comes. Giving it up gives up every member.
func First[T any](r *reactor.Reactor, ds ...*Deferred[T]) *Deferred[Won[T]] {
	return newList(r, ds, true, func(l *list[T, Won[T]], i int) node {
		n := firstOf(l, i)
		if l.state >= there {
			l.leave()
		}
		return n
	})
}

// Race is First, but the first success gives up the others (DEF-17).
func Race[T any](r *reactor.Reactor, ds ...*Deferred[T]) *Deferred[Won[T]] {
	return newList(r, ds, true, func(l *list[T, Won[T]], i int) node {
		n := firstOf(l, i)
		if l.state >= there {
			last, _ := l.drop(nil, false)
			giveUp(last)
		}
		return n
	})
}

// firstOf decides the list after the outcome of member i.
func firstOf[T any](l *list[T, Won[T]], i int) node {
	switch {
	case i < 0:
		return nil // an empty list never comes
	case l.outcomes[i].Err == nil:
		return l.settle(Won[T]{i, l.outcomes[i].Value}, nil)
	case l.left > 0:
		return nil
	}
	errs := make([]error, len(l.outcomes))
	for i, o := range l.outcomes {
		errs[i] = o.Err
	}
	return l.Deferred.fail(&AllFailedError{errs})
}

// list is a result of several others.
type list[T, R any] struct {
	Deferred[R]
	members  []*Deferred[T]
	outcomes []Outcome[T]
	has      []bool // by member: its outcome is there
	left     int    // members whose outcome has not been counted
	one      bool   // the first success decides it
	building bool   // members are still being added
	giving   int    // calls of drop in progress
	// decide is called when member i has its outcome, as long as the list has none; -1 in an empty list. It may give the list its
	// outcome, and returns the list then if that has steps to run.
	decide func(l *list[T, R], i int) node
}

func newList[T, R any](r *reactor.Reactor, ds []*Deferred[T], one bool, decide func(*list[T, R], int) node) *Deferred[R] {
	n := len(ds)
	l := &list[T, R]{members: slices.Clone(ds), outcomes: make([]Outcome[T], n), has: make([]bool, n), left: n, one: one, decide: decide}
	l.r, l.made = r, caller(1)
	l.peer = l
	if n == 0 {
		decide(l, -1)
		return &l.Deferred
	}
	// What is there already decides only when all have been added, in the order of the list.
	l.building = true
	for i, d := range ds {
		if d.r != r {
			panic("deferred: a list has a result of another reactor")
		}
		d.add(&member[T, R]{l, i})
	}
	l.building = false
	for i := range ds {
		if l.has[i] && l.state < there {
			l.came(i)
		}
	}
	return &l.Deferred
}

// came counts the outcome of member i. One that was there when the list was made counts only in its turn: the last one must not seem to have come before
// those whose outcomes have not been looked at.
func (l *list[T, R]) came(i int) node {
	l.left--
	return l.decide(l, i)
}

// drop gives up the members that have no outcome but the last one, and returns what is to be given up for that. One whose canceller panics does not keep the
// others (DEF-16). It is called for the list itself, which waits for them.
func (l *list[T, R]) drop(_ node, cut bool) (last node, found bool) {
	if cut {
		l.end()
		return nil, true
	}
	if l.giving++; l.giving > 1 {
		return nil, true
	}
	for i, d := range l.members {
		if !l.has[i] {
			giveUp(last)
			last, _ = d.drop(&l.Deferred, false)
		}
	}
	again := l.giving > 1
	if again { // inside that; perhaps the list waits for itself
		giveUp(last)
		last = nil
	}
	l.giving = 0
	if again && l.state < there {
		l.end()
	}
	return last, true
}

// end fails the list without its members.
func (l *list[T, R]) end() {
	l.leave()
	deliver(l.r, l.Deferred.fail(reactor.ErrCancelled))
}

// leave has the list, which is decided, not count as one that waits for the members that go on.
func (l *list[T, R]) leave() {
	if l.giving > 0 { // whom it gives up, it must not have left
		return
	}
	for i, d := range l.members {
		if !l.has[i] {
			d.leave(&l.Deferred)
		}
	}
}

// member is the step of a member of a list.
type member[T, R any] struct {
	l *list[T, R]
	i int
}

func (m *member[T, R]) take(v T, err error) node {
	l := m.l
	l.outcomes[m.i], l.has[m.i] = Outcome[T]{v, err}, true
	if l.building || l.state >= there {
		return nil
	}
	return l.came(m.i)
}

func (m *member[T, R]) fail(err error) node { return m.l.Deferred.fail(err) }

func (m *member[T, R]) result() node { return &m.l.Deferred }
