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
	t      *PacketPort
	lines  []*packetLine // in the order in which they began to wait; none is empty
	byKey  map[kernel.Addr]*packetLine
	byPeer bool // each receiver has a line of its own; otherwise there is one
	n      int
	bytes  int
	timer  DelayedCall   // tries again, or drops what has waited too long
	retry  time.Duration // with byPeer: the delay of the next try
}

// packetLine are datagrams that wait for the same room, in order.
type packetLine struct {
	key     kernel.Addr // the receiver; zero for all
	packets []kernel.Packet
	since   []time.Duration // when each began to wait
	first   int
}

const (
	firstRetry = time.Millisecond
	lastRetry  = 64 * time.Millisecond
)

func (q *packetQueue) init(t *PacketPort) {
	q.t = t
	q.timer.Init(t.r, q.send)
}

func (q *packetQueue) empty() bool { return q.n == 0 }
func (q *packetQueue) len() int    { return q.n }

// waitsForRoom tells whether the kernel is to say when it takes more.
func (q *packetQueue) waitsForRoom() bool { return q.n > 0 && !q.byPeer }

// lineOf is the line in which a datagram to peer has to wait, nil if it has not.
func (q *packetQueue) lineOf(peer kernel.Addr) *packetLine {
	if q.n == 0 {
		return nil
	}
	if !q.byPeer {
		return q.lines[0]
	}
	return q.byKey[peer]
}

