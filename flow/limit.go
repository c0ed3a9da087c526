package flow

import (
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
// for one rate are let through one at a time, the one that has passed least first, so they share it evenly by bytes.
//
// The factory belongs to one loop, since its connections share rates. Within TLS it counts what the application sees; around
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
	live        int
	groups      map[string]*limitGroup
	read, write *bucket // of all; nil without a connection
}

// limitGroup has the buckets of a group, while it has connections.
type limitGroup struct {
	live        int
	read, write *bucket
}

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
	reason      error // a panic of the producer, for which we have aborted the connection
}

func (s *limited) suffix() string { return "(limited)" }

func (s *limited) made() {
	f, r := s.f, s.c.link.Reactor()
	if f.live++; f.live == 1 { // also for connections on another reactor, after the last one
		f.read, f.write = newBucket(r, f.o.TotalRead), newBucket(r, f.o.TotalWrite)
	}
	g := s.join(r)
	s.read.init(s.passRead, newBucket(r, f.o.Read), g.read, f.read)
	s.write.init(s.passWrite, newBucket(r, f.o.Write), g.write, f.write)
	s.c.gated = s.write.limited
	if g != (limitGroup{}) {
		AwaitProxy(s.c.below(), s.regroup)
	}
}

// regroup counts the connection for the group of the client that a proxy has named.
func (s *limited) regroup() {
	r := s.c.link.Reactor()
	s.leave()
	g := s.join(r)
	s.read.exchange(1, g.read, r.Now())
	s.write.exchange(1, g.write, r.Now())
}

// leave uncounts the connection for its group.
func (s *limited) leave() {
	if g := s.f.groups[s.group]; g != nil {
		if g.live--; g.live == 0 {
			delete(s.f.groups, s.group)
		}
	}
}

// join counts the connection for its group.
func (s *limited) join(r *reactor.Reactor) limitGroup {
	f := s.f
	if f.o.GroupRead.PerSecond <= 0 && f.o.GroupWrite.PerSecond <= 0 {
		return limitGroup{}
	}
	s.group = f.o.Group(s.c.link.Remote())
	g := f.groups[s.group]
	if g == nil {
		g = &limitGroup{read: newBucket(r, f.o.GroupRead), write: newBucket(r, f.o.GroupWrite)}
		f.groups[s.group] = g
	}
	g.live++
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
	f := s.f
	s.read.leave()
	s.write.leave()
	f.live--
	s.leave()
	if s.reason != nil {
		return s.reason
	}
	return err
}
