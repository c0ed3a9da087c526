package flow

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Errors of a Queue, to be asked for with errors.Is.
var (
	// ErrQueueFull: a message was refused, because the queue is full and its Policy is Block, or because the message alone is
	// larger than the queue may be.
	ErrQueueFull = kernel.Sentinel("the queue is full")
	// ErrSlowConsumer: the connection was aborted, because its peer reads too slowly for the bounds of its queue.
	ErrSlowConsumer = kernel.Sentinel("the consumer is too slow")
)

// QueuePolicy says what a Queue does with a message for which there is no room.
type QueuePolicy uint8

const (
	// Block refuses the message with ErrQueueFull. QueueOptions.Ready is called when there is room.
	Block QueuePolicy = iota
	// DropOldest drops the messages that have waited longest.
	DropOldest
	// KeepLatest replaces a message that waits by a newer one with the same key, in its place, also while there is room. If
	// there is no room still, it drops the oldest.
	KeepLatest
	// Disconnect aborts the connection: Queue.Err is then ErrSlowConsumer.
	Disconnect
)

// QueueOptions configure a Queue. Nil and the zero value are the defaults.
type QueueOptions struct {
	// Policy is what happens to a message that finds no room. Zero: Block.
	Policy QueuePolicy
	// MaxBytes is how many bytes of messages may wait. What the transport buffers already, up to its high-water mark and a
	// message, is not counted. Each message that waits counts 64 bytes more than it has, and its key. Zero: 1 MiB; negative: no limit.
	MaxBytes int
	// MaxAge is how long a message may wait by the reactor's clock. Older ones are dropped; of Disconnect, the connection is
	// aborted. With KeepLatest the time is that of the first message in the place. Zero or negative: no limit.
	MaxAge time.Duration
	// Ready is called on the loop's goroutine when a message was refused and at least half of the room is free, once for
	// each time. It may send. Nil: nobody is told.
	Ready func(*Queue)
}

const defaultQueueBytes = 1 << 20

// QueueStats count what has become of the messages given to a Queue. A batch of a Broadcaster counts as all messages in it.
type QueueStats struct {
	Sent     uint64 // given to the transport
	Refused  uint64 // by ErrQueueFull
	Dropped  uint64 // for want of room, or because the connection was lost
	Expired  uint64 // dropped because of MaxAge
	Replaced uint64 // dropped because a newer one with the same key came
	// DroppedBytes are those of Dropped, Expired and Replaced.
	DroppedBytes uint64
	// Queued and QueuedBytes are what waits now.
	Queued      int
	QueuedBytes int
}

// Queue holds messages for a connection whose peer reads slowly, above its transport: while the transport takes what is written,
// messages go straight to it, and wait only while it holds more than its high-water mark. So what waits can still be dropped or
// replaced, whole messages at a time.
//
// A Queue is the registered producer of its transport. Close of the transport waits until the queue is empty, for as long as there is
// progress. All methods are for the loop's goroutine.
type Queue struct {
	t        reactor.Transport
	o        QueueOptions
	on       reactor.Consumer
	state    queueState
	paused   bool // by the transport
	draining bool
	refused  bool // since Ready was called
	err      error
	waiting  ring
	keys     map[string]uint64 // of KeepLatest: where the message of a key waits
	timer    reactor.DelayedCall
	stats    QueueStats
	members  []membership
}

type queueState uint8

const (
	queueOpen queueState = iota
	queueLost
)

// NewQueue makes a queue for t and registers it as the producer. The error is errors.ErrUnsupported if t is no
// reactor.Consumer, or that of RegisterProducer. A queue for a lost transport is lost at once.
func NewQueue(t reactor.Transport, o *QueueOptions) (*Queue, error) {
	q := &Queue{t: t}
	if o != nil {
		q.o = *o
	}
	if q.o.MaxBytes == 0 {
		q.o.MaxBytes = defaultQueueBytes
	}
	if q.o.Policy == KeepLatest {
		q.keys = make(map[string]uint64)
	}
	q.timer.Init(t.Reactor(), q.expire)
	q.on = reactor.ConnectionOf(t)
	if err := q.on.RegisterProducer(q); err != nil {
		return nil, err
	}
	return q, nil
}

// Send gives msg to the transport, or has it wait. The queue keeps msg, as reactor.WriteShared does: nobody may change it any
// more, and it may be given to any number of queues. The error is ErrQueueFull, ErrSlowConsumer if this message was one too
// many, or reactor.ErrClosed if the connection is lost.
func (q *Queue) Send(msg []byte) error { return q.send(entry{msg: msg, count: 1}) }

// SendKeyed is Send, and with KeepLatest the message takes the place of one with the same key that still waits. With
// other policies, and for the empty key, it is Send.
func (q *Queue) SendKeyed(key string, msg []byte) error {
	if q.o.Policy != KeepLatest {
		key = ""
	}
	return q.send(entry{msg: msg, count: 1, key: key})
}

// Err is ErrSlowConsumer if the queue has aborted the connection, else nil.
func (q *Queue) Err() error { return q.err }

// Transport is the transport of the queue.
func (q *Queue) Transport() reactor.Transport { return q.t }

// Stats counts what has become of the messages so far.
func (q *Queue) Stats() QueueStats {
	s := q.stats
	s.Queued, s.QueuedBytes = q.waiting.messages, q.waiting.bytes
	return s
}

