package sim

import (
	"fmt"
	"strings"
	"time"
)

// op is what a line of the trace is about.
type op uint8

const (
	opCall op = iota
	opWait
	opListen
	opDial
	opAccept
	opRead
	opWrite
	opCloseWrite
	opClose
	opAbort
	opSend
	opArrive
	opGiveUp
	opCrash
	opKill
	opRestart
	opCut
	opHeal
)

var opNames = [...]string{"call", "wait", "listen", "dial", "accept", "read", "write", "closewrite", "close", "abort",
	"send", "arrive", "give up", "crash", "kill", "restart", "cut", "heal"}

// trace is what has happened, as a number that depends on all of it and, if it is
// kept, as lines.
type trace struct {
	hash  uint64
	lines []line
}

// line is one thing that happened. Text is made of it only when asked for.
type line struct {
	at   time.Duration
	op   op
	kind Kind
	host string
	sock int
	n    int
}

func (t *trace) add(keep bool, host int, l line) {
	h := t.hash
	for _, v := range [...]uint64{uint64(l.at), uint64(l.op)<<56 | uint64(l.kind)<<48 | uint64(host), uint64(l.sock), uint64(l.n)} {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	t.hash = h
	if keep {
		t.lines = append(t.lines, l)
	}
}

// note enters what was done to s, nil for none, with a number.
func (n *Net) note(o op, s *sock, m int) {
	l := line{at: n.now, op: o, n: m}
	host := 0
	if s != nil {
		l.host, l.sock, host = s.h.name, s.id, s.h.id
	}
	n.trace.add(n.KeepTrace, host, l)
}

func (n *Net) noteHost(o op, h *Host) {
	n.trace.add(n.KeepTrace, h.id, line{at: n.now, op: o, host: h.name})
}

func (n *Net) noteKernel(o op, k *simKernel, m int) {
	n.trace.add(n.KeepTrace, k.h.id, line{at: n.now, op: o, host: k.h.name, n: m})
}

// noteSegment enters what became of a segment, at the host that knows.
func (n *Net) noteSegment(o op, f *half, kind Kind, m int) {
	s := f.from
	if o == opArrive {
		s = f.to
	}
	n.trace.add(n.KeepTrace, s.h.id, line{at: n.now, op: o, kind: kind, host: s.h.name, sock: s.id, n: m})
}

// Hash stands for everything that has happened so far: the calls of kernels that did
// something, segments sent and arrived, faults, and when. Runs of equal seeds have
// equal hashes.
func (n *Net) Hash() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trace.hash
}

// Trace is one line for each thing that Hash stands for: time, host, socket, what,
// and a number of bytes or events, -1 for an error. It is empty unless KeepTrace.
func (n *Net) Trace() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, l := range n.trace.lines {
		fmt.Fprintf(&b, "%-14v %-10s", l.at, l.host)
		if l.sock > 0 {
			fmt.Fprintf(&b, " #%d", l.sock)
		}
		b.WriteString(" " + opNames[l.op])
		if l.kind > 0 {
			b.WriteString(" " + l.kind.String())
		}
		if l.n != 0 {
			fmt.Fprintf(&b, " %d", l.n)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Table is how things stand: each host's sockets with addresses, state, bytes to be
// read and to be sent, connections to be accepted and what is armed, and its
// reactor's delayed calls. Then what the network carries.
func (n *Net) Table() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, h := range n.hosts {
		up := "up"
		if !h.up {
			up = "down"
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
	fmt.Fprintf(&b, "%d events to come, %d directions blocked\n", len(n.events), len(n.parked))
	return b.String()
}

var stateNames = [...]string{"unborn", "connecting", "open", "failed", "dead", "closed"}

// row is s in the table.
func (s *sock) row() string {
	if s.l != nil {
		return fmt.Sprintf("#%d listen %v queue %d armed %v", s.id, s.local, len(s.l.queue), s.armed)
	}
	return fmt.Sprintf("#%d %v > %v %s unread %d coming %d unsent %d going %d armed %v", s.id, s.local, s.remote,
		stateNames[s.state], s.in.unread, s.in.flight, s.out.unsent, s.out.flight, s.armed)
}
