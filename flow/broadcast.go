package flow

import (
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// BroadcastOptions configure a Broadcaster. Nil and the zero value are the defaults.
type BroadcastOptions struct {
	// Interval is how long messages are gathered, from the first one. Zero: until the next round of delayed calls, so that the
	// messages of one turn go together. Negative: each goes at once. It must be negative above a transport where each write is a message, such as a WebSocket.
	Interval time.Duration
	// MaxBytes is how many bytes are gathered. A message that would make it more has the others sent at once. Zero or negative: 16 KiB.
	MaxBytes int
}

const defaultBatch = 16 << 10

// Broadcaster sends messages to many connections. It gathers them for a moment, so that one write carries many, and each batch
// is in memory once, however many connections there are and however slowly they read. It belongs to one loop, and its methods are
// for the goroutine of that: a group has one for each loop.
type Broadcaster struct {
	r       *reactor.Reactor
	o       BroadcastOptions
	members []*Queue
	batch   []byte
	count   int
	sending bool
	timer   reactor.DelayedCall
}

// membership is a queue's place among the members of a Broadcaster.
type membership struct {
	of *Broadcaster
	at int
}

// NewBroadcaster makes a Broadcaster for connections of r.
func NewBroadcaster(r *reactor.Reactor, o *BroadcastOptions) *Broadcaster {
	b := &Broadcaster{r: r}
	if o != nil {
		b.o = *o
	}
	if b.o.MaxBytes <= 0 {
		b.o.MaxBytes = defaultBatch
	}
	b.timer.Init(r, b.Flush)
	return b
}

// Len is how many queues it sends to.
func (b *Broadcaster) Len() int { return len(b.members) }

// Add has q get all messages from now on. One whose connection is lost leaves by itself, and is not added. A second Add of q does
// nothing. It panics if q is of another reactor.
func (b *Broadcaster) Add(q *Queue) {
	if q.t.Reactor() != b.r {
		panic("flow: Add of a queue of another reactor")
	}
	b.Flush() // q gets nothing older
	if q.state == queueLost || q.member(b) >= 0 {
		return
	}
	q.members = append(q.members, membership{b, len(b.members)})
	b.members = append(b.members, q)
}

// member is the index in q.members of b, or -1.
func (q *Queue) member(b *Broadcaster) int {
	for i, m := range q.members {
		if m.of == b {
			return i
		}
	}
	return -1
}

// Remove has q get no more messages, nor those that are being gathered. If q is no member it does nothing.
func (b *Broadcaster) Remove(q *Queue) {
	i := q.member(b)
	if i < 0 {
		return
	}
	at := q.members[i].at
	q.members = append(q.members[:i], q.members[i+1:]...)
	if b.sending {
		b.members[at] = nil // Flush closes the gap
		return
	}
	b.move(len(b.members)-1, at)
	b.members[len(b.members)-1] = nil
	b.members = b.members[:len(b.members)-1]
}

// move puts the member at from to the place to.
func (b *Broadcaster) move(from, to int) {
	q := b.members[from]
	b.members[to] = q
	if q != nil && from != to {
		q.members[q.member(b)].at = to
	}
}

// Send sends msg to all members, with those of the same moment. It copies msg. What the queues do with it, each decides by
// its own policy; a batch is dropped or kept as a whole, and counted as its messages.
func (b *Broadcaster) Send(msg []byte) {
	if len(b.batch) > 0 && len(b.batch)+len(msg) > b.o.MaxBytes {
		b.Flush()
	}
	if b.batch == nil && b.o.Interval >= 0 {
		b.batch = make([]byte, 0, max(len(msg), min(b.o.MaxBytes, 1<<10)))
	}
	b.batch = append(b.batch, msg...)
	b.count++
	switch {
	case b.o.Interval < 0:
		b.Flush()
	case !b.timer.Active():
		b.timer.Reset(b.o.Interval)
	}
}

// Flush sends what was gathered.
func (b *Broadcaster) Flush() {
	if b.count == 0 || b.sending {
		return
	}
	b.timer.Cancel()
	e := entry{msg: b.batch, count: b.count}
	b.batch, b.count = nil, 0
	b.sending = true
	for members := b.members; len(members) > 0; {
		var q *Queue
		if p := b.r.Guard("flow.Broadcaster", func() {
			for len(members) > 0 {
				if q, members = members[0], members[1:]; q != nil {
					_ = q.send(e) // the queue has counted what it did not take
				}
			}
		}); p != nil {
			q.lose()
			q.t.Abort() // its peer may have a part of the batch
		}
	}
	b.sending = false
	kept := 0
	for i, q := range b.members {
		if q != nil {
			b.move(i, kept)
			kept++
		}
	}
	clear(b.members[kept:])
	b.members = b.members[:kept]
	if b.count > 0 && !b.timer.Active() { // sent inside, so in the next round at the earliest: it may go on without end
		b.timer.Reset(max(0, b.o.Interval))
	}
}
