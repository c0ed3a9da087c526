package reactor

import (
	"context"
	"log/slog"
	"time"
)

// DrainConfig configures a Drain. The zero value is the defaults.
type DrainConfig struct {
	// Ask is called once with each connection, also with those that are made while the
	// Drain goes on. It has the connection end soon: a server that is in the middle of an
	// answer notes that it is to close afterwards. [ProtocolAs] finds the program's protocol in
	// s.Protocol(), also above TLS. If Ask panics, the connection ends with a *PanicError. Nil:
	// Drain of the program's protocol, if [DrainerOf] finds one; otherwise Top(s).Close().
	Ask func(s *Stream)
	// PerSecond limits how many connections are asked in a second, so that their peers do not
	// all come back at the same moment. Zero or negative: no limit.
	PerSecond int
	// Limit is how long the Drain may take. Then what is left is aborted. Zero: 30 s;
	// negative: no limit.
	Limit time.Duration
	// Done is called when no connection is left, with the number of those that were
	// aborted, never inside Reactor.Drain unless the reactor has stopped (THR-32). Nil: nobody is told.
	Done func(aborted int)
}

// Drain is the orderly end of all connections of a reactor. It is for the loop's goroutine.
type Drain struct {
	r       *Reactor
	cfg     DrainConfig
	state   drainState
	unasked []*Stream     // the next is first
	posted  bool          // ask is posted
	next    time.Duration // when the next may be asked, by the reactor's clock
	aborted int
	pace    DelayedCall
	limit   DelayedCall
}

type drainState uint8

const (
	draining      drainState = iota // connections are asked, and may end by themselves
	drainAborting                   // what is there, and what still comes, is aborted
	drainOver                       // no connection is left; Done was called, or is about to be
)

const (
	defaultDrainLimit = 30 * time.Second
	// askedPerTurn is how many connections are asked in one turn at most.
	askedPerTurn = 256
	// askEvery is the time whose share of PerSecond may be asked at once, if the loop was late.
	askEvery = 10 * time.Millisecond
)

// Drain asks all connections to end, and waits until they have, as c says. Ports go on
// accepting: stop them first. Connections that linger after their Close are not waited for.
// More than one Drain may go on at a time. If the reactor stops meanwhile, the Drain ends with
// its connections.
func (r *Reactor) Drain(c DrainConfig) *Drain {
	if c.Limit == 0 {
		c.Limit = defaultDrainLimit
	}
	if c.Ask == nil {
		c.Ask = askToEnd
	}
	d := &Drain{r: r, cfg: c}
	d.pace.Init(r, d.ask)
	d.limit.Init(r, func() { d.Cut("the time for it is over") })
	if r.streams == 0 {
		d.over()
		return d
	}
	for s := range r.Streams() {
		d.unasked = append(d.unasked, s)
	}
	r.drains = append(r.drains, d)
	d.askLater()
	if c.Limit > 0 {
		d.limit.Reset(c.Limit)
	}
	return d
}

// askToEnd is the Ask of a DrainConfig without one.
func askToEnd(s *Stream) {
	if p, ok := DrainerOf(s); ok {
		p.Drain()
	} else {
		Top(s).Close()
	}
}

// DrainerOf returns the protocol of the application on s, also above a [Layer], as a Drainer. A
// connection that [Join] has joined has none, because its former protocol must leave it alone. It is
// for the loop's goroutine.
func DrainerOf(s *Stream) (Drainer, bool) {
	p := s.Protocol()
	if on, ok := Top(s).(interface{ Protocol() Protocol }); ok {
		p = on.Protocol()
	} // otherwise it is found through the layers
	if _, joined := ProtocolAs[*joinSide](p); joined {
		return nil, false
	}
	return ProtocolAs[Drainer](p)
}

// Cut aborts the connections that have not ended. The log says why, which is because. If no
// connection is left, it does nothing.
func (d *Drain) Cut(because string) {
	if d.state != draining {
		return
	}
	d.state, d.unasked = drainAborting, nil
	d.pace.Cancel()
	d.limit.Cancel()
	dialled := 0 // counted apart: a forwarder has one for each client
	for s := range d.r.Streams() {
		if _, ok := s.cfg.owner.(*Connector); ok {
			dialled++
		}
		d.abort(s)
	}
	attrs := []slog.Attr{slog.Int("connections", d.r.streams-dialled), slog.String("because", because)}
	if dialled > 0 {
		attrs = append(attrs, slog.Int("outgoing", dialled))
	}
	d.r.log.LogAttrs(context.Background(), slog.LevelWarn, "aborting connections that have not finished", attrs...)
}

// Left is how many connections have not ended.
func (d *Drain) Left() int { return d.r.streams }

func (d *Drain) abort(s *Stream) {
	d.aborted++
	s.Abort()
}

// made follows a connection that was made while d goes on.
func (d *Drain) made(s *Stream) {
	switch {
	case d.state == drainAborting:
		d.abort(s)
	case d.state == draining:
		d.unasked = append(d.unasked, s)
		if !d.pace.Active() {
			d.askLater()
		}
	}
}

// ask asks the next connections, as many as the turn and PerSecond allow.
func (d *Drain) ask() {
	now := d.r.Now()
	gap := time.Duration(0)
	if n := d.cfg.PerSecond; n > 0 {
		gap = time.Second / time.Duration(n)
		d.next = max(d.next, now-askEvery)
	}
	for n := 0; n < askedPerTurn && len(d.unasked) > 0 && d.next <= now; n++ {
		s := d.unasked[0]
		d.unasked[0] = nil
		d.unasked = d.unasked[1:]
		if s.state != streamLost {
			d.next += gap
			d.r.guardSource(s, func() { d.cfg.Ask(s) })
		}
	}
	switch {
	case d.state != draining || len(d.unasked) == 0:
	case d.next > now:
		d.pace.Reset(d.next - now)
	default:
		d.askLater()
	}
}

// askLater has the next connections asked in the next turn. In this one they hear what has
// arrived.
func (d *Drain) askLater() {
	if !d.posted {
		d.posted = true
		d.r.Post(func() { d.posted = false; d.ask() })
	}
}

// over ends d.
func (d *Drain) over() {
	d.state, d.unasked = drainOver, nil
	d.pace.Cancel()
	d.limit.Cancel()
	if d.cfg.Done != nil {
		d.r.Tell(func(error) { d.cfg.Done(d.aborted) })
	}
}

// streamMade counts a connection, for Stats and those who drain.
func (r *Reactor) streamMade(s *Stream) {
	r.streams++
	if r.member != nil {
		r.member.load.Add(1)
	}
	for _, d := range r.drains {
		d.made(s)
	}
}

// streamGone follows the loss of a connection.
func (r *Reactor) streamGone() {
	r.streams--
	if r.member != nil {
		r.member.load.Add(-1)
	}
	if len(r.drains) > 0 && r.streams == 0 {
		all := r.drains
		r.drains = nil
		for _, d := range all {
			d.over()
		}
	}
}
