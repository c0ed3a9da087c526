package sim

import (
	"fmt"
	"strings"
	"time"
)

// trace is everything that has happened: as a number that depends on all of it and, if it
// is kept, as lines.
type trace struct {
	hash    uint64
	lines   []line
	content content
}

// line is one thing that happened.
type line struct {
	at    time.Duration
	op    Op
	kind  Kind
	sub   uint8 // the kind of a note, or the site of a rare branch
	host  string
	peer  string // the other end of a segment or link
	sock  int
	n     int
	id    uint64 // of a segment
	text  string
	held  bool          // a cut or heal by Hold
	lasts time.Duration // of a clog
}

func (t *trace) add(keep bool, host int, l line) {
	h := t.hash
	for _, v := range [...]uint64{uint64(l.at), uint64(l.op)<<56 | uint64(l.kind)<<48 | uint64(l.sub)<<40 | uint64(host), uint64(l.sock), uint64(l.n)} {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	for i := range len(l.text) {
		h = (h ^ uint64(l.text[i])) * 0x100000001b3
	}
	t.hash = h
	if keep {
		t.lines = append(t.lines, l)
	}
}

// note enters an operation on s, nil for none, with a number.
func (n *Net) note(o Op, s *sock, m int) {
	l := line{at: n.now, op: o, n: m}
	host := 0
	if s != nil {
		l.host, l.sock, host = s.h.name, s.id, s.h.id
	}
	n.trace.add(n.KeepTrace, host, l)
}

func (n *Net) noteHost(o Op, h *Host) {
	n.trace.add(n.KeepTrace, h.id, line{at: n.now, op: o, host: h.name})
}

// noteLink enters l, which was done to the link between two hosts.
func (n *Net) noteLink(from, to *Host, l line) {
	l.at, l.host, l.peer = n.now, from.name, to.name
	switch {
	case l.held:
		l.text = "hold"
	case l.op == OpClog:
		l.text = l.lasts.String()
	}
	n.trace.add(n.KeepTrace, from.id, l)
}

func (n *Net) noteKernel(o Op, k *simKernel, m int) {
	n.trace.add(n.KeepTrace, k.h.id, line{at: n.now, op: o, host: k.h.name, n: m})
}

// noteSegment enters what happened to a segment, at the host that knows of it.
func (n *Net) noteSegment(o Op, f *half, p packet) {
	s, peer := f.from, f.to
	if o == OpArrive || o == OpDrop || o == OpDuplicate {
		s, peer = f.to, f.from
	}
	n.trace.add(n.KeepTrace, s.h.id, line{at: n.now, op: o, kind: p.kind, host: s.h.name, peer: peer.h.name, sock: s.id, n: p.n, id: p.id})
}

// Hash is a number that depends on everything that has happened so far, and when: calls of
// kernels, callbacks to programs, rare branches taken, segments sent and arrived, faults and
// marks. Not part of it are calls of Now and Wake, and those that ask or set an option. Runs
// of equal seeds have equal hashes.
func (n *Net) Hash() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trace.hash
}

// Trace has a line for each thing that Hash depends on: time, host, socket, what happened, a
// number and a text, as in [TraceEvent]. Callbacks begin with "on". It is empty unless
// KeepTrace.
func (n *Net) Trace() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, l := range n.trace.lines {
		fmt.Fprintf(&b, "%-14v %-10s", l.at, l.host)
		if l.sock > 0 {
			fmt.Fprintf(&b, " #%d", l.sock)
		}
		b.WriteString(" " + l.event().What())
		if l.kind > 0 {
			b.WriteString(" " + l.kind.String())
		}
		if l.n != 0 {
			fmt.Fprintf(&b, " %d", l.n)
		}
		if l.text != "" {
			b.WriteString(" " + l.text)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Table shows the current state: for each host its number of delayed calls, and its sockets
// with addresses, state, bytes to read and to send, connections to accept and what is armed;
// then what the network carries.
func (n *Net) Table() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.table()
}

func (n *Net) table() string {
	var b strings.Builder
	for _, h := range n.everyProgram() {
		up := "up"
		if !h.up {
			up = "down"
		}
		if h.paused {
			up = "paused"
		}
		fmt.Fprintf(&b, "%s %v %v %s", h.name, h.ip4, h.ip6, up)
		if h.driven() {
			st := h.Reactor.Stats()
			fmt.Fprintf(&b, ", %d delayed calls", st.Pending)
		}
		b.WriteByte('\n')
		for _, s := range h.k.socks {
			b.WriteString("  " + s.row() + "\n")
		}
	}
	fmt.Fprintf(&b, "%d events to come, %d directions blocked", n.events.len(), len(n.parked))
	if m := len(n.air.flying); m > 0 {
		fmt.Fprintf(&b, ", %d datagrams under way", m)
	}
	b.WriteByte('\n')
	return b.String()
}

var stateNames = [...]string{"unborn", "connecting", "open", "failed", "dead", "closed"}

// row is s in the table.
func (s *sock) row() string {
	if s.proc != nil {
		return fmt.Sprintf("#%d child %s exited %v armed %v", s.id, s.proc.h.name, s.proc.exited, s.armed)
	}
	if s.p != nil {
		return fmt.Sprintf("#%d %s %v > %v queue %d unsent %d armed %v", s.id, s.local.Net, s.local, s.remote, len(s.p.queued()), s.p.unsent, s.armed)
	}
	if s.l != nil {
		return fmt.Sprintf("#%d listen %v queue %d armed %v", s.id, s.local, len(s.l.queue), s.armed)
	}
	return fmt.Sprintf("#%d %v > %v %s unread %d coming %d unsent %d going %d armed %v", s.id, s.local, s.remote,
		stateNames[s.state], s.in.unread, s.in.flight, s.out.unsent, s.out.flight, s.armed)
}