func (q *Queue) send(e entry) error {
	switch {
	case q.state == queueLost:
		q.drop(&q.stats.Dropped, e)
		return q.gone()
	case !q.paused && q.waiting.len() == 0:
		return q.write(e)
	case q.replace(e):
		return nil
	case q.o.MaxBytes >= 0 && q.waiting.size+e.size() > q.o.MaxBytes:
		if err := q.makeRoom(e); err != nil {
			return err
		}
	}
	e.at = q.t.Reactor().Now()
	if q.waiting.len() == 0 && q.o.MaxAge > 0 {
		q.timer.Reset(q.o.MaxAge)
	}
	if q.keys != nil && e.key != "" {
		q.keys[e.key] = q.waiting.end
	}
	q.waiting.push(e)
	return nil
}

// gone is the error of Send when the connection is lost.
func (q *Queue) gone() error {
	if q.err != nil {
		return q.err
	}
	return reactor.ErrClosed
}

// replace puts e in the place of the message with its key, if one waits.
func (q *Queue) replace(e entry) bool {
	if q.keys == nil || e.key == "" {
		return false
	}
	at, ok := q.keys[e.key]
	if !ok {
		return false
	}
	old := q.waiting.at(at)
	if q.o.MaxBytes >= 0 && q.waiting.size-old.size()+e.size() > q.o.MaxBytes {
		return false // it goes to the end, and what is dropped for it may be the old one
	}
	q.drop(&q.stats.Replaced, *old)
	q.waiting.size += e.size() - old.size()
	q.waiting.bytes += len(e.msg) - len(old.msg)
	old.msg = e.msg
	return true
}

// makeRoom does what the policy says about e, for which there is no room.
func (q *Queue) makeRoom(e entry) error {
	switch {
	case q.o.Policy == Disconnect:
		q.drop(&q.stats.Dropped, e)
		q.abort()
		return q.err
	case q.o.Policy == Block || e.size() > q.o.MaxBytes:
		q.stats.Refused += uint64(e.count)
		q.refused = true
		return ErrQueueFull
	}
	for q.waiting.size+e.size() > q.o.MaxBytes {
		q.drop(&q.stats.Dropped, q.pop())
	}
	return nil
}

// pop takes the oldest message out.
func (q *Queue) pop() entry {
	at := q.waiting.begin
	e := q.waiting.pop()
	if q.keys != nil && q.keys[e.key] == at && e.key != "" {
		delete(q.keys, e.key)
	}
	return e
}

func (q *Queue) drop(counter *uint64, e entry) {
	*counter += uint64(e.count)
	q.stats.DroppedBytes += uint64(len(e.msg))
}

// write gives e to the transport. The transport may pause or stop the queue meanwhile.
func (q *Queue) write(e entry) error {
	if _, err := reactor.WriteShared(q.t, e.msg); err != nil {
		q.drop(&q.stats.Dropped, e)
		q.lose()
		return err
	}
	q.stats.Sent += uint64(e.count)
	return nil
}

// abort ends the connection of a peer that is too slow.
func (q *Queue) abort() {
	q.err = ErrSlowConsumer
	q.lose()
	q.t.Abort()
}

// Unfinished has the connection reset if it ends while messages wait, for instance because the reactor stops (PROD-24).
func (q *Queue) Unfinished() bool { return q.waiting.len() > 0 }

// lose forgets what waits: the connection is lost.
func (q *Queue) lose() {
	if q.state == queueLost {
		return
	}
	q.state = queueLost
	q.timer.Cancel()
	for q.waiting.len() > 0 {
		q.drop(&q.stats.Dropped, q.pop())
	}
	q.waiting, q.keys = ring{}, nil
	for len(q.members) > 0 {
		q.members[0].of.Remove(q)
	}
}

// expire is called when the oldest message may have waited too long.
func (q *Queue) expire() {
	now := q.t.Reactor().Now()
	for q.waiting.len() > 0 {
		left := q.waiting.at(q.waiting.begin).at + q.o.MaxAge - now
		switch {
		case left > 0:
			q.timer.Reset(left)
			q.ready()
			return
		case q.o.Policy == Disconnect:
			q.abort()
			return
		}
		q.drop(&q.stats.Expired, q.pop())
	}
	q.ready()
}

// ready tells that there is room again.
func (q *Queue) ready() {
	if q.refused && q.o.Ready != nil && q.state == queueOpen && q.waiting.size <= q.o.MaxBytes/2 {
		q.refused = false
		q.o.Ready(q)
	}
}

// PauseProducing is called by the transport when it holds enough.
func (q *Queue) PauseProducing() { q.paused = true }

// ResumeProducing is called by the transport when it has sent what it held.
func (q *Queue) ResumeProducing() {
	q.paused = false
	if q.draining {
		return
	}
	q.draining = true
	defer func() { q.draining = false }()
	for !q.paused && q.waiting.len() > 0 {
		_ = q.write(q.pop()) // an error has ended the queue
	}
	if q.waiting.len() == 0 {
		q.timer.Cancel()
	}
	q.ready()
}

// StopProducing is called by the transport when it is lost.
func (q *Queue) StopProducing() { q.lose() }

// Producing tells whether something waits. Close of the transport waits for it.
func (q *Queue) Producing() bool { return q.waiting.len() > 0 }
