package sim

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/reactor"
)

// The invariants: rules that hold in every run, whatever the program and the faults are. A
// run in which one is broken ends with an [InvariantError].
const (
	// RulePrefix: the bytes that a socket reads are a prefix of those its peer wrote, and
	// the end comes after all of them.
	RulePrefix = "prefix"
	// RuleDelivered: the protocol is given all bytes and datagrams that were read. Of a datagram port that was stopped the rest is
	// counted as discarded.
	RuleDelivered = "delivered"
	// RuleSent: the socket took as many bytes as the reactor counts as sent, and no more
	// than the protocol wrote; after an orderly Close it took all of them.
	RuleSent = "sent"
	// RuleOrder: ConnectionMade comes once and first, ConnectionLost once and last; no data
	// comes after the end of the peer's.
	RuleOrder = "order"
	// RulePaused: nothing is delivered to a protocol that paused or closed, or stopped its port.
	RulePaused = "paused"
	// RuleBuffers: a buffer that was taken comes back once. A new one is made only if none is
	// free, and no more than 64 free ones are kept.
	RuleBuffers = "buffers"
	// RuleShared: a slice given to WriteShared is not changed before it was sent or the
	// connection is lost. It is the protocol that keeps this rule or breaks it.
	RuleShared = "shared"
	// RuleEarly: no delayed call is made before its time by the host's clock.
	RuleEarly = "early"
	// RuleLeft: when the Net is closed, and at the end of a program that was to stop in
	// order, no host has a connection, descriptor, port or buffer in use.
	RuleLeft = "left"
	// RuleOnce: a datagram is read once by each socket that it is for, and twice only if the network has
	// duplicated it.
	RuleOnce = "once"
	// RuleIntact: what is read of a datagram is what was written, unless Options.Corrupt has changed it.
	RuleIntact = "intact"
	// RuleAddressed: a datagram arrives only at sockets that are open and bound to its address, or have joined its group, and
	// are not connected to another sender.
	RuleAddressed = "addressed"
	// RuleAccounted: each datagram that was sent is read, dropped for a counted reason, waiting to be read, or
	// under way. See [PacketCount].
	RuleAccounted = "accounted"
)

// InvariantError tells which invariant was broken, and when. The defect is in the reactor, in
// the kernel, or in what Net.Wrap has put between the two. Only for [RuleShared] it is in the
// protocol.
type InvariantError struct {
	// Rule is one of the rules, such as [RulePrefix].
	Rule string
	// Seed is the network's.
	Seed uint64
	// At is when it was found.
	At time.Duration
	// Detail says what was found, and where.
	Detail string
	// Table is [Net.Table] at that time.
	Table string
}

// Error is one line and the table.
func (e *InvariantError) Error() string {
	return fmt.Sprintf("sim: seed %d: invariant %q broken at %v: %s\n%s", e.Seed, e.Rule, e.At, e.Detail, e.Table)
}

// Err is the first *[InvariantError] of this network, nil if all invariants have held. Once
// there is one, Run, RunUntil and Close return it at once, and Step does nothing.
func (n *Net) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed()
}

func (n *Net) failed() error {
	if n.broken == nil {
		return nil
	}
	return n.broken
}

// violate reports that an invariant is broken. Only the first report counts.
func (n *Net) violate(rule, format string, args ...any) {
	if n.broken == nil {
		n.broken = &InvariantError{rule, n.seed, n.now, fmt.Sprintf(format, args...), n.table()}
		n.rouse()
	}
}

func (s *sock) violate(rule, format string, args ...any) {
	s.h.n.violate(rule, "%s #%d: %s", s.h.name, s.id, fmt.Sprintf(format, args...))
}

// observed counts what a socket did, and what the reactor said about it.
type observed struct {
	took, read int // bytes that went in and out of the socket; of datagrams, how many were read

	made, lost, closing, paused, ended bool
	closed                             bool // by the program, which wants no more

	written, sent, given int // bytes, as the reactor said; of datagrams, how many were delivered or discarded
	unread               int // bytes when the socket was closed
}

// record is a copy of the bytes that were written to a direction and not read yet, kept apart
// from its ring. What is read is compared with it.
type record struct {
	bytes []byte // from at on
	at    int
}

