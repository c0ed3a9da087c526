package flow

import (
	"log/slog"
	"sync"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// LimitOptions say how many bytes may pass. Read is what the connections receive, and Write what they send, both as the protocols
// see it. A connection goes on when all rates that are for it allow it.
type LimitOptions struct {
	// Read and Write are for each connection.
	Read, Write Rate
	// GroupRead and GroupWrite are for the connections of a group together.
	GroupRead, GroupWrite Rate
	// Group returns the group of a peer, such as its customer. Nil: those of one reactor.PeerOf are a group, an IPv4 address or an
	// IPv6 /64. Behind a proxy (ReadProxy around LimitRate) it is called again when the header has named the client.
	Group func(peer kernel.Addr) string
	// TotalRead and TotalWrite are for all connections of the factory together.
	TotalRead, TotalWrite Rate
}

// LimitRate returns a factory whose connections pass no more bytes than o allows (POL-5). inner makes the protocols above.
//
// Reading is limited by pausing it, so that the peer's writes wait in the end. Writing is limited by pausing the registered producer;
// what is written without one is counted, and never held back. Over time the rates are exact: at any moment a burst, and for each connection one read or
// one write, may be ahead. One read is at most reactor.Config.ReadBuffer, so choose that small if a rate is. Those who wait
// for one rate are let through one at a time, the one that has passed least first, so they share it evenly by bytes. A connection that
// comes while they are exceeded waits with its first read, but not with its first write.
//
// Rates of groups and of all belong to one loop at a time. While it has connections, those of another one are aborted: their protocols get
// ErrSeveralLoops, and the log says it once. Give each loop of a reactor.Group a factory of its own then, with its part of the rates. Rates for each connection alone are for
// any loops for which inner is. Within TLS it counts what the application sees; around
// tlsio.Server it counts ciphertext.
func LimitRate(inner reactor.Factory, o LimitOptions) reactor.Factory {
	if o.Group == nil {
		o.Group = func(peer kernel.Addr) string { return reactor.PeerOf(peer).String() }
	}
	return &limiter{inner: inner, o: o, groups: make(map[string]*limitGroup)}
}

// limiter is the factory of LimitRate.
type limiter struct {
	inner       reactor.Factory
	o           LimitOptions
	groups      map[string]*limitGroup
	owing       []string // groups that were in debt when they lost their last connection
	read, write *bucket  // of all; nil before the first connection
	owner       limitOwner
}

// limitOwner tells which loop the shared rates belong to.
type limitOwner struct {
	mu   sync.Mutex
	r    *reactor.Reactor // of the last connection
	live int
	told bool // the log has a refusal
}

// add counts a connection. It tells whether the rates have come to another loop, or the connection may not be, and whether the log is to
// say so.
func (w *limitOwner) add(r *reactor.Reactor) (moved, refused, tell bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.live > 0 && w.r != r {
		tell, w.told = !w.told, true
		return false, true, tell
	}
	moved = w.r != r
	w.r = r
	w.live++
	return moved, false, false
}

// remove uncounts it. What the loop has done with the rates before is done for the next owner.
func (w *limitOwner) remove(r *reactor.Reactor) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.r == r { // otherwise r's loop has died
		w.live--
	}
}

// died lets the rates go to another loop, because r's has died with all of its connections. They begin anew there.
func (f *limiter) died(r *reactor.Reactor) {
	w := &f.owner
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.r == r {
		w.r, w.live = nil, 0
	}
}

// shared tells whether connections share rates.
func (o *LimitOptions) shared() bool {
	return o.GroupRead.PerSecond > 0 || o.GroupWrite.PerSecond > 0 || o.TotalRead.PerSecond > 0 || o.TotalWrite.PerSecond > 0
}

// AnyLoop is what inner says, if no rates are shared.
func (f *limiter) AnyLoop() bool { return !f.o.shared() && anyLoop(f.inner) }

// limitGroup has the buckets of a group, while it has connections. After that a group in debt is kept until the debt is paid, because
// otherwise its next connection would begin without it.
type limitGroup struct {
	live        int
	owing       bool // it is in limiter.owing
	read, write *bucket
}

// owes tells whether the group is in debt.
func (g *limitGroup) owes(now time.Duration) bool { return g.read.owes(now) || g.write.owes(now) }

// Unwrap is the inner factory, which the reactor starts and stops.
func (f *limiter) Unwrap() reactor.Factory { return f.inner }

// LogPrefix is the inner factory's, with " (limited)".
func (f *limiter) LogPrefix() string { return reactor.LogPrefixOf(f.inner) + " (limited)" }

func (f *limiter) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.inner.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	s := &limited{f: f}
	return s.c.start(s, p)
}

// limited is a connection of LimitRate.
type limited struct {
	c           conn
	f           *limiter
	read, write side
	group       string
	grouped     bool  // it is counted for group
	counted     bool  // it shares rates
	reason      error // for which we have aborted the connection: a panic of the producer, or ErrSeveralLoops
}

func (s *limited) suffix() string { return "(limited)" }

