package sim

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// A datagram travels alone: it is never sent again, and no other waits for it. Everything random about
// datagrams comes from a stream of its own, so that a world without them draws what it always drew.

// datagram is one copy of a datagram, or of the refusal of one.
type datagram struct {
	kind     Kind // DATAGRAM or REFUSAL
	id       uint64
	data     []byte
	fate     *fate
	from     *sock // which has sent it
	fromHost *Host
	toHost   *Host
	src, dst netip.AddrPort
	sender   kernel.Addr // of a UNIX socket
	card     card        // by which it comes
	link     *link
	left     time.Duration // when it has left the wire, if it was on one
	index    int           // among those under way
	leg      int           // how often it was launched; an event of an earlier leg is void
	held     bool          // it waits for a Hold to end
	passed   bool          // the network lets it pass
	altered  bool          // Options.Corrupt has changed it
}

// fate is what the copies of one datagram share.
type fate struct {
	sum     uint64 // of the data that was written
	copies  int    // made so far
	reads   int
	arrived bool // one of them has
}

// air has the datagrams under way.
type air struct {
	random random
	flying []*datagram
	counts PacketCount
}

const (
	// packetHeader is the size in bytes of the headers of IPv4 and UDP.
	packetHeader = 28
	// bookkeeping is how many bytes a system's receive buffer holds for a datagram besides its data;
	// about as many as Linux takes.
	bookkeeping = 768
	// overtaken is how long Options.Reorder delays a datagram at most.
	overtaken = 200 * time.Millisecond
)