func (r *record) wrote(p []byte) {
	switch {
	case r.at == len(r.bytes):
		r.bytes, r.at = r.bytes[:0], 0
	case len(r.bytes)+len(p) > cap(r.bytes) && r.at >= len(r.bytes)/2:
		r.bytes, r.at = r.bytes[:copy(r.bytes, r.bytes[r.at:])], 0
	}
	r.bytes = append(r.bytes, p...)
}

// reads takes p from the record, and tells whether these bytes were next.
func (r *record) reads(p []byte) bool {
	if !bytes.HasPrefix(r.bytes[r.at:], p) {
		return false
	}
	r.at += len(p)
	return true
}

// wrote is called with the bytes that the socket takes.
func (s *sock) wrote(p []byte) {
	s.seen.took += len(p)
	s.out.record.wrote(p)
	s.h.n.content(s, p)
}

// reads is called with the bytes that the socket has read.
func (s *sock) reads(p []byte) {
	s.seen.read += len(p)
	if !s.in.record.reads(p) {
		s.violate(RulePrefix, "bytes %d to %d are not what was written", s.seen.read-len(p), s.seen.read)
	}
}

// atEnd is called when the socket has read the end.
func (s *sock) atEnd() {
	if left := len(s.in.record.bytes) - s.in.record.at; s.state == open && left > 0 {
		s.violate(RulePrefix, "the end came %d bytes early", left)
	}
}

// witness compares a note with what is known. s is its sock, nil if it has none.
func (k *simKernel) witness(s *sock, note *probe.Note) {
	switch note.Kind {
	case probe.NoteDelayed:
		if now := k.h.clock.at(k.n.now); note.Due > now {
			k.n.violate(RuleEarly, "%s: a call due at %v is made at %v", k.h.name, note.Due, now)
		}
	case probe.NoteChunk, probe.NoteChunkDone:
		k.chunk(note.N, note.Kind == probe.NoteChunk)
	case probe.NoteChanged:
		k.n.violate(RuleShared, "%s: a slice was changed after WriteShared, before it was sent", k.h.name)
	case probe.NoteDataDone:
		if !k.lent {
			k.n.violate(RuleBuffers, "%s: the read buffer came back twice", k.h.name)
		}
		k.lent = false
	case probe.NoteData, probe.NoteDrained:
		if k.lent {
			k.n.violate(RuleBuffers, "%s: the read buffer is used while a protocol has it", k.h.name)
		}
		k.lent = note.Kind == probe.NoteData
	}
	switch {
	case s == nil:
	case note.Packet != nil:
		s.witnessPackets(note)
	default:
		s.witness(note)
	}
}

// witnessPackets compares what the reactor said about the datagram socket s with what s did.
func (s *sock) witnessPackets(note *probe.Note) {
	c := &s.seen
	n := note.N
	switch note.Kind {
	case probe.NotePaused, probe.NoteResumed:
		c.paused = note.Kind == probe.NotePaused
		return
	case probe.NoteClosing:
		c.closing = true
		return
	case probe.NoteDatagram:
		n = 1
	case probe.NoteDatagrams, probe.NoteDiscarded:
	case probe.NoteStopProtocol:
		if c.given != c.read {
			s.violate(RuleDelivered, "%d datagrams were read, and %d delivered or discarded at the end", c.read, c.given)
		}
		return
	default:
		return
	}
	if c.given += n; c.given > c.read {
		s.violate(RuleDelivered, "%d datagrams were read, and %d delivered or discarded", c.read, c.given)
	}
	switch delivers := note.Kind != probe.NoteDiscarded; {
	case c.paused && delivers:
		s.violate(RulePaused, "%v while it is paused", note.Kind)
	case c.closing && delivers:
		s.violate(RulePaused, "%v though it is being stopped", note.Kind)
	}
}

