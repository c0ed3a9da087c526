package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel/probe"
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
	opClog
	opDrop
	opDuplicate
	opPause
	opResume
	opClock
	opStart
	opNote
	opRare
	opMark
	opArm
	opConnected
)

var opNames = [...]string{"call", "wait", "listen", "dial", "accept", "read", "write", "closewrite", "close", "abort",
	"send", "arrive", "give up", "crash", "kill", "restart", "cut", "heal",
	"clog", "drop", "arrive again", "pause", "resume", "clock", "start",
	"on", "rare", "mark", "arm", "connected"}

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
	sub  uint8 // of a note its kind, of a rare branch its site
	host string
	peer string // where a segment or a link goes to or comes from
	sock int
	n    int
	id   uint64 // of a segment
	text string
}

// what is the line's subject in words.
func (l *line) what() string {
	switch l.op {
	case opNote:
		return "on " + probe.NoteKind(l.sub).String()
	case opRare:
		return "rare " + Site(l.sub).String()
	}
	return opNames[l.op]
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

// noteLink enters what was done to the way between two hosts.
func (n *Net) noteLink(o op, from, to *Host, text string) {
	n.trace.add(n.KeepTrace, from.id, line{at: n.now, op: o, host: from.name, peer: to.name, text: text})
}

func (n *Net) noteKernel(o op, k *simKernel, m int) {
	n.trace.add(n.KeepTrace, k.h.id, line{at: n.now, op: o, host: k.h.name, n: m})
}

// noteSegment enters what became of a segment, at the host that knows.
func (n *Net) noteSegment(o op, f *half, p packet) {
	s, peer := f.from, f.to
	if o == opArrive || o == opDrop || o == opDuplicate {
		s, peer = f.to, f.from
	}
	n.trace.add(n.KeepTrace, s.h.id, line{at: n.now, op: o, kind: p.kind, host: s.h.name, peer: peer.h.name, sock: s.id, n: p.n, id: p.id})
}

// Hash stands for everything that has happened so far: the calls of kernels, but for
// those of Now and Wake and those that ask or set an option, callbacks to the programs, rare branches taken, segments sent and arrived,
// faults, marks, and when. Runs of equal seeds have
// equal hashes.
func (n *Net) Hash() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trace.hash
}

// Trace is one line for each thing that Hash stands for: time, host, socket, what,
// a number of bytes or events, -1 for an error, and a text. Callbacks begin with "on". It
// is empty unless KeepTrace.
func (n *Net) Trace() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, l := range n.trace.lines {
		fmt.Fprintf(&b, "%-14v %-10s", l.at, l.host)
		if l.sock > 0 {
			fmt.Fprintf(&b, " #%d", l.sock)
		}
		b.WriteString(" " + l.what())
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

// Table is how things stand: each host's sockets with addresses, state, bytes to be
// read and to be sent, connections to be accepted and what is armed, and its
// reactor's delayed calls. Then what the network carries.
func (n *Net) Table() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.table()
}

func (n *Net) table() string {
	var b strings.Builder
	for _, h := range n.hosts {
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
	fmt.Fprintf(&b, "%d events to come, %d directions blocked\n", n.events.len(), len(n.parked))
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
