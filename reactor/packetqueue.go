package reactor

import (
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// packetQueue are the datagrams of a port that the system did not take yet.
//
// The buffer of a UDP socket is its own: when it is full, all wait, and the kernel tells when there is room. The queue of a UNIX socket is the
// receiver's. An unconnected socket is not told when that has room, so the port tries again after a time, and
// what is for other receivers passes.
type packetQueue struct {
	t       *PacketPort
	packets []kernel.Packet
	since   []time.Duration // when each came to the queue
	bytes   int
	byPeer  bool                // each peer has a queue of its own
	waiting map[kernel.Addr]int // with byPeer: how many wait for that peer
	timer   DelayedCall         // tries again, or drops what has waited too long
	retry   time.Duration       // with byPeer: the delay of the next try
}

const (
	firstRetry = time.Millisecond
	lastRetry  = 64 * time.Millisecond
)

func (q *packetQueue) init(t *PacketPort) {
	q.t = t
	q.timer.Init(t.r, q.send)
}

func (q *packetQueue) empty() bool { return len(q.packets) == 0 }
func (q *packetQueue) len() int    { return len(q.packets) }

// waitsForRoom tells whether the kernel is to say when it takes more.
func (q *packetQueue) waitsForRoom() bool { return len(q.packets) > 0 && !q.byPeer }

// holds tells whether a datagram to peer has to wait for those before it.
func (q *packetQueue) holds(peer kernel.Addr) bool {
	if len(q.packets) == 0 {
		return false
	}
	return !q.byPeer || q.waiting[peer] > 0
}

// append queues p, whose data is the queue's, if the limit allows.
func (q *packetQueue) append(p kernel.Packet) error {
	t := q.t
	if q.refusal(len(p.Data)) != nil {
		t.stats.QueueFull++
		return t.writeError(p.Peer, ErrQueueFull)
	}
	q.keep(p, t.r.Now())
	t.stats.Waited++
	return nil
}

// refusal returns why a datagram of size bytes cannot wait, or nil.
func (q *packetQueue) refusal(size int) error {
	switch most := q.t.cfg.MaxQueued; {
	case most < 0:
		return kernel.ErrAgain
	case q.bytes+size+queuedOverhead > most:
		return ErrQueueFull
	}
	return nil
}

// keep puts p at the end.
func (q *packetQueue) keep(p kernel.Packet, since time.Duration) {
	q.packets = append(q.packets, p)
	q.since = append(q.since, since)
	q.bytes += len(p.Data) + queuedOverhead
	if q.byPeer {
		if q.waiting == nil {
			q.waiting = make(map[kernel.Addr]int)
		}
		q.waiting[p.Peer]++
	}
}

// take gives the system ps, and queues a copy of what it does not take. What the limit does not allow is
// dropped.
func (q *packetQueue) take(ps []kernel.Packet) {
	q.byPeer = q.t.local.Net == kernel.UNIXDatagram && q.t.remote.IsZero()
	before := len(q.packets)
	now := time.Duration(-1)
	q.give(ps, func(i int) {
		if err := q.refusal(len(ps[i].Data)); err != nil {
			q.t.stats.Dropped++
			q.t.failed(&ps[i], err)
			return
		}
		if now < 0 {
			now = q.t.r.Now()
		}
		p := ps[i]
		p.Data = slices.Clone(p.Data)
		q.keep(p, now)
		q.t.stats.Waited++
	})
	if before == 0 && len(q.packets) > 0 {
		q.retry = firstRetry
		q.await()
		q.t.rearm()
	}
}

// give has the system take ps, and calls left with the index of each that has to wait, in order.
func (q *packetQueue) give(ps []kernel.Packet, left func(i int)) {
	t := q.t
	for i := 0; i < len(ps); {
		end := len(ps)
		if q.byPeer {
			for end = i + 1; end < len(ps) && ps[end].Peer == ps[i].Peer; end++ {
			}
			if q.waiting[ps[i].Peer] > 0 {
				for ; i < end; i++ {
					left(i)
				}
				continue
			}
		}
		n, err := t.conn.WritePackets(ps[i:end])
		for _, p := range ps[i : i+n] {
			t.stats.SentBytes += uint64(len(p.Data))
		}
		t.stats.Sent += uint64(n)
		i += n
		switch {
		case err == nil && n > 0:
		case err == nil, err == kernel.ErrAgain:
			for ; i < end; i++ {
				left(i)
			}
		default:
			t.stats.Failed++
			t.failed(&ps[i], err)
			i++
		}
	}
}

// send tries to send what waits, and drops what has waited too long.
func (q *packetQueue) send() {
	t := q.t
	if len(q.packets) == 0 || t.state == portStopped {
		return
	}
	ps, since := q.packets, q.since
	q.packets, q.since, q.bytes = nil, nil, 0
	clear(q.waiting)
	now := t.r.Now()
	first := 0
	for limit := t.cfg.QueueTimeout; limit > 0 && first < len(ps) && now-since[first] >= limit; first++ {
		t.stats.Dropped++
		t.failed(&ps[first], ErrSendTimeout)
	}
	sent := t.stats.Sent
	q.give(ps[first:], func(i int) { q.keep(ps[first+i], since[first+i]) })
	if t.stats.Sent != sent {
		q.retry = firstRetry
	} else {
		q.retry = min(2*q.retry, lastRetry)
	}
	if len(q.packets) > 0 {
		q.await()
	} else {
		q.timer.Cancel()
	}
	t.settle()
}

// await sets the timer to the next thing to do.
func (q *packetQueue) await() {
	next := time.Duration(-1)
	if limit := q.t.cfg.QueueTimeout; limit > 0 {
		next = max(q.since[0]+limit-q.t.r.Now(), 0)
	}
	if q.byPeer && (next < 0 || q.retry < next) {
		next = q.retry
	}
	if next >= 0 {
		q.timer.Reset(next)
	} else {
		q.timer.Cancel()
	}
}

// drop empties the queue.
func (q *packetQueue) drop() {
	for i := range q.packets {
		q.t.stats.Dropped++
		q.t.failed(&q.packets[i], ErrSendTimeout)
	}
	q.packets, q.since, q.bytes, q.waiting = nil, nil, 0, nil
	q.timer.Cancel()
}
