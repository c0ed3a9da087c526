// Package timerheap is a priority queue of timers: an indexed heap of four children
// with lazy postponement. It reads no clock and calls nothing.
//
// The heap is intrusive. A [Node] is embedded in what it schedules, knows its place in
// the heap, and can be moved or removed without a search. Nothing is allocated but the
// heap's own slice, which keeps its capacity.
//
// Most timers are postponed again and again and never fire: idle timeouts are. So
// [Heap.Postpone] only stores the delay. [Heap.Settle] turns the delays of all nodes that
// were postponed since the last one into due times, at one reading of the clock. An entry
// of the heap may therefore stand earlier than its node is due, never later. It sinks to
// its place when it comes up first, in [Heap.Due].
package timerheap

import (
	"iter"
	"math"
	"time"
)

// Never is what [Heap.Next] returns for an empty heap: later than any due time.
const Never time.Duration = math.MaxInt64

// State says where a Node is.
type State uint8

// The states of a Node.
const (
	New       State = iota // never in a heap since Init
	Waiting                // in the heap; When is the due time
	Postponed              // in the heap; When is the delay, which starts at the next Settle
	Taken                  // out of the heap, by Take
	Removed                // out of the heap, by Remove
)

// Node is one timer. The zero Node is New. A Node that is in a heap must not be copied.
type Node[T any] struct {
	// Value is the user's. The heap does not look at it.
	Value T

	when  time.Duration // due time; while Postponed, the delay
	order uint64
	pos   int32 // index of the entry, while the node is in a heap
	state State
	noted bool // is listed in Heap.postponed
}

// Init makes n a New node with value v. It must not be in a heap.
func (n *Node[T]) Init(v T) { n.Value, n.state = v, New }

// State says where n is.
func (n *Node[T]) State() State { return n.state }

// Active tells whether n is in a heap.
func (n *Node[T]) Active() bool { return n.state == Waiting || n.state == Postponed }

// When is when n is due. While n is Postponed, it is how long after the next Settle.
func (n *Node[T]) When() time.Duration { return n.when }

// Order decides between nodes that are due at the same time: the lower comes first.
func (n *Node[T]) Order() uint64 { return n.order }

// Heap is the queue. The zero value is empty and ready to use. It is for one goroutine
// at a time.
type Heap[T any] struct {
	entries   []entry[T]
	postponed []*Node[T]
}

// entry repeats its node's key as it was when the entry took its place, so that
// comparing two entries touches neither node.
type entry[T any] struct {
	at    time.Duration
	order uint64
	node  *Node[T]
}

func (e *entry[T]) before(o *entry[T]) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// Len is the number of nodes in the heap.
func (h *Heap[T]) Len() int { return len(h.entries) }

// All iterates over the nodes in the order of the heap's slice, which depends only on
// the calls made so far. The heap must not change meanwhile.
func (h *Heap[T]) All() iter.Seq[*Node[T]] {
	return func(yield func(*Node[T]) bool) {
		for i := range h.entries {
			if !yield(h.entries[i].node) {
				return
			}
		}
	}
}

// Set puts n into the heap, due at due, or moves it there. It costs O(log n).
func (h *Heap[T]) Set(n *Node[T], due time.Duration, order uint64) {
	in := n.Active()
	n.when, n.order, n.state = due, order, Waiting
	e := entry[T]{due, order, n}
	if in {
		h.place(int(n.pos), e)
	} else {
		h.entries = append(h.entries, entry[T]{})
		h.up(len(h.entries)-1, e)
	}
}

// Postpone makes n due delay after the next Settle, and costs a store. past is a reading
// of the clock that is no later than the present time. If n is not in the heap, or if it
// might have to move to an earlier place, or if delay is more than half of the largest
// Duration, Postpone does nothing and returns false.
func (h *Heap[T]) Postpone(n *Node[T], past, delay time.Duration, order uint64) bool {
	switch {
	case delay >= Never/2:
		return false // adding to it might overflow
	case n.state == Waiting && past+delay >= n.when:
	case n.state == Postponed && (delay >= n.when || past+delay >= h.entries[n.pos].at):
	default:
		return false
	}
	n.when, n.order, n.state = delay, order, Postponed
	if !n.noted {
		n.noted = true
		h.postponed = append(h.postponed, n)
	}
	return true
}

// Unsettled tells whether Settle has anything to do.
func (h *Heap[T]) Unsettled() bool { return len(h.postponed) > 0 }

// Settle gives each node that was postponed since the last Settle its due time: now and
// its delay.
func (h *Heap[T]) Settle(now time.Duration) {
	for i, n := range h.postponed {
		n.noted = false
		if n.state == Postponed {
			n.when, n.state = now+n.when, Waiting
		}
		h.postponed[i] = nil
	}
	h.postponed = h.postponed[:0]
}

// Remove takes n out of the heap. It must be in it.
func (h *Heap[T]) Remove(n *Node[T]) {
	h.cut(n)
	n.state = Removed
}

// Take takes n out of the heap because its time has come. It must be in it.
func (h *Heap[T]) Take(n *Node[T]) {
	h.cut(n)
	n.state = Taken
}

// Next is a time before which no node is due; Never if the heap is empty. The first node
// may be due later, if it was postponed.
func (h *Heap[T]) Next() time.Duration {
	if len(h.entries) == 0 {
		return Never
	}
	return h.entries[0].at
}

// Due is the first node that is due at now, which stays in the heap, or nil. The heap
// must be settled. A node that is postponed often costs O(log n) only when its entry
// comes up, not each time it is postponed.
func (h *Heap[T]) Due(now time.Duration) *Node[T] {
	for len(h.entries) > 0 && h.entries[0].at <= now {
		e := &h.entries[0]
		n := e.node
		if n.when == e.at && n.order == e.order {
			return n
		}
		h.place(0, entry[T]{n.when, n.order, n})
	}
	return nil
}

// cut takes n's entry out. The last entry takes its place.
func (h *Heap[T]) cut(n *Node[T]) {
	i, last := int(n.pos), len(h.entries)-1
	e := h.entries[last]
	h.entries[last] = entry[T]{}
	h.entries = h.entries[:last]
	if i < last {
		h.place(i, e)
	}
}

// place puts e where the entry at i stood, or where the order wants it from there.
func (h *Heap[T]) place(i int, e entry[T]) {
	if i > 0 && e.before(&h.entries[(i-1)/4]) {
		h.up(i, e)
	} else {
		h.down(i, e)
	}
}

func (h *Heap[T]) up(i int, e entry[T]) {
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h.entries[parent]) {
			break
		}
		h.put(i, h.entries[parent])
		i = parent
	}
	h.put(i, e)
}

func (h *Heap[T]) down(i int, e entry[T]) {
	for {
		first := 4*i + 1
		if first >= len(h.entries) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h.entries)); c++ {
			if h.entries[c].before(&h.entries[least]) {
				least = c
			}
		}
		if !h.entries[least].before(&e) {
			break
		}
		h.put(i, h.entries[least])
		i = least
	}
	h.put(i, e)
}

func (h *Heap[T]) put(i int, e entry[T]) {
	h.entries[i] = e
	e.node.pos = int32(i)
}
