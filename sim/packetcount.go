package sim

import (
	"maps"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// DropReason says why a datagram, or a copy of one, was not read.
type DropReason uint8

// The reasons.
const (
	// DropLost: Options.Drop, or Verdict.Drop of a rule.
	DropLost DropReason = iota
	// DropCut: the link was cut when it was sent, or when it should have arrived.
	DropCut
	// DropCorrupt: Verdict.Corrupt of a rule. The receiver's checksum finds it.
	DropCorrupt
	// DropDown: its host had crashed.
	DropDown
	// DropRefused: no socket of its host was bound to its address, or had joined its group.
	DropRefused
	// DropFull: the receive buffer of the socket was full. PacketSettings.Lost counts it too.
	DropFull
	// DropClosed: it waited to be read when the socket was closed, or its program ended.
	DropClosed

	// DropReasons is how many there are; they are numbered from 0.
	DropReasons
)

// String is a word: "lost", "cut", "corrupt", "down", "refused", "full", "closed".
func (r DropReason) String() string {
	names := [...]string{"lost", "cut", "corrupt", "down", "refused", "full", "closed"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// PacketCount says what became of the datagrams of a network. Sent and Copied together are as many as Read,
// Dropped, Waiting and UnderWay: see [RuleAccounted].
type PacketCount struct {
	// Written is how many datagrams sockets have taken.
	Written int
	// Sent is how many of them were put on their way. One to a group, or to the broadcast address, is sent to each
	// host that hears it, to none perhaps.
	Sent int
	// Copied is how many copies were made on the way: those of Options.Duplicate and Verdict.Duplicate, and one
	// for each further socket of a host that has joined the group.
	Copied int
	// Corrupted is how many Options.Corrupt has changed. They arrive all the same.
	Corrupted int
	// Read is how many were read.
	Read int
	// Dropped is how many were not, and why.
	Dropped [DropReasons]int
	// Waiting is how many wait in sockets to be read, and UnderWay how many are on their way.
	Waiting, UnderWay int
}

// Packets says what became of the datagrams so far. Refusals are not counted.
func (n *Net) Packets() PacketCount {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.countPackets()
}

func (n *Net) countPackets() PacketCount {
	c := n.air.counts
	for _, d := range n.air.flying {
		if d.kind == DATAGRAM {
			c.UnderWay++
		}
	}
	counted := map[*packets]bool{} // a socket may have several handles, or a number alone
	count := func(all []*sock) {
		for _, s := range all {
			if s.p != nil && !counted[s.p] {
				counted[s.p] = true
				c.Waiting += s.waiting()
			}
		}
	}
	for _, h := range n.everyProgram() {
		for _, k := range h.kernels() {
			count(k.socks)
		}
		for _, port := range slices.Sorted(maps.Keys(h.udp)) {
			count(h.udp[port])
		}
		for _, name := range slices.Sorted(maps.Keys(h.names)) {
			if s := h.names[name].s; s != nil {
				count([]*sock{s})
			}
		}
	}
	return c
}

// waiting is how many datagrams wait to be read.
func (s *sock) waiting() (m int) {
	if s.p == nil {
		return 0
	}
	for _, d := range s.p.queued() {
		if d.kind == DATAGRAM {
			m++
		}
	}
	return m
}

// account checks that every datagram is somewhere.
func (n *Net) account() {
	c := n.countPackets()
	gone := 0
	for _, m := range c.Dropped {
		gone += m
	}
	if c.Sent+c.Copied != c.Read+gone+c.Waiting+c.UnderWay {
		n.violate(RuleAccounted, "of %d datagrams sent and %d copies %d were read, %d dropped, %d wait and %d are under way",
			c.Sent, c.Copied, c.Read, gone, c.Waiting, c.UnderWay)
	}
}

// addressed checks that d is for s, when it arrives there.
func (s *sock) addressed(d *datagram) {
	ok := s.state == open
	switch {
	case s.local.Net == kernel.UNIXDatagram:
	case d.dst.Port() != s.local.IP.Port() || d.dst.Addr().Is4() != s.local.IP.Addr().Is4():
		ok = false
	case d.dst.Addr().IsMulticast():
		ok = ok && s.joined(d)
	default:
		ok = ok && s.takes(d.dst.Addr())
	}
	if !ok || s.remote.IP.IsValid() && s.remote.IP != d.src {
		s.violate(RuleAddressed, "a datagram of %v to %v arrives at a socket of %v that is %s, connected to %v",
			d.src, d.dst, s.local, stateNames[s.state], s.remote)
	}
}

// isRead checks a datagram that is read.
func (s *sock) isRead(d *datagram) {
	d.fate.reads++
	switch {
	case d.fate.reads > d.fate.copies:
		s.violate(RuleOnce, "a datagram of %d bytes is read %d times, and there are %d of it", len(d.data), d.fate.reads, d.fate.copies)
	case !d.altered && checksum(d.data) != d.fate.sum:
		s.violate(RuleIntact, "a datagram of %d bytes is not what was written", len(d.data))
	}
}
