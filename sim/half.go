package sim

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// pair is a connection: two ends and two directions.
type pair struct {
	end  [2]sock
	half [2]half
}

// fin is how far the end of a direction has come.
type fin uint8

const (
	finNone fin = iota
	finWanted
	finSent
	finArrived
)

// half is one direction of a connection: the bytes not read yet, and the segments
// under way. Bytes stay where they were written until they are read; in the
// ring, those the reader may have come first, then those on their way, then those
// not sent.
type half struct {
	from, to *sock
	link     *link
	record   record
	ring     []byte
	head     int
	unread   int
	flight   int
	unsent   int
	credit   int // how many bytes more may be sent
	owed     int // read, and the sender does not know
	fin      fin
	dead     bool // it carries nothing more but a reset
	memory   bool // of a UNIX socket: what is sent has arrived
	written  int  // bytes ever
	taken    int  // bytes ever read
	mails    []mail

	queue   []packet // under way, in order; from first on
	first   int
	last    time.Duration // when the last of them arrives
	lost    time.Duration // since when the first is sent again and again; 0: it is not
	tries   int
	epoch   uint32 // of the events that count
	blocked bool   // it waits for the link or the host, among n.parked
	paused  bool   // it waits to be sent again
	passed  bool   // the rule has delayed the first, and lets it pass now
	twice   bool   // and it arrives twice then
	reset   bool   // a reset is among what was sent
}

// packet is a segment under way.
type packet struct {
	kind Kind
	n    int
	id   uint64        // for the trace
	left time.Duration // when it has left the wire, if it was on one
}

// newPair makes a connection of which neither end is anybody's yet; the far end is
// on h, and the near one is going to be on from.
func (n *Net) newPair(from, h *Host) *pair {
	p := &pair{}
	for i := range p.half {
		p.half[i].credit = n.recvBuffer()
		p.half[i].from, p.half[i].to = &p.end[i], &p.end[1-i]
		p.end[i].out, p.end[i].in = &p.half[i], &p.half[1-i]
	}
	p.end[1].h = h
	p.half[0].link, p.half[1].link = n.link(from, h), n.link(h, from)
	return p
}

// write appends p, which is not empty, to what is to be sent.
func (f *half) write(p []byte) {
	used := f.unread + f.flight + f.unsent
	if used+len(p) > len(f.ring) {
		ring := make([]byte, max(64, 2*len(f.ring), used+len(p)))
		m := copy(ring, f.ring[f.head:])
		copy(ring[m:], f.ring[:f.head])
		f.ring, f.head = ring, 0
	}
	at := (f.head + used) % len(f.ring)
	m := copy(f.ring[at:], p)
	copy(f.ring, p[m:])
	f.unsent += len(p)
	f.written += len(p)
}

// read takes len(p) bytes, which are there.
func (f *half) read(p []byte) int {
	m := copy(p, f.ring[f.head:])
	copy(p[m:], f.ring)
	f.unread -= len(p)
	f.taken += len(p)
	f.owed += len(p)
	if f.head += len(p); f.head >= len(f.ring) {
		f.head -= len(f.ring)
	}
	f.acknowledge()
	return len(p)
}

// acknowledge tells the sender what was read, when that is worth a segment.
func (f *half) acknowledge() {
	if f.memory {
		f.from.notify()
		return
	}
	if back := f.to.out; !f.dead && !back.dead && f.owed >= max(f.to.recvBuffer()/4, 1) {
		back.send(ACK, f.owed)
		f.owed = 0
	}
}

// push sends what the peer has room for, and then the end.
func (f *half) push() {
	if f.dead {
		return
	}
	if f.memory {
		f.unread, f.unsent = f.unread+f.unsent, 0
		if f.fin == finWanted {
			f.fin = finArrived
		}
		f.to.notify()
		return
	}
	if m := min(f.unsent, f.credit); m > 0 {
		f.unsent -= m
		f.flight += m
		f.credit -= m
		f.send(DATA, m)
	}
	f.from.starve()
	if f.fin == finWanted && f.unsent == 0 {
		f.fin = finSent
		f.send(FIN, 0)
	}
}