// witness compares what the reactor said about s with what s did.
func (s *sock) witness(note *probe.Note) {
	c := &s.seen
	s.inOrder(note)
	switch note.Kind {
	case probe.NoteMade:
		c.made = true
	case probe.NoteData, probe.NoteDrained:
		if c.given += note.N; c.given != c.read {
			s.violate(RuleDelivered, "%d bytes were read and %d delivered or discarded", c.read, c.given)
		}
	case probe.NoteReadLost:
		c.ended = true
	case probe.NotePaused, probe.NoteResumed:
		c.paused = note.Kind == probe.NotePaused
	case probe.NoteClosing:
		c.closing = true
		c.closed = c.closed || note.Err != nil
	case probe.NoteWritten:
		c.written += note.N
	case probe.NoteSent:
		if c.sent += note.N; c.sent != c.took || c.sent > c.written {
			s.violate(RuleSent, "of %d bytes written %d were sent, and the socket got %d", c.written, c.sent, c.took)
		}
	case probe.NoteLost:
		c.lost = true
		s.isLost(note.Err)
	}
}

// inOrder checks whether a note may come now.
func (s *sock) inOrder(note *probe.Note) {
	c := &s.seen
	delivers := false
	switch note.Kind {
	case probe.NoteMade:
		if c.made {
			s.violate(RuleOrder, "made a second time")
		}
		return
	case probe.NoteData, probe.NoteReadLost:
		delivers = true
	case probe.NoteWriteLost, probe.NoteLost, probe.NotePauseProducer, probe.NoteResumeProducer:
	default:
		return
	}
	switch {
	case !c.made:
		s.violate(RuleOrder, "%v before it was made", note.Kind)
	case c.lost:
		s.violate(RuleOrder, "%v after it was lost", note.Kind)
	case c.ended && delivers:
		s.violate(RuleOrder, "%v after the end of what the peer sent", note.Kind)
	case c.paused && delivers:
		s.violate(RulePaused, "%v while it is paused", note.Kind)
	case c.closing && delivers:
		s.violate(RulePaused, "%v though it is closing", note.Kind)
	}
}

// closes is called when the program ends a connection, or its own direction, in order or by
// a reset.
func (s *sock) closes(inOrder bool) {
	c := &s.seen
	if s.in != nil {
		c.unread = s.in.unread
	}
	if inOrder && c.made && s.state == open && c.took < c.written {
		s.violate(RuleSent, "the end is sent though of %d bytes written the socket got %d", c.written, c.took)
	}
}

// isLost compares the counts when the connection has ended.
func (s *sock) isLost(why error) {
	c := &s.seen
	if c.given != c.read {
		s.violate(RuleDelivered, "%d bytes were read and %d delivered or discarded at the end", c.read, c.given)
	}
	if broke(why) && c.unread > 0 && !c.paused && !c.closed {
		s.violate(RuleDelivered, "lost with %d bytes that came before it and were not delivered: %v", c.unread, why)
	}
	if errors.Is(why, reactor.ErrClosed) && (c.sent != c.written || c.took != c.written) {
		s.violate(RuleSent, "closed when of %d bytes written %d were sent, and the socket got %d", c.written, c.sent, c.took)
	}
}

// broke tells whether a connection was lost because the network ended it.
func broke(why error) bool {
	return errors.Is(why, kernel.ErrReset) || errors.Is(why, kernel.ErrBroken)
}

// leftovers checks a host whose reactor has ended.
func (h *Host) leftovers() {
	n, k := h.n, h.k
	files := k.files
	if k.reserve {
		files--
	}
	if h.up && !k.gone {
		if sources := h.Reactor.Stats().Sources; sources > 0 || files != 0 || len(k.socks) > 0 {
			n.violate(RuleLeft, "%s: %d sources, %d descriptors and %d sockets are in use at the end", h.name, sources, files, len(k.socks))
		}
		if k.chunks.out > 0 || k.lent {
			n.violate(RuleLeft, "%s: %d chunks are in use at the end; the read buffer is lent: %v", h.name, k.chunks.out, k.lent)
		}
	}
	if !h.shared && len(h.ports) > 0 {
		n.violate(RuleLeft, "%s: %d ports are in use at the end", h.name, len(h.ports))
	}
	if !h.shared && len(h.udp) > 0 {
		n.violate(RuleLeft, "%s: %d UDP ports are in use at the end", h.name, len(h.udp))
	}
	if !h.shared && h.boundNames() > 0 {
		n.violate(RuleLeft, "%s: %d UNIX names are in use at the end", h.name, h.boundNames())
	}
}
