package deferred

import "github.com/whorl-go/whorl/reactor"

// node is a Deferred of any type, as its neighbours see it.
type node interface {
	// step runs the next step. It returns the result to go on with: one that has got its outcome by that, the same one again, or the one whose
	// steps were running before.
	step() node
	// under has the steps of up go on when those of this one have run.
	under(up node)
	// panicked is called after the step that step has run has panicked. It returns the result to go on with.
	panicked(e *reactor.PanicError) node
	// giveUp gives this one up, or returns what it waits for, to be given up in its place. With cut, it does not return that, but ends this
	// one with ErrCancelled.
	giveUp(cut bool) node
	// drop is called when by, which waits for this one, is given up. It returns what is to be given up then: this one. If others wait for it, or
	// with cut, only the step that gives by gets ErrCancelled. found is false if that step has begun.
	drop(by node, cut bool) (next node, found bool)
	// awaits returns what this one waits for: number i of that, from 0, or nil after the last.
	awaits(i int) node
	// unheard returns the failure of this one, if nobody has heard it, and where it was made.
	unheard() (made uintptr, err error)
}

// link is a step: what gets the outcome of a Deferred.
type link[T any] interface {
	// take hands the outcome over. It returns the result that has got its own by that and has steps to run, or nil.
	take(v T, err error) node
	// fail is take after a panic of take.
	fail(err error) node
	// result is the result that the step gives, or nil.
	result() node
}

// listener is a step that gives no result. A function in an interface needs no memory of its own.
type listener[T any] func(T, error)

func (f listener[T]) take(v T, err error) node { f(v, err); return nil }
func (f listener[T]) fail(error) node          { return nil }
func (f listener[T]) result() node             { return nil }

// deliver runs the steps of n, those of the results that they give, and so on, until none is left. It is a loop instead of a recursion:
// each result knows the one to go back to, so a long chain needs no deep stack (DEF-6).
func deliver(r *reactor.Reactor, n node) {
	for n != nil {
		if e := r.Guard(stepName, func() {
			for n != nil {
				n = n.step()
			}
		}); e != nil {
			n = n.panicked(e)
		}
	}
}

// settle gives d its outcome. It returns d if it has steps to run, or nil.
func (d *Deferred[T]) settle(v T, err error) node {
	if err != nil {
		var none T
		v = none
	}
	d.state, d.value, d.err = there, v, err
	d.peer, d.canceller = nil, nil
	if err != nil && !d.heard && err != reactor.ErrCancelled { // which report leaves out
		noteUnheard(d.r, d, &d.made)
	}
	return d.begin()
}

// begin returns d, in state running, if it has steps that can run, or nil.
func (d *Deferred[T]) begin() node {
	if d.next == d.added || d.pause > 0 {
		return nil
	}
	d.state = running
	return d
}

func (d *Deferred[T]) step() node {
	for d.next < d.added && d.pause == 0 {
		l := d.at(d.next)
		d.next++
		if *l == nil {
			continue // taken away
		}
		if n := (*l).take(d.value, d.err); n != nil {
			n.under(d)
			return n
		}
	}
	up := d.peer
	d.state, d.peer = there, nil
	if d.next == d.added {
		d.next, d.added, d.first, d.more = 0, 0, nil, nil
	}
	return up
}

func (d *Deferred[T]) panicked(e *reactor.PanicError) node {
	if n := (*d.at(d.next - 1)).fail(e); n != nil {
		n.under(d)
		return n
	}
	return d
}

func (d *Deferred[T]) under(up node) { d.peer = up }

// at returns the place of step i.
func (d *Deferred[T]) at(i int32) *link[T] {
	if i == 0 {
		return &d.first
	}
	return &d.more[i-1]
}

// add adds a step. If the outcome is there, it runs now, or after the one in progress (DEF-3, DEF-4).
func (d *Deferred[T]) add(l link[T]) {
	d.heard = true
	if d.added == 0 {
		d.first = l
	} else {
		d.more = append(d.more, l)
	}
	d.added++
	if d.state < there {
		d.live++
	}
	if d.state == there {
		deliver(d.r, d.begin())
	}
}

// A Deferred is itself a step of the result that it follows: it takes over the outcome.

func (d *Deferred[T]) take(v T, err error) node { return d.settle(v, err) }

func (d *Deferred[T]) fail(err error) node {
	if d.state >= there {
		return nil
	}
	var none T
	return d.settle(none, err)
}

func (d *Deferred[T]) result() node { return d }

// follow has d take over the outcome of other (DEF-5). It returns d if it has that now and has steps to run, or nil.
func (d *Deferred[T]) follow(other *Deferred[T]) node {
	d.check(other)
	if d.made == 0 {
		d.made = other.made
	}
	if other.state == there && other.next == other.added && other.pause == 0 {
		other.heard = true
		return d.settle(other.value, other.err)
	}
	d.peer = other
	other.add(d)
	if d.gone {
		d.gone = false
		d.Cancel()
	}
	return nil
}

// check panics if d cannot follow other.
func (d *Deferred[T]) check(other *Deferred[T]) {
	left := maxCircle
	switch {
	case other == nil:
		panic("deferred: a step has returned no result")
	case other == d:
		panic("deferred: a step has returned the result that it is to give itself (DEF-7)")
	case other.r != d.r:
		panic("deferred: a step has returned a result of another reactor")
	case d.added == 0 || other.peer == nil: // nobody waits for d, or other for nothing
	case reaches(other, d, &left):
		panic("deferred: the result to wait for waits itself for the one that it is to give, so that neither could ever come (DEF-7)")
	}
}
