package deferred

import (
	"fmt"
	"slices"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

var (
	// ErrQueueFull: as many items wait in a [Queue] as it may hold.
	ErrQueueFull = kernel.Sentinel("the queue is full")
	// ErrTooManyWaiting: as many wait for an item of a [Queue] as may.
	ErrTooManyWaiting = kernel.Sentinel("too many wait for an item of the queue")
)

// Queue hands items to those who wait for them, in order (DEF-20). It is for the loop's goroutine. [NewQueue] makes one.
type Queue[T any] struct {
	r                    *reactor.Reactor
	maxItems, maxWaiting int
	items                []T
	waiting              []*Deferred[T]
}

// NewQueue makes an empty queue that holds at most maxItems items, and in which at most maxWaiting wait for one. Zero is a limit like others: a queue without
// room takes only items that somebody waits for. It panics if one is negative.
func NewQueue[T any](r *reactor.Reactor, maxItems, maxWaiting int) *Queue[T] {
	if r == nil || maxItems < 0 || maxWaiting < 0 {
		panic(fmt.Errorf("deferred: a queue needs a Reactor and limits of at least 0, not %d and %d", maxItems, maxWaiting))
	}
	return &Queue[T]{r: r, maxItems: maxItems, maxWaiting: maxWaiting}
}

// Put hands v to the one who has waited longest, inside the call, or adds it to the queue. It fails with ErrQueueFull, and v is not taken.
func (q *Queue[T]) Put(v T) error {
	switch {
	case len(q.waiting) > 0:
		next := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		next.Succeed(v)
	case len(q.items) >= q.maxItems:
		return ErrQueueFull
	default:
		q.items = append(q.items, v)
	}
	return nil
}

// Get returns the next item, which is there at once if the queue has one. Giving up the result takes no item. The result fails with
// ErrTooManyWaiting.
func (q *Queue[T]) Get() *Deferred[T] {
	switch {
	case len(q.items) > 0:
		v := q.items[0]
		clear(q.items[:1])
		q.items = q.items[1:]
		return Of(q.r, v)
	case len(q.waiting) >= q.maxWaiting:
		return Failed[T](q.r, ErrTooManyWaiting)
	}
	d := New(q.r, func(d *Deferred[T]) {
		i := slices.Index(q.waiting, d)
		q.waiting = slices.Delete(q.waiting, i, i+1)
	})
	q.waiting = append(q.waiting, d)
	return d
}

// Len is how many items are in the queue.
func (q *Queue[T]) Len() int { return len(q.items) }

// Waiting is how many wait for an item.
func (q *Queue[T]) Waiting() int { return len(q.waiting) }