// finish sends the end after the rest.
func (f *half) finish() {
	if f.fin == finNone {
		f.fin = finWanted
		f.push()
	}
}

// kill drops everything that is under way or waits to be sent.
func (f *half) kill() {
	f.dead = true
	f.unsent, f.flight = 0, 0
	f.queue, f.first = f.queue[:0], 0
	f.epoch++
	f.blocked, f.paused, f.passed, f.twice, f.reset = false, false, false, false, false
	f.lost, f.tries = 0, 0
}

// send puts a segment on its way, behind those under way.
func (f *half) send(kind Kind, m int) {
	if f.first > 0 && len(f.queue) == cap(f.queue) {
		f.queue = f.queue[:copy(f.queue, f.queue[f.first:])]
		f.first = 0
	}
	n := f.from.h.n
	n.segments++
	f.queue = append(f.queue, packet{kind: kind, n: m, id: n.segments})
	n.noteSegment(OpSend, f, f.queue[len(f.queue)-1])
	f.reset = f.reset || kind == RST
	if !f.blocked && !f.paused {
		f.launch(&f.queue[len(f.queue)-1])
	}
}

// launch schedules the arrival of one segment more, which is p. One that has been on the
// wire is not there again, because what waits behind a lost segment was not lost.
func (f *half) launch(p *packet) {
	n := f.from.h.n
	at := n.now
	if n.turning == f.from.h {
		at = max(at, f.from.h.busy)
	}
	if rate := n.rate(f.link); rate > 0 {
		if p.left == 0 {
			p.left = f.link.wire.transmit(at, rate, p.size())
		}
		at = max(at, p.left)
	}
	f.last = max(f.last, kernel.After(at, n.latency(f.link, &n.random)))
	n.schedule(f.last, n.tieBreak(), event{flow: f, epoch: f.epoch, what: arrive})
}

// resend launches everything that is under way once more.
func (f *half) resend() {
	f.epoch++
	f.blocked, f.paused = false, false
	f.last = 0
	for i := range f.queue[f.first:] {
		f.launch(&f.queue[f.first+i])
	}
}

// arrive brings the first segment to its host, if the network lets it.
func (f *half) arrive() {
	n := f.from.h.n
	p := f.queue[f.first]
	if !f.to.h.machineUp() || f.link.cut() {
		f.block()
		return
	}
	if !f.passed {
		v := f.judge(p)
		f.twice = v.Duplicate
		switch {
		case v.Drop || v.Corrupt:
			n.noteSegment(OpDrop, f, p)
			f.lose(200 * time.Millisecond)
			return
		case v.Delay > 0:
			f.passed = true
			f.retry(v.Delay)
			return
		}
	}
	f.passed = false
	if p.kind == SYN && !f.to.born(f) {
		f.lose(time.Second) // nobody answers: the backlog is full
		return
	}
	f.lost, f.tries = 0, 0
	f.from.heard, f.to.heard = n.now, n.now
	if f.first++; f.first == len(f.queue) {
		f.queue, f.first = f.queue[:0], 0
	}
	n.noteSegment(OpArrive, f, p)
	if f.twice {
		n.noteSegment(OpDuplicate, f, p)
	}
	f.deliver(p)
}

// judge is what becomes of the first segment, by chance or by the rule.
func (f *half) judge(p packet) Verdict {
	n := f.from.h.n
	switch {
	case f.tries == 0 && n.random.chance(n.loss(f.link)):
		return Verdict{Drop: true}
	case len(n.rules) > 0:
		return f.ask(p)
	}
	return Verdict{}
}

