package sim

import (
	"slices"
	"time"

	"github.com/whorl-go/whorl/internal/timerheap"
)

// event is something that happens at a time: a segment arrives, or what was put
// off is done.
type event struct {
	flow  *half
	epoch uint32 // of the flow; the event is void when it has another by then
	what  what
	fn    func()
}

type what uint8

const (
	arrive what = iota // the flow's first segment reaches its host
	again              // the flow is sent again
	giveUp             // the flow has not come through for too long
	call               // fn, without the lock
	ready              // fn, with the lock
)

// events is the queue of what is to happen, the earliest first. It keeps the nodes of
// past events for those to come.
type events struct {
	heap timerheap.Heap[event]
	free []*timerheap.Node[event]
}

func (q *events) push(at time.Duration, tie uint64, e event) {
	var n *timerheap.Node[event]
	if last := len(q.free) - 1; last >= 0 {
		n, q.free = q.free[last], q.free[:last]
	} else {
		n = new(timerheap.Node[event])
	}
	n.Init(e)
	q.heap.Set(n, at, tie)
}

// pop takes the first event. There must be one.
func (q *events) pop() event {
	n := q.heap.Due(q.heap.Next())
	q.heap.Take(n)
	e := n.Value
	n.Value = event{}
	q.free = append(q.free, n)
	return e
}

// next is when the first event is; kernel.Forever if there is none.
func (q *events) next() time.Duration { return q.heap.Next() }

func (q *events) len() int { return q.heap.Len() }

// all is the nodes of the events, in an order that depends on the calls made so far alone.
func (q *events) all() []*timerheap.Node[event] { return slices.Collect(q.heap.All()) }

// remove takes out the events that are not wanted.
func (q *events) remove(unwanted func(event) bool) {
	all := q.all()
	q.heap = timerheap.Heap[event]{}
	for _, n := range all {
		if unwanted(n.Value) {
			continue
		}
		q.push(n.When(), n.Order(), n.Value)
	}
}