// append puts p, whose data is the queue's, at the end of l, if the limit allows.
func (q *packetQueue) append(l *packetLine, p kernel.Packet) error {
	if q.refusal(len(p.Data)) != nil {
		q.t.stats.QueueFull++
		return q.t.writeError(p.Peer, ErrQueueFull)
	}
	q.keep(l, p)
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

// keep puts p at the end of l.
func (q *packetQueue) keep(l *packetLine, p kernel.Packet) {
	l.packets = append(l.packets, p)
	l.since = append(l.since, q.t.r.Now())
	q.n++
	q.bytes += len(p.Data) + queuedOverhead
	q.t.stats.Waited++
}

// take gives the system ps, and queues a copy of what it does not take. What the limit does not allow is
// dropped.
func (q *packetQueue) take(ps []kernel.Packet) {
	if q.n == 0 {
		q.byPeer = q.t.local.Net == kernel.UNIXDatagram && q.t.remote.IsZero()
	}
	before := q.n
	for len(ps) > 0 {
		end := len(ps)
		if q.byPeer {
			for end = 1; end < len(ps) && ps[end].Peer == ps[0].Peer; end++ {
			}
		}
		l := q.lineOf(ps[0].Peer)
		sent := 0
		if l == nil {
			sent = q.give(ps[:end])
		}
		q.wait(l, ps[sent:end])
		ps = ps[end:]
	}
	if before == 0 && q.n > 0 {
		q.retry = firstRetry
		q.await()
		q.t.rearm()
	}
}

// wait puts copies of ps at the end of l, or of a new line, and returns that line. Trains are divided: there is room for some of their datagrams, or their time ends.
func (q *packetQueue) wait(l *packetLine, ps []kernel.Packet) *packetLine {
	for i := range ps {
		if ps[i].Train() {
			l = q.wait(l, ps[i].AppendDatagrams(nil))
			continue
		}
		if err := q.refusal(len(ps[i].Data)); err != nil {
			q.t.stats.Dropped++
			q.t.failed(&ps[i], err)
			continue
		}
		if l == nil {
			l = q.newLine(ps[i].Peer)
		}
		p := ps[i]
		p.Data = slices.Clone(p.Data)
		q.keep(l, p)
	}
	return l
}

func (q *packetQueue) newLine(peer kernel.Addr) *packetLine {
	l := new(packetLine)
	q.lines = append(q.lines, l)
	if q.byPeer {
		l.key = peer
		if q.byKey == nil {
			q.byKey = make(map[kernel.Addr]*packetLine)
		}
		q.byKey[peer] = l
	}
	return l
}

// give has the system take datagrams at the beginning of ps, and returns how many are done with: sent, or failed. The one behind
// them has to wait; of a train, what has to wait is left in ps.
func (q *packetQueue) give(ps []kernel.Packet) int {
	t, done := q.t, 0
	for done < len(ps) {
		n, err := t.conn.WritePackets(ps[done:])
		for i := range ps[done : done+n] {
			t.stats.SentBytes += uint64(len(ps[done+i].Data))
			t.stats.Sent += uint64(ps[done+i].Datagrams())
		}
		done += n
		switch {
		case err == kernel.ErrAgain, err == nil && n == 0:
			return done
		case err != nil && ps[done].Train(): // so each of its datagrams has an end of its own
			p := &ps[done]
			one := q.give(p.AppendDatagrams(nil))
			if one < p.Datagrams() {
				p.Data = p.Data[one*p.Segment:]
				return done
			}
			done++
		case err != nil:
			t.stats.Failed++
			t.failed(&ps[done], err)
			done++
		}
	}
	return done
}

// send tries to send what waits, and drops what has waited too long.
func (q *packetQueue) send() {
	t := q.t
	if q.n == 0 || t.state == portStopped {
		return
	}
	before := q.n
	now := t.r.Now()
	for _, l := range q.lines {
		q.expire(l, now)
		q.done(l, q.give(l.packets[l.first:]))
	}
	q.lines = slices.DeleteFunc(q.lines, func(l *packetLine) bool {
		if l.first < len(l.packets) {
			return false
		}
		delete(q.byKey, l.key)
		return true
	})
	if q.n < before {
		q.retry = firstRetry
	} else {
		q.retry = min(2*q.retry, lastRetry)
	}
	if q.n > 0 {
		q.await()
	} else {
		q.timer.Cancel()
	}
	t.settle()
}

// connected is called when the peer is fixed. What waits for it goes without an address from now on, before what is written
// later. What waits for others cannot be sent any more, and is told so.
func (q *packetQueue) connected(to kernel.Addr) {
	if q.n == 0 {
		return
	}
	one := new(packetLine)
	for _, l := range q.lines {
		for i := l.first; i < len(l.packets); i++ {
			p := l.packets[i]
			if p.Peer == to {
				p.Peer = kernel.Addr{}
			}
			one.packets, one.since = append(one.packets, p), append(one.since, l.since[i])
		}
	}
	q.lines, q.byKey, q.byPeer = []*packetLine{one}, nil, false
	q.await()
	q.t.rearm()
}

// expire drops what has waited too long in l.
func (q *packetQueue) expire(l *packetLine, now time.Duration) {
	limit := q.t.cfg.QueueTimeout
	for limit > 0 && l.first < len(l.packets) && now-l.since[l.first] >= limit {
		q.t.stats.Dropped++
		q.t.failed(&l.packets[l.first], ErrSendTimeout)
		q.done(l, 1)
	}
}

// done takes n datagrams from the beginning of l.
func (q *packetQueue) done(l *packetLine, n int) {
	for i := l.first; i < l.first+n; i++ {
		q.bytes -= len(l.packets[i].Data) + queuedOverhead
		l.packets[i] = kernel.Packet{}
	}
	q.n -= n
	l.first += n
	if l.first > len(l.packets)/2 {
		l.packets = slices.Delete(l.packets, 0, l.first)
		l.since = slices.Delete(l.since, 0, l.first)
		l.first = 0
	}
}

// await sets the timer to the next thing to do.
func (q *packetQueue) await() {
	next := time.Duration(-1)
	if limit := q.t.cfg.QueueTimeout; limit > 0 {
		for _, l := range q.lines {
			if left := max(l.since[l.first]+limit-q.t.r.Now(), 0); next < 0 || left < next {
				next = left
			}
		}
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

// drop empties the queue of a port that ends because of err.
func (q *packetQueue) drop(err error) {
	for _, l := range q.lines {
		for i := range l.packets[l.first:] {
			q.t.stats.Dropped++
			q.t.failed(&l.packets[l.first+i], err)
		}
	}
	q.lines, q.byKey, q.n, q.bytes = nil, nil, 0, 0
	q.timer.Cancel()
}
