package reactor

import (
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// PortLimits bound what clients may take of one port, or of those that share them by
// [ListenConfig].ShareLimits. [ListenConfig] embeds them. The types of
// package endpoint do too: the tags hold the name of each limit in an endpoint's description, and
// its help.
//
// In each of them zero or negative means no limit. That is the default, because only the
// program knows how many connections are too many. What no program can exceed is bounded
// without them: when no descriptor is left, a port refuses its clients and goes on (TCP-21).
//
// A connection counts from its accept until its ConnectionLost has returned, so a handshake of
// TLS counts too. One that the factory refuses does not count, nor does one that lingers after
// its end: the reactor bounds these, and closes them when descriptors are short. Connections
// of a port that was stopped go on counting when it listens again.
type PortLimits struct {
	// MaxConnections is how many connections of the port may be open at a time. At the limit the
	// port stops accepting. Clients then wait in the system's queue, which Backlog bounds, and
	// nothing is lost. When a connection ends, the port goes on (TCP-92).
	MaxConnections int `ep:"maxconnections" help:"connections that may be open at a time; others wait; without it, any number"`
	// RefuseExcess has connections beyond MaxConnections accepted and reset at once, with
	// ErrTooManyConnections, instead of letting them wait (TCP-93).
	RefuseExcess bool `ep:"refuseexcess" help:"reset connections beyond maxconnections instead of letting them wait"`
	// MaxPerPeer is how many connections one peer may have, which is what [PeerOf] says. More of
	// it are accepted and reset at once, with ErrTooManyOfPeer, so that they keep no other
	// peer waiting (TCP-94). A peer without an IP address is not limited.
	MaxPerPeer int `ep:"maxperpeer" help:"connections that one IPv4 address or IPv6 /64 may have; more are reset; without it, any number"`
	// AcceptRate is how many connections a second the factory gets. If there are more, the
	// port stops accepting until the next is due, and clients wait as at MaxConnections
	// (TCP-95). Connections that a limit refuses do not count.
	AcceptRate int `ep:"acceptrate" help:"connections a second; more wait; without it, any number"`
	// AcceptBurst is how many of them may come at once after a quiet time. Zero or negative: as
	// many as AcceptRate, which is those of one second.
	AcceptBurst int `ep:"acceptburst" help:"connections that may come at once within acceptrate; without it, those of one second"`
}

// RefusalListener is implemented by a server's Factory that wants to know of the connections
// that a limit of [PortLimits] has refused. It is found through wrappers, by [FactoryAs].
type RefusalListener interface {
	// ConnectionRefused is called on the loop's goroutine, after the connection was reset,
	// and once for each of them: a flood makes many calls, so it should only count, or log by
	// a [LogLimit]. err is an [*OpError] with both ends, which is ErrTooManyConnections or
	// ErrTooManyOfPeer. A panic in it is logged and ends nothing (TCP-96).
	ConnectionRefused(p *Port, err error)
}

// PauseAccepting has the port accept nobody until ResumeAccepting. The socket goes on
// listening, so clients wait in the system's queue. Connections that were accepted go on.
// Pausing twice is pausing once. The pause outlasts StopListening and StartListening, and may
// begin before either: a port that is paused right after Listen accepts nobody at all. One that is
// stopped while it is paused resets those who wait (TCP-97).
func (p *Port) PauseAccepting() {
	p.paused = true
	p.limits.leave(p)
}

// ResumeAccepting ends the pause. The port accepts in the next turn, unless a limit or a failure
// still makes it wait. Without a pause it does nothing; on a port that is stopped it only
// ends the pause.
func (p *Port) ResumeAccepting() {
	p.paused = false
	p.goOn()
}

// portLimiter has the limits of a port, or of those that share them, and counts for them. A port at
// which clients wait for MaxConnections or AcceptRate is disarmed, and stands in waiting. While any
// stands there, MaxConnections are open or the timer is active.
type portLimiter struct {
	PortLimits
	r       *Reactor
	open    int                  // connections that are not lost yet
	ofPeer  map[netip.Prefix]int // those of each peer, if MaxPerPeer limits them
	rate    rateLimit            // of AcceptRate
	ports   []*Port              // those that listen
	waiting []*Port              // those that wait for room, the longest waiting first
	timer   DelayedCall          // gives them the room that there is then

	shared  *sharedLimits // with other loops, which then counts open, ofPeer and rate; nil: with none
	mine    sharedPart    // of shared
	aligned bool          // offset is known
	offset  time.Duration // from r's clock to that of shared
}

func newPortLimiter(r *Reactor, o PortLimits) *portLimiter {
	l := &portLimiter{PortLimits: o, r: r, rate: newRateLimit(o.AcceptRate, o.AcceptBurst)}
	l.timer.Init(r, l.due)
	return l
}

// sharedLimits returns those of ShareLimits, or nil.
func (c *ListenConfig) sharedLimits(r *Reactor) *portLimiter {
	with, ok := c.ShareLimits.(*Port)
	switch {
	case c.ShareLimits == nil || ok && with == nil:
		return nil
	case !ok:
		panic("reactor: ShareLimits is a port of a group, and this one is of a reactor alone")
	case with.r != r:
		panic("reactor: ShareLimits is a port of another reactor")
	default:
		return with.limits
	}
}

// forget removes a port that listens no more.
func (l *portLimiter) forget(p *Port) {
	l.ports = slices.DeleteFunc(l.ports, func(q *Port) bool { return q == p })
}

// wait puts p behind the ports that wait already.
func (l *portLimiter) wait(p *Port) {
	if !slices.Contains(l.waiting, p) {
		l.waiting = append(l.waiting, p)
	}
	if l.shared != nil && !l.full() { // another loop has lost a connection meanwhile, or the rate is what it waits for
		l.r.Post(l.goOn)
	}
}

// leave removes p from the ports that wait.
func (l *portLimiter) leave(p *Port) {
	l.waiting = slices.DeleteFunc(l.waiting, func(q *Port) bool { return q == p })
}

// full tells whether clients must wait for the end of a connection.
func (l *portLimiter) full() bool {
	if l.shared != nil {
		return l.shared.full(l, len(l.waiting) > 0)
	}
	return l.crowded() && !l.RefuseExcess
}

// crowded tells whether MaxConnections are open.
func (l *portLimiter) crowded() bool { return l.MaxConnections > 0 && l.open >= l.MaxConnections }

// rateWait is how long it is until AcceptRate lets one more in; zero or less if it does now.
func (l *portLimiter) rateWait() time.Duration {
	if l.shared != nil {
		return l.shared.rateWait(l)
	}
	return l.rate.wait(l.r)
}

// room tells whether one more connection may be accepted.
func (l *portLimiter) room() bool { return !l.full() && l.rateWait() <= 0 }

// goOn is called when a connection has ended, or the next is due. A port that has the limits for
// itself is armed. Among several the kernel must not choose, because one that it always reports
// first would take all the room. So the timer gives the room to those that wait, in their order, and not
// in the callback in progress.
func (l *portLimiter) goOn() {
	switch {
	case len(l.waiting) == 0 || l.full():
	case len(l.ports) > 1:
		l.timer.Reset(max(0, l.rateWait()))
	case !l.timer.Active():
		p := l.waiting[0]
		l.leave(p)
		p.goOn()
	}
}

// due accepts one client at each of the ports that wait, as long as there is room. Each is armed, so
// that it waits again, behind the others, if the kernel reports more clients.
func (l *portLimiter) due() {
	for n := len(l.waiting); len(l.ports) > 1 && min(n, len(l.waiting)) > 0 && l.room(); n-- {
		p := l.waiting[0]
		l.leave(p)
		if p.resume(); p.armed {
			p.acceptNext()
		}
	}
	l.goOn()
}

// room tells whether the port may accept one more connection. If it shares limits with other loops, it has a place for that
// one from now on, which accept uses up, and unused gives back.
func (p *Port) room() bool {
	if s := p.limits.shared; s != nil {
		return !p.paused && s.reserve(p.limits)
	}
	return !p.paused && p.limits.room()
}

// mayHaveRoom tells whether a port that is being stopped may accept more, because a limit that it shares has a place for a loop that has
// found no connection for it yet. It stays so for as long as an accept takes.
func (p *Port) mayHaveRoom() bool {
	s := p.limits.shared
	return s != nil && !p.paused && p.lastTries < lastAccepts && s.passing()
}

// unused follows a room for which there was no connection.
func (p *Port) unused() {
	if s := p.limits.shared; s != nil {
		s.release(p.limits)
	}
}

// waits is called when clients wait. It tells whether the port must not accept now. Then it
// counts that and disarms the port, which goOn arms again. So a port that has reached a limit
// costs nothing until somebody waits.
func (p *Port) waits() bool {
	l := p.limits
	d := l.rateWait()
	switch {
	case p.resumeTimer.Active(): // the port could not be disarmed
	case p.paused:
		p.stats.WaitedPaused++
	case l.full(), len(l.waiting) > 0 && l.rate.every == 0: // what room there is belongs to those that wait
		p.stats.WaitedFull++
		l.wait(p)
	case d > 0, len(l.waiting) > 0:
		p.stats.WaitedRate++
		l.wait(p)
		l.timer.Reset(max(0, d))
	default:
		return false
	}
	p.publish()
	p.arm(0)
	return true
}

// goOn is called when a pause or a failure keeps the port from accepting no more. If it was
// disarmed, it is armed, or waits for room.
func (p *Port) goOn() {
	l := p.limits
	switch {
	case p.state != portListening || p.armed || p.paused || p.resumeTimer.Active():
	case len(l.waiting) > 0 || l.full() || l.timer.Active():
		l.wait(p)
	default:
		p.resume()
	}
}

// refusal returns which limit an accepted connection of peer exceeds, or nil.
func (p *Port) refusal(peer netip.Prefix) error {
	switch {
	case p.limits.shared != nil:
		return p.limits.shared.refusal(p.limits, peer)
	case p.limits.MaxPerPeer > 0 && p.limits.ofPeer[peer] >= p.limits.MaxPerPeer:
		return ErrTooManyOfPeer
	case p.limits.crowded():
		return ErrTooManyConnections
	}
	return nil
}

// refuse resets an accepted connection that exceeds a limit, and tells of it. A reset, and not
// an end, because a client must not take it for an empty answer, and because it leaves no
// state behind in the system.
func (p *Port) refuse(conn kernel.Conn, limit error) {
	r := p.r
	p.stats.Refused++
	r.stats.Refused++
	log, count := &p.manyLog, &p.stats.TooMany
	if limit == ErrTooManyOfPeer {
		log, count = &p.peerLog, &p.stats.TooManyOfPeer
	}
	*count++
	p.publish()
	err := &OpError{Op: "accept", Local: p.addr, Remote: conn.Remote(), Err: limit}
	conn.Abort()
	log.Log(r, r.log, slog.LevelWarn, "refused a connection",
		slog.Any("on", p.addr), slog.Any("peer", err.Remote), slog.Any("err", limit))
	if l, ok := FactoryAs[RefusalListener](p.factory); ok {
		_ = r.guard(p.factory, func() { l.ConnectionRefused(p, err) })
	}
}

// opened counts a connection of peer.
func (p *Port) opened(peer netip.Prefix) {
	p.stats.Open++
	if p.limits.shared != nil {
		return // refusal has counted it
	}
	p.limits.open++
	if peer.IsValid() {
		if p.limits.ofPeer == nil {
			p.limits.ofPeer = make(map[netip.Prefix]int)
		}
		p.limits.ofPeer[peer]++
	}
}

// peer returns what counts as the peer of c. It is not valid if nothing counts peers.
func (p *Port) peer(c kernel.Conn) netip.Prefix {
	if p.limits.MaxPerPeer <= 0 {
		return netip.Prefix{}
	}
	return PeerOf(c.Remote())
}

// streamLost counts a connection no more. The ports that have waited for that go on.
func (p *Port) streamLost(s *Stream, _ error) {
	p.stats.Open--
	defer p.publish()
	l := p.limits
	if l.shared != nil {
		l.shared.lost(l, p.peer(s.conn))
		return
	}
	l.open--
	switch peer := p.peer(s.conn); {
	case !peer.IsValid():
	case l.ofPeer[peer] > 1:
		l.ofPeer[peer]--
	default:
		delete(l.ofPeer, peer)
	}
	l.goOn()
}

// rateLimit is a bucket of tokens. It does not count them, but keeps when the bucket is full
// again. The zero value limits nothing.
type rateLimit struct {
	every time.Duration // between two tokens
	slack time.Duration // how far ahead full may lie if there is a token
	full  time.Duration // by the reactor's clock
}

// newRateLimit makes a full bucket that holds burst tokens and gets perSecond.
func newRateLimit(perSecond, burst int) (l rateLimit) {
	if perSecond <= 0 {
		return l
	}
	if burst <= 0 {
		burst = perSecond
	}
	l.every = time.Second / time.Duration(perSecond)
	l.slack = math.MaxInt64 / 2
	if more := time.Duration(burst - 1); l.every == 0 || more <= l.slack/l.every {
		l.slack = more * l.every
	}
	return l
}

// wait returns how long it is until there is a token; zero or less if there is one.
func (l *rateLimit) wait(r *Reactor) time.Duration {
	if l.every == 0 {
		return 0
	}
	return l.full - r.Now() - l.slack
}

// take takes a token.
func (l *rateLimit) take(r *Reactor) {
	if l.every > 0 {
		l.full = max(l.full, r.Now()) + l.every
	}
}
