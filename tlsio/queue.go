package tlsio

import (
	"slices"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

const (
	// blockedAfter is how long a step may run until it is taken to wait in a callback of
	// the tls.Config. A step that computes takes a tenth of that.
	blockedAfter = 10 * time.Millisecond
	// overloadedAfter is how long the oldest handshake may wait for a worker until the
	// loop is overloaded.
	overloadedAfter = 100 * time.Millisecond
)

// queue gives workers to the steps of one loop's handshakes. It belongs to the loop's
// goroutine.
//
//	a step is      in                 until
//	waiting        begun, fresh       there is a worker for it
//	computing      computing          it returns, or blockedAfter is over
//	blocked        counted in blocked it returns
//
// At most processors steps compute, and at most most compute or are blocked. So, unless
// Options.Workers is set, steps that compute leave a processor to the loop, and steps that are
// blocked stop no others.
//
// A handshake that has begun comes first, because work was done for it. Of the others the
// oldest comes first. If that has waited for overloadedAfter, the loop is overloaded, and
// the newest comes first, because the peers that have waited longest have mostly gone.
type queue struct {
	r          *reactor.Reactor
	workers    *reactor.Workers
	most       int
	processors int

	begun     []*handshake
	fresh     []*handshake
	computing []*handshake // the one that began first is first
	blocked   int
	look      reactor.DelayedCall // at the first of computing, when it may be blocked
}

func (q *queue) init(r *reactor.Reactor, o Options) {
	q.r = r
	q.most, q.processors = o.workers()
	q.workers = reactor.NewWorkers(r, q.most)
	q.look.Init(r, q.lookAtComputing)
}

// add has a step of h made, now or when there is a worker for it.
func (q *queue) add(h *handshake) {
	if q.free() {
		q.start(h)
		return
	}
	h.since = q.r.Now()
	h.swapLimits()
	if h.step.begun() {
		q.begun = append(q.begun, h)
	} else {
		q.fresh = append(q.fresh, h)
	}
	q.awaitBlocked()
}

// remove takes a handshake out that waits.
func (q *queue) remove(h *handshake) {
	for _, list := range []*[]*handshake{&q.begun, &q.fresh} {
		if i := slices.Index(*list, h); i >= 0 {
			*list = slices.Delete(*list, i, i+1)
		}
	}
}

// free tells whether there is a worker. If there is, nothing waits.
func (q *queue) free() bool {
	return len(q.computing) < q.processors && len(q.computing)+q.blocked < q.most
}

// start gives h a worker.
func (q *queue) start(h *handshake) {
	h.since = q.r.Now()
	h.handInput()
	q.computing = append(q.computing, h)
	if err := q.workers.Submit(h.runInPool); err != nil {
		q.ended(h)
		h.become(waiting)
		h.c.fail("handshake", err)
	}
}

// ended gives back the worker of h.
func (q *queue) ended(h *handshake) {
	if i := slices.Index(q.computing, h); i >= 0 {
		q.computing = slices.Delete(q.computing, i, i+1)
	} else {
		q.blocked--
	}
}

// dispatch gives the workers that are free to those that wait.
func (q *queue) dispatch() {
	for q.free() {
		h := q.next()
		if h == nil {
			return
		}
		h.swapLimits()
		q.start(h)
	}
	q.awaitBlocked()
}

// next takes out the handshake that comes next; nil if none waits.
func (q *queue) next() (h *handshake) {
	switch n := len(q.fresh) - 1; {
	case len(q.begun) > 0:
		h, q.begun[0] = q.begun[0], nil
		q.begun = q.begun[1:]
	case n < 0:
	case q.r.Now()-q.fresh[0].since >= overloadedAfter:
		h, q.fresh[n] = q.fresh[n], nil
		q.fresh = q.fresh[:n]
	default:
		h, q.fresh[0] = q.fresh[0], nil
		q.fresh = q.fresh[1:]
	}
	return h
}

// awaitBlocked has the steps that compute looked at in time, if others wait for them.
func (q *queue) awaitBlocked() {
	if len(q.computing) > 0 && len(q.computing)+q.blocked < q.most && len(q.begun)+len(q.fresh) > 0 && !q.look.Active() {
		q.look.Reset(q.computing[0].since + blockedAfter - q.r.Now())
	}
}

// lookAtComputing counts steps that compute for too long as blocked.
func (q *queue) lookAtComputing() {
	now := q.r.Now()
	for len(q.computing) > 0 && now-q.computing[0].since >= blockedAfter {
		q.computing = slices.Delete(q.computing, 0, 1)
		q.blocked++
	}
	q.dispatch()
}