func (s *limited) made() {
	f, r := s.f, s.c.link.Reactor()
	var g, all limitGroup
	if f.o.shared() {
		moved, refused, tell := f.owner.add(r)
		if refused {
			s.refuse(tell)
			return
		}
		if moved { // there is no connection, and what the other loop's clock says means nothing here
			f.read, f.write = newBucket(r, f.o.TotalRead), newBucket(r, f.o.TotalWrite)
			f.groups, f.owing = make(map[string]*limitGroup), nil
		}
		s.counted = true
		lentOf(r).add(f)
		g, all = s.join(r), limitGroup{read: f.read, write: f.write}
	}
	s.read.init(s.passRead, newBucket(r, f.o.Read), g.read, all.read)
	s.write.init(s.passWrite, newBucket(r, f.o.Write), g.write, all.write)
	s.c.gated = s.write.limited
	s.begin(r.Now())
	if g != (limitGroup{}) {
		AwaitProxy(s.c.below(), s.regroup)
	}
}

// begin has the connection wait with its first read if others have exceeded a rate that it shares. The first write is not held back,
// because a producer may begin to produce when it has registered itself.
func (s *limited) begin(now time.Duration) {
	if s.read.waiting == nil && s.read.blocked(now) {
		s.c.hold(holdPolicy)
	}
}

// refuse ends a connection of a loop that the rates do not belong to.
func (s *limited) refuse(tell bool) {
	s.reason = ErrSeveralLoops
	if tell {
		s.c.link.Reactor().Logger().Error("connections of a loop are aborted", slog.String("factory", s.f.LogPrefix()), slog.Any("err", ErrSeveralLoops))
	}
	s.c.below().Abort()
}

// regroup counts the connection for the group of the client that a proxy has named.
func (s *limited) regroup() {
	r := s.c.link.Reactor()
	s.leave()
	g := s.join(r)
	now := r.Now()
	s.read.exchange(1, g.read, now)
	s.write.exchange(1, g.write, now)
	s.begin(now)
}

// leave uncounts the connection for its group.
func (s *limited) leave() {
	if !s.grouped {
		return // or Group has panicked
	}
	s.grouped = false
	f := s.f
	g := f.groups[s.group]
	switch g.live--; {
	case g.live > 0, g.owing:
	case g.owes(s.c.link.Reactor().Now()):
		g.owing = true
		f.owing = append(f.owing, s.group)
	default:
		delete(f.groups, s.group)
	}
}

// forget drops groups without connections whose debt is paid. It looks at two of those that were in debt each time that a connection
// joins a group. So it needs no timer, and no more groups are kept than are in debt, and a few.
func (f *limiter) forget(now time.Duration) {
	for range min(2, len(f.owing)) {
		name := f.owing[0]
		f.owing = f.owing[1:]
		g := f.groups[name]
		switch {
		case g.live > 0:
			g.owing = false
		case g.owes(now):
			f.owing = append(f.owing, name)
		default:
			delete(f.groups, name)
		}
	}
}

// join counts the connection for its group.
func (s *limited) join(r *reactor.Reactor) limitGroup {
	f := s.f
	if f.o.GroupRead.PerSecond <= 0 && f.o.GroupWrite.PerSecond <= 0 {
		return limitGroup{}
	}
	f.forget(r.Now())
	s.group = f.o.Group(s.c.link.Remote())
	g := f.groups[s.group]
	if g == nil {
		g = &limitGroup{read: newBucket(r, f.o.GroupRead), write: newBucket(r, f.o.GroupWrite)}
		f.groups[s.group] = g
	}
	g.live++
	s.grouped = true
	return *g
}

func (s *limited) received(p []byte) {
	if s.read.limited && s.read.took(len(p), s.c.link.Reactor().Now()) {
		s.c.hold(holdPolicy)
	}
	s.c.deliver(p)
}

// passRead is called when reading may go on.
func (s *limited) passRead() { s.c.release(holdPolicy) }

func (s *limited) wrote(n int) {
	if n > 0 && s.write.limited && s.c.inner != nil && s.write.took(n, s.c.link.Reactor().Now()) {
		if g := s.c.gate; g != nil {
			g.set(&g.policy, true)
		}
	}
}

// passWrite is called when writing may go on.
func (s *limited) passWrite() {
	g := s.c.gate
	if g == nil {
		return
	}
	if e := s.c.link.Reactor().Guard(s.c.inner, func() { g.set(&g.policy, false) }); e != nil {
		s.reason = e
		s.c.below().Abort()
	}
}

// gateMade pauses a producer that is registered while the rate is exceeded.
func (s *limited) gateMade() {
	if g := s.c.gate; s.write.waiting != nil {
		g.set(&g.policy, true)
	}
}

func (s *limited) halved() {}

func (s *limited) wanted() {}

func (s *limited) readEnded() bool { return true }

func (s *limited) lost(err error) error {
	s.read.leave()
	s.write.leave()
	if s.counted {
		s.leave()
		r := s.c.link.Reactor()
		lentOf(r).remove(s.f)
		s.f.owner.remove(r)
	}
	if s.reason != nil {
		return s.reason
	}
	return err
}
