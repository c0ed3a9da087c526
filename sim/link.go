package sim

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Kind is what a segment does.
type Kind uint8

// The kinds of segment.
const (
	SYN    Kind = iota + 1 // asks for a connection
	SYNACK                 // grants it
	DATA                   // carries Len bytes
	ACK                    // tells that Len bytes more may be sent
	FIN                    // ends a direction
	RST                    // ends the connection

	DATAGRAM // carries Len bytes to whoever is bound to the address, or has joined the group
	REFUSAL  // tells the sender of a datagram of Len bytes that nobody is
)

// String is the kind in lower case.
func (k Kind) String() string {
	return [...]string{"", "syn", "synack", "data", "ack", "fin", "rst", "datagram", "refusal"}[k]
}

// Segment is one thing that a network carries, as a [Rule] sees it.
type Segment struct {
	// At is the time.
	At time.Duration
	// FromHost and ToHost are names.
	FromHost, ToHost string
	// From and To are the addresses of the connection's ends, or those of the datagram.
	From, To kernel.Addr
	Kind     Kind
	// Len is in bytes, for DATA, ACK, DATAGRAM and REFUSAL.
	Len int
	// Try counts from 0 how often it was dropped.
	Try int
}

// Verdict is the answer of a [Rule] about a segment. With the zero Verdict the next rule
// decides. Segments behind it in the same direction of the connection stay behind it. Datagrams overtake each
// other.
type Verdict struct {
	// Drop loses the segment: it is sent again after 200 ms, 400 ms, and so on. A datagram is lost for good.
	Drop bool
	// Corrupt damages the segment. The receiver's checksum finds that and discards it, so that
	// Corrupt is Drop. Options.Corrupt damages datagrams so that no checksum finds it.
	Corrupt bool
	// Duplicate makes the segment arrive twice. A stream's receiver discards the second,
	// which is in the trace and changes nothing. A datagram is received twice, and the second travels
	// for a time of its own. Drop and Corrupt override it.
	Duplicate bool
	// Delay makes the segment arrive later; then no rule is asked about it again.
	Delay time.Duration
}

// link is one direction between two hosts.
type link struct {
	cuts      int           // partitions in force
	holds     int           // holds in force
	clogged   time.Duration // when it is free again
	loop      bool          // from a host to itself
	set       bool          // latency is
	latency   Latency
	limited   bool // bandwidth is set
	bandwidth int
	wire      wire
	lossy     bool // drop is set
	drop      float64
	arrival   time.Duration // of the datagram that was launched last
	tie       uint64        // its place among the events of that moment
}

// link is the link from a to b; it is made if there is none.
func (n *Net) link(a, b *Host) *link {
	l := n.links[[2]int{a.id, b.id}]
	if l == nil {
		l = &link{loop: a.id == b.id}
		n.links[[2]int{a.id, b.id}] = l
	}
	return l
}

// find is link without making one: nil is a link to which nothing was done.
func (n *Net) find(a, b *Host) *link {
	if len(n.links) == 0 {
		return nil
	}
	return n.links[[2]int{a.id, b.id}]
}

// cut tells whether nothing passes.
func (l *link) cut() bool { return l.cuts+l.holds > 0 }

// held tells whether nothing passes because of Hold alone.
func (l *link) held() bool { return l.cuts == 0 && l.holds > 0 }

// Partition separates the hosts a and b until heal is called. Segments between them are sent
// again when all partitions of the link are healed. A connection that waits longer than
// Options.RetryTimeout times out. Datagrams that are sent or would arrive meanwhile are lost.
func (n *Net) Partition(a, b string) (heal func()) {
	ab, ba := n.PartitionOneWay(a, b), n.PartitionOneWay(b, a)
	return func() { ab(); ba() }
}

// PartitionOneWay is Partition for segments that from sends to to.
func (n *Net) PartitionOneWay(from, to string) (heal func()) {
	return n.stop(from, to, false, func(l *link) *int { return &l.cuts })
}

// Hold is a Partition in which nothing times out: segments between a and b are kept back
// until release is called, and so are datagrams.
func (n *Net) Hold(a, b string) (release func()) {
	holds := func(l *link) *int { return &l.holds }
	ab, ba := n.stop(a, b, true, holds), n.stop(b, a, true, holds)
	return func() { ab(); ba() }
}

// stop adds one to the reasons why nothing passes, until start is called.
func (n *Net) stop(from, to string, held bool, reason func(*link) *int) (start func()) {
	a, b := n.Host(from), n.Host(to)
	n.mu.Lock()
	defer n.mu.Unlock()
	count := reason(n.link(a, b))
	*count++
	n.noteLink(a, b, line{op: OpCut, held: held})
	n.keepAlive()
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if count != nil {
			*count--
			count = nil
			n.noteLink(a, b, line{op: OpHeal, held: held})
			n.unpark()
		}
	}
}

// Clog delays everything that a and b send each other in the next d until d has passed; with
// kernel.Forever, until Calm. A clog within another does not shorten it.
func (n *Net) Clog(a, b string, d time.Duration) {
	n.ClogOneWay(a, b, d)
	n.ClogOneWay(b, a, d)
}

// ClogOneWay is Clog for segments that from sends to to.
func (n *Net) ClogOneWay(from, to string, d time.Duration) {
	a, b := n.Host(from), n.Host(to)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noteLink(a, b, line{op: OpClog, lasts: d})
	l := n.link(a, b)
	l.clogged = max(l.clogged, kernel.After(n.now, d))
}

// SetDrop sets the probability, from 0 to 1, that a segment between a and b is lost at the
// first try, and that a datagram is lost, both ways, in place of Options.Drop. It holds for what arrives from now on. Within
// a host, where a is b, it changes nothing.
func (n *Net) SetDrop(a, b string, probability float64) {
	n.SetDropOneWay(a, b, probability)
	n.SetDropOneWay(b, a, probability)
}

// SetDropOneWay is SetDrop for segments that from sends to to.
func (n *Net) SetDropOneWay(from, to string, probability float64) {
	a, b := n.Host(from), n.Host(to)
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.link(a, b)
	l.lossy, l.drop = true, probability
}

// loss is the probability that l loses a segment at the first try.
func (n *Net) loss(l *link) float64 {
	switch {
	case l.loop:
		return 0
	case l.lossy:
		return l.drop
	}
	return n.Options.Drop
}

// unpark sends again what waited for a link or a host, if that is there now.
func (n *Net) unpark() {
	parked := n.parked
	n.parked = nil
	for _, f := range parked {
		switch {
		case !f.blocked: // ended meanwhile
		case !f.to.h.machineUp() || f.link.cut():
			n.parked = append(n.parked, f)
		default:
			f.resend()
		}
	}
	n.air.release()
}
