package sim

import (
	"iter"
	"time"

	"github.com/whorl-go/whorl/kernel/probe"
)

// Op says what happened.
type Op uint8

// The operations. In parentheses is what N means.
const (
	OpCall       Op = iota // a function given to At, or of a fault, is called
	OpWait                 // Wait of a kernel returns (events)
	OpListen               // a socket listens, or is open for datagrams
	OpDial                 // a socket is to be connected; one of datagrams is
	OpAccept               // a connection is accepted (-1: none)
	OpRead                 // a socket is read (bytes or datagrams, -1: an error)
	OpWrite                // a socket is written (bytes or datagrams, -1: an error)
	OpCloseWrite           // a socket sends no more
	OpClose                // a socket is closed
	OpAbort                // a socket is aborted
	OpSend                 // a segment is sent (bytes)
	OpArrive               // a segment arrives (bytes)
	OpGiveUp               // a segment was sent again for too long, and its connection ends (bytes)
	OpCrash                // Host.Crash
	OpKill                 // Host.Kill
	OpRestart              // Host.Restart
	OpCut                  // nothing comes through a link any more: Partition or Hold
	OpHeal                 // a cut of a link ends
	OpClog                 // a link is clogged
	OpDrop                 // a segment is lost, and will be sent again; or a datagram, for good (bytes)
	OpDuplicate            // a segment arrives a second time (bytes)
	OpPause                // Host.Pause
	OpResume               // Host.Resume
	OpClock                // Host.SetClock
	OpStart                // the program of a host is started
	OpNote                 // a reactor called the program, or told its kernel something (as in Note)
	OpRare                 // a rare branch is forced
	OpMark                 // Net.Mark
	OpArm                  // a socket is armed (a kernel.Ready)
	OpConnected            // a socket is asked whether it is connected (-1: an error)
	OpWork                 // blocking work is done: its number on that host
	OpStop                 // Host.GracefulRestart
	OpSlow                 // a callback takes time
	OpReached              // a state of Net.Sometimes is reached for the first time
	OpJoin                 // a socket joins a multicast group
	OpLeave                // a socket leaves one
	OpSpawn                // a child is started (its number)
	OpExit                 // a child exits (its status as wait(2) encodes it)
	OpSignal               // a signal is sent to a child (its number)
)

// String is the operation in a word or two: "write", "give up", "arrive again" for
// OpDuplicate, "on" for OpNote.
func (o Op) String() string {
	names := [...]string{"call", "wait", "listen", "dial", "accept", "read", "write", "closewrite", "close", "abort",
		"send", "arrive", "give up", "crash", "kill", "restart", "cut", "heal",
		"clog", "drop", "arrive again", "pause", "resume", "clock", "start",
		"on", "rare", "mark", "arm", "connected", "work", "stop", "slow", "reached", "join", "leave", "spawn", "exit", "signal"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// Fault tells whether the operation is a fault of a host or a link, or the end of one.
func (o Op) Fault() bool {
	switch o {
	case OpCrash, OpKill, OpRestart, OpCut, OpHeal, OpClog, OpPause, OpResume, OpClock, OpStop:
		return true
	}
	return false
}

// TraceEvent is one thing that happened.
type TraceEvent struct {
	// At is when, in true time.
	At time.Duration
	// Host is the name of the host on which it happened; "" for what concerns no host.
	Host string
	// Sock is the number of the socket concerned, which no other socket of the network
	// has; 0 for none.
	Sock int
	// Op is what happened.
	Op Op
	// Note is what the reactor told, for OpNote.
	Note probe.NoteKind
	// Site is where, for OpRare. It is Sites for a branch of a program, which Text names.
	Site Site
	// Kind is the kind of a segment, 0 for anything else.
	Kind Kind
	// N is a number that depends on Op; -1 for a call that failed.
	N int
	// ID is the number of a segment, which its sending and its arrivals share; 0 for
	// anything else.
	ID uint64
	// From and To are the hosts between which a segment travels, or the ends of the link
	// that is cut, healed or clogged, in this direction.
	From, To string
	// Held is true for OpCut and OpHeal if the link is cut by Hold, and nothing on it times
	// out.
	Held bool
	// Lasts is how long an OpClog lasts, unless Calm ends it, and the callback of an OpSlow.
	Lasts time.Duration
	// Text is what Mark was given, the name of a state that is reached or of a program's
	// branch, the reason that a callback was given, or the [DropReason] of a datagram. Of a held link
	// it is "hold", of a clog and a slow callback it
	// is Lasts.
	Text string
}

// What is what happened in words, as in [Net.Trace]: Op, and "on data" or "rare read-one"
// where Op needs another word.
func (e TraceEvent) What() string {
	switch e.Op {
	case OpNote:
		return "on " + e.Note.String()
	case OpRare:
		if e.Site < Sites {
			return "rare " + e.Site.String()
		}
	}
	return e.Op.String()
}

// Events are everything that Trace has as text, in order, up to now. There are none unless
// KeepTrace.
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
	e := TraceEvent{At: l.at, Host: l.host, Sock: l.sock, Op: l.op, Kind: l.kind, N: l.n, ID: l.id,
		Held: l.held, Lasts: l.lasts, Text: l.text}
	switch l.op {
	case OpNote:
		e.Note = probe.NoteKind(l.sub)
	case OpRare:
		e.Site = Site(l.sub)
	case OpSend, OpGiveUp, OpCut, OpHeal, OpClog:
		e.From, e.To = l.host, l.peer
	case OpArrive, OpDrop, OpDuplicate:
		e.From, e.To = l.peer, l.host
	}
	return e
}

// Mark adds an OpMark to the trace and to Hash: what the program decided, say. host is a
// name, or "" for none. A text that differs between runs of one seed makes the hashes
// differ too.
func (n *Net) Mark(host, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := 0
	if h := n.byName[host]; h != nil {
		id = h.id
	}
	n.trace.add(n.KeepTrace, id, line{at: n.now, op: OpMark, host: host, text: text})
}
