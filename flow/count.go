package flow

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ConnectionLimiter is the factory of LimitConnections. It is for the loop's goroutine.
type ConnectionLimiter struct {
	inner    reactor.Factory
	overflow reactor.Factory
	most     int
	live     []*counted
}

// LimitConnections returns a factory that has at most so many connections, over all ports and connectors that it is used for (POL-6).
// inner makes their protocols. Those above most get one of overflow, which says so to the client, for instance, and closes; they count
// too. With a nil overflow they are refused. A limit of one port is reactor.PortLimits. It panics if most is below 1.
func LimitConnections(inner reactor.Factory, most int, overflow reactor.Factory) *ConnectionLimiter {
	if most < 1 {
		panic("flow: LimitConnections of less than one")
	}
	return &ConnectionLimiter{inner: inner, most: most, overflow: overflow}
}

// Len is how many connections there are, those of overflow included.
func (f *ConnectionLimiter) Len() int { return len(f.live) }

// Connections returns the transports of all connections, as their protocols have them (POL-1). The slice is the caller's.
func (f *ConnectionLimiter) Connections() []reactor.Transport {
	all := make([]reactor.Transport, 0, len(f.live))
	for _, s := range f.live {
		all = append(all, s.c.link)
	}
	return all
}

// Unwrap is the inner factory, which the reactor starts and stops. It does not start overflow.
func (f *ConnectionLimiter) Unwrap() reactor.Factory { return f.inner }

// LogPrefix is the inner factory's, with " (counted)".
func (f *ConnectionLimiter) LogPrefix() string { return reactor.LogPrefixOf(f.inner) + " (counted)" }

// BuildProtocol makes a protocol of the inner factory, or of overflow.
func (f *ConnectionLimiter) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	from := f.inner
	if len(f.live) >= f.most {
		from = f.overflow
	}
	if from == nil {
		return nil
	}
	p := from.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	s := &counted{f: f}
	return s.c.start(s, p)
}

// counted is a connection of LimitConnections.
type counted struct {
	c  conn
	f  *ConnectionLimiter
	at int // in f.live
}

func (s *counted) suffix() string { return "(counted)" }

func (s *counted) made() {
	s.at = len(s.f.live)
	s.f.live = append(s.f.live, s)
}

func (s *counted) lost(err error) error {
	f := s.f
	last := len(f.live) - 1
	f.live[s.at] = f.live[last]
	f.live[s.at].at = s.at
	f.live[last] = nil
	f.live = f.live[:last]
	return err
}

func (s *counted) received(p []byte) { s.c.deliver(p) }

func (s *counted) wrote(int) {}

func (s *counted) readEnded() bool { return true }

func (s *counted) halved() {}

func (s *counted) wanted() {}

func (s *counted) gateMade() {}