func (f *half) ask(p packet) Verdict {
	n := f.from.h.n
	s := &n.scratch
	*s = Segment{At: n.now, FromHost: f.from.h.name, ToHost: f.to.h.name, Kind: p.kind, Len: p.n, Try: f.tries}
	s.From, s.To = f.from.local, f.from.remote
	if f.from.state == unborn || f.from.local == (kernel.Addr{}) {
		s.From, s.To = f.to.remote, f.to.local
	}
	return n.judge(s)
}

// lose has the first segment sent again after d, or longer if that was tried, and
// those behind it after it.
func (f *half) lose(d time.Duration) {
	n := f.from.h.n
	if f.lost == 0 {
		f.lost = n.now
	}
	if n.now-f.lost >= f.from.patience() {
		f.giveUp()
		return
	}
	d <<= min(f.tries, 7)
	f.tries++
	f.queue[f.first].left = 0
	f.retry(min(d, f.lost+f.from.patience()-n.now))
}

// retry has everything sent again after d.
func (f *half) retry(d time.Duration) {
	n := f.from.h.n
	f.epoch++
	f.paused = true
	n.schedule(kernel.After(n.now, d), n.tieBreak(), event{flow: f, epoch: f.epoch, what: again})
}

// block has everything wait until link and host are there again.
func (f *half) block() {
	n := f.from.h.n
	f.epoch++
	f.blocked = true
	for i := range f.queue[f.first:] {
		f.queue[f.first+i].left = 0 // all are lost
	}
	n.parked = append(n.parked, f)
	if !f.link.held() || f.from.options.UserTimeout > 0 {
		n.schedule(kernel.After(n.now, f.from.patience()), n.tieBreak(), event{flow: f, epoch: f.epoch, what: giveUp})
	}
}

// giveUp ends the connection for its sender.
func (f *half) giveUp() {
	s := f.from
	f.from.h.n.noteSegment(OpGiveUp, f, f.queue[f.first])
	f.kill()
	s.die(kernel.ErrTimeout)
}

// deliver does at the far end what a segment says.
func (f *half) deliver(p packet) {
	s := f.to
	switch p.kind {
	case SYN: // born did it
	case SYNACK:
		if s.state != connecting {
			f.refuse()
			return
		}
		s.state = open
		s.keepAlive()
		s.notify()
	case DATA:
		if s.state != open {
			f.refuse()
			return
		}
		f.flight -= p.n
		f.unread += p.n
		s.notify()
	case FIN:
		if s.state == shut && s.out.dead {
			f.refuse()
			return
		}
		f.fin = finArrived
		s.notify()
	case ACK:
		s.out.credit += p.n
		s.starved = s.h.n.now
		s.out.push()
		s.notify()
	case RST:
		f.dead = true
		s.out.kill()
		why := kernel.ErrReset
		switch {
		case s.state == connecting:
			why = kernel.ErrRefused
		case f.fin == finArrived:
			why = kernel.ErrBroken
		}
		s.die(why)
	}
}

// refuse answers with a reset what came to an end that is no more.
func (f *half) refuse() {
	f.kill()
	if back := f.to.out; !back.reset {
		back.unsent, back.dead = 0, true
		back.send(RST, 0) // behind what is under way
	}
}

// born makes s the accepted end of a connection that f's first segment asks for, or
// refuses it. It returns false if there is no room for it now.
func (s *sock) born(f *half) bool {
	c := f.from
	l := s.h.listener(c.remote.IP)
	if l == nil {
		s.out.send(RST, 0)
		return true
	}
	if len(l.l.queue) >= l.l.limit {
		return false
	}
	s.local, s.remote = c.remote, c.local
	s.state = open
	s.options, s.heard = l.options, s.h.n.now
	l.arrives(s)
	s.in.credit = s.recvBuffer()
	s.keepAlive()
	l.l.queue = append(l.l.queue, s)
	s.out.send(SYNACK, 0)
	l.notify()
	return true
}
