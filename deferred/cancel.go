package deferred

import (
	"slices"

	"github.com/whorl-go/whorl/reactor"
)

// Cancel gives up a result that is not there: nobody is interested in it any more. What that does depends on what would have given
// it:
//
//   - A result of New with a canceller calls that, and fails with reactor.ErrCancelled unless the canceller has given another outcome
//     (DEF-9). If the canceller panics, that is reported, and is the outcome.
//   - A result of New without one fails with reactor.ErrCancelled (DEF-10).
//   - The result of a step, or one that follows another result, gives up the one that it waits for (DEF-11). Its own outcome is what the steps between
//     make of that. If others wait for that one as well, it goes on, and only this step gets reactor.ErrCancelled, at once. The same holds if that
//     one is there, and has not come to this step.
//   - Inside the very step that gives it, it gives up the result that this step returns, when it has.
//
// On a result that is there, and inside its own canceller, Cancel does nothing (DEF-11). It needs no deep stack for a long chain (DEF-6). Results that
// wait for one another in a circle that was too long to be refused (DEF-7) fail with reactor.ErrCancelled.
func (d *Deferred[T]) Cancel() { giveUp(d) }

// giveUp gives up n, or what n waits for, and so on inward. It is a loop, as deliver is (DEF-6).
func giveUp(n node) {
	var seen node // one of those before, later each time: a circle comes back to it
	for steps, next := 1, 1; n != nil; steps++ {
		if n == seen {
			n.giveUp(true)
			return
		}
		if steps == next {
			seen, next = n, 2*next
		}
		n = n.giveUp(false)
	}
}

func (d *Deferred[T]) giveUp(cut bool) node {
	if d.state != pending {
		return nil
	}
	cause := error(reactor.ErrCancelled)
	switch c := d.canceller; {
	case d.peer != nil:
		next, found := d.peer.drop(d, cut)
		d.gone = !found
		return next
	case c == nil:
		d.late = true
	default:
		d.state = cancelling
		if e := d.r.Guard(cancellerName, func() { c(d) }); e != nil {
			cause = e
		}
		if d.state != cancelling {
			return nil
		}
	}
	deliver(d.r, d.fail(cause))
	return nil
}

func (d *Deferred[T]) drop(by node, cut bool) (next node, found bool) {
	i := d.find(by)
	switch {
	case i < 0:
		return nil, false
	case d.state == cancelling:
		return nil, true
	case d.state == pending && d.live <= 1 && !cut:
		return d, true
	}
	l := *d.at(i)
	d.remove(i)
	// The step gets the outcome of a result in the place of d, which has failed.
	deliver(d.r, &Deferred[T]{r: d.r, state: running, err: reactor.ErrCancelled, first: l, added: 1})
	return nil, true
}

// leave takes away the step that gives by, which does not wait any more. d goes on even if nobody else waits.
func (d *Deferred[T]) leave(by node) {
	if i := d.find(by); i >= 0 {
		d.remove(i)
	}
}

// find returns the place of the first step that has not begun and gives by, or -1.
func (d *Deferred[T]) find(by node) int32 {
	for i := d.next; i < d.added; i++ {
		if l := *d.at(i); l != nil && l.result() == by {
			return i
		}
	}
	return -1
}

// remove takes away the step at place i. Dead places never outnumber the others by much, so a result that waits long does not grow with those who have
// given up.
func (d *Deferred[T]) remove(i int32) {
	*d.at(i) = nil
	if d.state >= there {
		return
	}
	d.live--
	d.dead++
	if d.dead > deadPlaces && d.dead > d.added/2 {
		d.more = slices.DeleteFunc(d.more, func(l link[T]) bool { return l == nil })
		d.added, d.dead = 1+int32(len(d.more)), 0
		if d.first == nil {
			d.dead = 1
		}
	}
}

// deadPlaces are so few that they may stay.
const deadPlaces = 8