// checksum is a number that depends on every byte of p.
func checksum(p []byte) uint64 {
	h := uint64(0xcbf29ce484222325) + uint64(len(p))
	for _, b := range p {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return h
}

// newDatagram is a datagram with a copy of data.
func (s *sock) newDatagram(data []byte, to *Host) *datagram {
	n := s.h.n
	n.segments++
	return &datagram{kind: DATAGRAM, id: n.segments, data: slices.Clone(data), fate: &fate{sum: checksum(data), copies: 1},
		from: s, fromHost: s.h, toHost: to}
}

// clone is one copy more of d, with the same number.
func (d *datagram) clone() *datagram {
	c := *d
	c.data = slices.Clone(d.data)
	c.fate.copies++
	d.toHost.n.air.counts.Copied++
	return &c
}

// fly puts d on its way.
func (d *datagram) fly() {
	n := d.fromHost.n
	d.note(OpSend, d.from, "")
	if d.link.cuts > 0 {
		d.drop(DropCut)
		return
	}
	d.index = len(n.air.flying)
	n.air.flying = append(n.air.flying, d)
	var more time.Duration
	if !d.link.loop && n.air.random.chance(n.Options.Reorder) {
		more = before(&n.air.random, overtaken)
	}
	d.launch(more)
}

// launch schedules the arrival of d, more later than the latency says. Datagrams that arrive at one
// moment over one link do so in the order in which they were launched.
func (d *datagram) launch(more time.Duration) {
	n := d.fromHost.n
	at := n.now
	if n.turning == d.fromHost {
		at = max(at, d.fromHost.busy)
	}
	if rate := n.rate(d.link); rate > 0 {
		if d.left == 0 {
			d.left = d.link.wire.transmit(at, rate, uint64(packetHeader+len(d.data)))
			d.occupy()
		}
		at = max(at, d.left)
	}
	at = kernel.After(kernel.After(at, n.latency(d.link, &n.air.random)), more)
	if d.link.loop { // no host reorders what it sends to itself
		at = max(at, d.link.arrival)
	}
	tie := n.air.random.next()>>2 | 1<<63 // behind all calls
	if l := d.link; l.arrival == at {
		tie = l.tie + 1
	}
	d.link.arrival, d.link.tie = at, tie
	d.leg++
	leg := d.leg
	n.schedule(at, tie, event{what: ready, fn: func() {
		if d.leg == leg {
			d.arrive()
		}
	}})
}

// occupy has d take room in the send buffer until it has left the host.
func (d *datagram) occupy() {
	s, n, size := d.from, d.fromHost.n, packetHeader+len(d.data)
	if d.kind != DATAGRAM {
		return
	}
	s.p.unsent += size
	n.schedule(d.left, n.air.random.next()|1<<63, event{what: ready, fn: func() {
		s.p.unsent -= size
		s.notify()
	}})
}

// land takes d from those under way.
func (d *datagram) land() {
	a := &d.fromHost.n.air
	last := len(a.flying) - 1
	moved := a.flying[last]
	a.flying[d.index], moved.index = moved, d.index
	a.flying = slices.Delete(a.flying, last, last+1)
	d.leg++
}

// underWay are the datagrams under way that are wanted, in the order in which they were sent.
func (a *air) underWay(wanted func(d *datagram) bool) (list []*datagram) {
	for _, d := range a.flying {
		if wanted(d) {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(x, y *datagram) int { return cmp.Compare(x.id, y.id) })
	return list
}

// release sends what waited for a Hold that has ended.
func (a *air) release() {
	for _, d := range a.underWay(func(d *datagram) bool { return d.held && !d.link.held() }) {
		d.held = false
		d.launch(0)
	}
}

// hurry sends everything under way once more, now that the links are free.
func (a *air) hurry() {
	for _, d := range a.underWay(func(d *datagram) bool { return !d.held }) {
		d.left = 0
		d.launch(0)
	}
}

// arrive brings d to its host, if the network lets it.
func (d *datagram) arrive() {
	n := d.fromHost.n
	switch {
	case d.link.held():
		d.held = true
		return
	case d.link.cut():
		d.land()
		d.drop(DropCut)
		return
	case !d.passed:
		d.passed = true
		v := d.judge()
		switch {
		case v.Drop:
			d.land()
			d.drop(DropLost)
			return
		case v.Corrupt: // its checksum is wrong
			d.land()
			d.drop(DropCorrupt)
			return
		case v.Duplicate:
			d.double()
		}
		if v.Delay > 0 {
			d.delay(v.Delay)
			return
		}
	}
	d.land()
	if !d.toHost.machineUp() {
		d.drop(DropDown)
		return
	}
	if r := &n.air.random; d.kind == DATAGRAM && !d.link.loop && len(d.data) > 0 && r.chance(n.Options.Corrupt) {
		d.data[r.below(len(d.data))] ^= 1 << r.below(8)
		d.altered = true
		n.air.counts.Corrupted++
	}
	d.deliver()
}

// judge is what becomes of d, by chance or by the rules.
func (d *datagram) judge() Verdict {
	n := d.fromHost.n
	if n.air.random.chance(n.loss(d.link)) {
		return Verdict{Drop: true}
	}
	twice := d.kind == DATAGRAM && !d.link.loop && n.air.random.chance(n.Options.Duplicate)
	var v Verdict
	if len(n.rules) > 0 {
		s := &n.scratch
		*s = Segment{At: n.now, FromHost: d.fromHost.name, ToHost: d.toHost.name, Kind: d.kind, Len: len(d.data),
			From: kernel.Addr{Net: kernel.UDP, IP: d.src}, To: kernel.Addr{Net: kernel.UDP, IP: d.dst}}
		v = n.judge(s)
	}
	v.Duplicate = v.Duplicate || twice
	return v
}

// double has a copy of d arrive too, after a latency of its own.
func (d *datagram) double() {
	if d.kind != DATAGRAM {
		return
	}
	n, c := d.fromHost.n, d.clone()
	c.index = len(n.air.flying)
	n.air.flying = append(n.air.flying, c)
	c.launch(0)
}

// delay has d arrive later.
func (d *datagram) delay(by time.Duration) {
	n := d.fromHost.n
	d.leg++
	leg := d.leg
	n.schedule(kernel.After(n.now, by), n.air.random.next()|1<<63, event{what: ready, fn: func() {
		if d.leg == leg {
			d.arrive()
		}
	}})
}

// deliver gives d to the sockets of its host that it is for. If there is none, the sender is told.
func (d *datagram) deliver() {
	if d.kind == REFUSAL {
		d.tell()
		return
	}
	to := d.toHost.receivers(d)
	if len(to) == 0 {
		d.drop(DropRefused)
		d.refuse()
		return
	}
	for i, s := range to {
		c := d
		if i+1 < len(to) {
			c = d.clone()
		}
		s.receive(c)
	}
}

// refuse sends a refusal back, if d was sent to this host alone.
func (d *datagram) refuse() {
	if isGroup(d.dst.Addr()) {
		return
	}
	n := d.fromHost.n
	n.segments++
	r := &datagram{kind: REFUSAL, id: n.segments, data: d.data, fate: &fate{sum: checksum(d.data), copies: 1}, from: d.from,
		fromHost: d.toHost, toHost: d.fromHost, src: d.dst, dst: d.src, link: n.link(d.toHost, d.fromHost)}
	r.fly()
}

// tell gives a refusal to the socket that is connected to the one who refused. Others do not hear of it.
func (d *datagram) tell() {
	for _, s := range d.toHost.udp[d.dst.Port()] {
		if s.remote.IP == d.src && s.takes(d.dst.Addr()) {
			s.receive(d)
			return
		}
	}
	d.drop(DropRefused)
}

// note enters what happened to d, at the host that knows of it. s is the socket there, nil for none.
func (d *datagram) note(o Op, s *sock, why string) {
	n, h, peer := d.fromHost.n, d.fromHost, d.toHost
	if o != OpSend {
		h, peer = peer, h
	}
	l := line{at: n.now, op: o, kind: d.kind, host: h.name, peer: peer.name, n: len(d.data), id: d.id, text: why}
	if s != nil && s.h == h {
		l.sock = s.id
	}
	n.trace.add(n.KeepTrace, h.id, l)
}

// drop ends d without a reader.
func (d *datagram) drop(why DropReason) {
	if d.kind == DATAGRAM {
		d.fromHost.n.air.counts.Dropped[why]++
	}
	d.note(OpDrop, nil, why.String())
}
