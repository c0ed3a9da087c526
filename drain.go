package whorl

import (
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// drain lets the connections of a reactor end by themselves for a limited time, and then
// aborts them. It runs before the reactor's own shutdown, which waits for it.
//
//	off ── begin ──> waiting ── cutShort, or the grace is over ──> aborting
//	 │                  │                                          │
//	 │                  └────────── no connection is left ─────────┴──> over
//	 └── cutShort ──> shortened ── begin ──> aborting
type drain struct {
	r     *reactor.Reactor
	log   *slog.Logger
	grace time.Duration // zero: none
	// rest is called with the transport of each connection whose protocol is no Drainer.
	// Nil: these connections go on.
	rest func(reactor.Transport)

	state   drainState
	because string // why what is left is aborted
	done    func()
	look    reactor.DelayedCall
	limit   reactor.DelayedCall
}

type drainState uint8

const (
	drainOff       drainState = iota
	drainShortened            // begin will abort at once
	drainWaiting              // connections may end by themselves
	drainAborting             // what is there, and what still comes, is aborted
	drainOver                 // done was called
)

// lookEvery is how often a drain looks whether connections are left. Only their end
// matters, so nothing is kept for each connection.
const lookEvery = 10 * time.Millisecond

func (d *drain) init(r *reactor.Reactor, log *slog.Logger, grace time.Duration) {
	d.r, d.log, d.grace = r, log, grace
	d.look.Init(r, d.check)
	d.limit.Init(r, func() { d.abort("the time for it is over") })
}

// begin starts draining. done is called once no connection is left, in begin if there is
// none.
func (d *drain) begin(done func()) {
	d.done = done
	shortened := d.state == drainShortened
	d.state = drainWaiting
	switch {
	case d.count() == 0:
	case shortened:
		d.abort(d.because)
	case d.grace == 0:
		d.abort("there is no time for it")
	default:
		d.limit.Reset(d.grace)
		for s := range d.r.Streams() {
			d.tell(s)
		}
	}
	d.check()
}

// tell asks a connection to end.
func (d *drain) tell(s *reactor.Stream) {
	t := reactor.Top(s)
	if p, ok := drainerOn(t); ok {
		// Posted, so that a panic is the connection's alone.
		d.r.Post(func() { drainOne(s, p) })
	} else if d.rest != nil {
		d.rest(t)
	}
}

// drainerOn returns the application's protocol on t, if it is a Drainer.
func drainerOn(t reactor.Transport) (Drainer, bool) {
	on, ok := t.(interface{ Protocol() reactor.Protocol })
	if !ok {
		return nil, false
	}
	return reactor.ProtocolAs[Drainer](on.Protocol())
}

// drainOne tells p, unless its connection was lost meanwhile. If p panics, the connection
// is aborted, and the reactor reports the panic.
func drainOne(s *reactor.Stream, p Drainer) {
	if s.Protocol() == nil {
		return
	}
	returned := false
	defer func() {
		if !returned {
			s.Abort()
		}
	}()
	p.Drain()
	returned = true
}

// cutShort ends the grace, also before begin.
func (d *drain) cutShort(because string) {
	switch d.state {
	case drainOff:
		d.state, d.because = drainShortened, because
	case drainWaiting:
		d.abort(because)
	}
}

// abort aborts the connections that have not ended.
func (d *drain) abort(because string) {
	d.state = drainAborting
	d.limit.Cancel()
	if n := d.count(); n > 0 {
		d.log.Warn("aborting connections that have not finished", slog.Int("connections", n), slog.String("because", because))
	}
	d.abortAll()
}

func (d *drain) abortAll() {
	for s := range d.r.Streams() {
		s.Abort()
	}
}

// check ends the drain if no connection is left, or looks again later.
func (d *drain) check() {
	if d.count() > 0 {
		if d.state == drainAborting {
			d.abortAll() // some may have been made since
		}
		d.look.Reset(lookEvery)
		return
	}
	d.state = drainOver
	d.limit.Cancel()
	d.done()
}

// count returns how many connections there are.
func (d *drain) count() int {
	n := 0
	for range d.r.Streams() {
		n++
	}
	return n
}
