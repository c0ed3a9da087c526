package sim

import (
	"iter"
	"time"
)

// TraceEvent is one thing that happened, as data.
type TraceEvent struct {
	// At is when, in true time.
	At time.Duration
	// Host is the name of where it was; "" for what concerns the network alone.
	Host string
	// Sock is the number of the socket it was about, which no other socket of the network
	// has; 0 for none.
	Sock int
	// What is it in a word or two: "write", "send", "arrive", "crash" ... A callback is
	// "on made", "on data" and so on, a rare branch "rare read-one" and the like.
	What string
	// Kind is a segment's, 0 for anything else.
	Kind Kind
	// N is in bytes, for a wait in events; -1 for a call that failed.
	N int
	// ID is a segment's number, which its sending and its arrivals share; 0 for
	// anything else.
	ID uint64
	// From and To are the hosts a segment travels between, or the ends of the link that is
	// cut, healed or clogged, in this direction.
	From, To string
	// Text is what Mark was given, or why a callback says that something ended; "hold" if a
	// link is cut or healed by Hold; for a clog how long it lasts, unless Calm ends it.
	Text string
}

// Events walks everything that Trace has as text, in order, up to now. There is nothing
// unless KeepTrace.
func (n *Net) Events() iter.Seq[TraceEvent] {
	n.mu.Lock()
	lines := n.trace.lines
	n.mu.Unlock()
	return func(yield func(TraceEvent) bool) {
		for i := range lines {
			if !yield(lines[i].event()) {
				return
			}
		}
	}
}

func (l *line) event() TraceEvent {
	e := TraceEvent{At: l.at, Host: l.host, Sock: l.sock, What: l.what(), Kind: l.kind, N: l.n, ID: l.id, Text: l.text}
	switch l.op {
	case opSend, opGiveUp, opCut, opHeal, opClog:
		e.From, e.To = l.host, l.peer
	case opArrive, opDrop, opDuplicate:
		e.From, e.To = l.peer, l.host
	}
	return e
}

// Mark puts a line of the program's own into trace and Hash: what it decided, say. host is
// a name, or "" for none. A text that differs between runs of one seed makes the hash
// differ too.
func (n *Net) Mark(host, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := 0
	if h := n.byName[host]; h != nil {
		id = h.id
	}
	n.trace.add(n.KeepTrace, id, line{at: n.now, op: opMark, host: host, text: text})
}
