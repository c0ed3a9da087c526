package handover

import (
	"fmt"
	"os"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// EventKind says what has happened in a hand-over that is watched.
type EventKind uint8

// The events, in their order.
const (
	Watches EventKind = iota + 1 // the watcher is connected: Process is the old program
	Comes                        // a successor is connected, now or before Watch; at most one is at a time
	Offers                       // it was offered Socket
	Takes                        // the successor has taken Socket, and is about to be ready
	Ignores                      // the successor has no use for Socket
	Serves                       // the successor is ready, and the old program accepts no more
	GivesUp                      // the successor was lost before it was ready; the old program serves on. Text says why.
	Moves                        // Connections have moved, and Left are drained by the old program
	Drains                       // the old program has drained
)

// Event is something that has happened in a hand-over.
type Event struct {
	// Kind says what. Its comment says which of the other fields are set.
	Kind EventKind
	// Process is the old program in Watches, and in all others the successor; 0 if the system does not tell.
	Process           int
	Socket            Socket
	Text              string
	Connections, Left int
}

// WatchConfig configures a Watching. All functions are called on the loop's goroutine, never inside Watch.
type WatchConfig struct {
	// Event is called with each event. It must not be nil.
	Event func(Event)
	// Done is called last and once: with nil after Drains, otherwise with an [*Error], which is ErrNobody if
	// no program offers its sockets at the path. It must not be nil.
	Done func(err error)
	// Timeout is how long the old program may take to answer. Zero: DefaultTimeout; negative: no limit.
	Timeout time.Duration
}

// Watching follows the hand-over of a program to a successor that somebody else starts. It is for the loop's goroutine.
type Watching struct {
	link
	cfg WatchConfig
	all []Socket
	// successor is the process that events are of.
	successor int
}

// Watch connects to the program that offers its sockets at path, and has c.Event called with what happens there.
func Watch(r *reactor.Reactor, path string, c WatchConfig) *Watching {
	fill(&c.Timeout, DefaultTimeout)
	w := &Watching{cfg: c}
	w.init(r, w, maxControl, 0)
	connect(r, path, w, c.Timeout, func(err error) { w.ended(&Error{Step: StepConnect, Err: err}) })
	return w
}

// Stop ends it. Done is called later, with ErrGivenUp.
func (w *Watching) Stop() { w.fail(ErrGivenUp) }

// LogPrefix is its name in logs.
func (w *Watching) LogPrefix() string { return "handover" }

func (w *Watching) allowed(c kernel.Credentials) bool { return sameUser(c) }

func (w *Watching) made() error {
	w.within(StepHello, w.cfg.Timeout)
	w.send(message{kind: msgHello, role: roleWatcher, text: magic, number: Version, socket: uint32(os.Getpid())})
	return nil
}

func (w *Watching) ended(err error) { w.cfg.Done(err) }

func (w *Watching) handle(m *message) error {
	switch {
	case w.step == StepHello && m.kind == msgWelcome:
		if m.number < 1 || m.number > Version {
			return fmt.Errorf("%w: it speaks %d, this one %d", ErrVersion, m.number, Version)
		}
		w.within(StepDrain, 0)
		w.cfg.Event(Event{Kind: Watches, Process: int(m.socket)})
		return nil
	case w.step != StepDrain:
	case m.kind == msgSuccessor:
		w.successor, w.all = int(m.number), nil
		w.event(Event{Kind: Comes})
		return nil
	case m.kind == msgOffer:
		if int(m.number) != len(w.all) || len(w.all) == MaxSockets {
			return broken("socket %d after %d", m.number, len(w.all))
		}
		one := Socket{m.text, m.what, m.addr, m.asked}
		w.all = append(w.all, one)
		w.socket(Offers, one)
		return nil
	case m.kind == msgOffered:
		return nil
	case m.kind == msgTaken || m.kind == msgUnknown:
		if int(m.number) >= len(w.all) {
			return broken("an answer about socket %d", m.number)
		}
		kind := Takes
		if m.kind == msgUnknown {
			kind = Ignores
		}
		w.socket(kind, w.all[m.number])
		return nil
	case m.kind == msgReady:
		w.event(Event{Kind: Serves})
		return nil
	case m.kind == msgGaveUp:
		w.event(Event{Kind: GivesUp, Text: m.text})
		return nil
	case m.kind == msgMoved:
		w.event(Event{Kind: Moves, Connections: int(m.number), Left: int(m.socket)})
		return nil
	case m.kind == msgDone:
		w.event(Event{Kind: Drains})
		w.finish()
		return nil
	}
	return broken("message %d at step %s", m.kind, w.step)
}

// event tells of the successor.
func (w *Watching) event(e Event) {
	e.Process = w.successor
	w.cfg.Event(e)
}

// socket tells of a socket, unless it is that of the hand-over itself.
func (w *Watching) socket(kind EventKind, one Socket) {
	if one.Kind != control {
		w.event(Event{Kind: kind, Socket: one})
	}
}
