package flow

import (
	"sync"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ConnectionLimiter is the factory of LimitConnections. Several loops of a reactor.Group may use it if the inner factory and overflow may be
// used so.
type ConnectionLimiter struct {
	inner    reactor.Factory
	overflow reactor.Factory
	most     int
	mu       sync.Mutex
	live     []*counted
}

// LimitConnections returns a factory that has at most so many connections, over all ports and connectors that it is used for (POL-6).
// inner makes their protocols. Those above most get one of overflow, which says so to the client, for instance, and closes; they count
// too. With a nil overflow they are refused. Several loops count together; each that builds a protocol at the same moment may have one more
// connection. A limit of one port is reactor.PortLimits. It panics if most is below 1.
func LimitConnections(inner reactor.Factory, most int, overflow reactor.Factory) *ConnectionLimiter {
	if most < 1 {
		panic("flow: LimitConnections of less than one")
	}
	return &ConnectionLimiter{inner: inner, most: most, overflow: overflow}
}

// AnyLoop is what the inner factory and overflow say.
func (f *ConnectionLimiter) AnyLoop() bool {
	return anyLoop(f.inner) && (f.overflow == nil || anyLoop(f.overflow))
}

// Len is how many connections there are, those of overflow included. It may be called from any goroutine.
func (f *ConnectionLimiter) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.live)
}

// Connections returns the transports of the connections on r, as their protocols have them (POL-1). The slice is the caller's. It is for the
// goroutine of r's loop, because that is where transports may be used. To reach those of a group, call it in Group.Each or EachLater.
func (f *ConnectionLimiter) Connections(r *reactor.Reactor) []reactor.Transport {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []reactor.Transport
	for _, s := range f.live {
		if s.r == r {
			all = append(all, s.c.link)
		}
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
	if f.Len() >= f.most {
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
	r  *reactor.Reactor
	at int // in f.live; -1: it is not there, because its loop has died
}

func (s *counted) suffix() string { return "(counted)" }

func (s *counted) made() {
	f := s.f
	s.r = s.c.link.Reactor()
	lentOf(s.r).add(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.at = len(f.live)
	f.live = append(f.live, s)
}

func (s *counted) lost(err error) error {
	f := s.f
	lentOf(s.r).remove(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remove(s)
	return err
}

// remove takes s off the list. The lock is held.
func (f *ConnectionLimiter) remove(s *counted) {
	if s.at < 0 {
		return
	}
	last := len(f.live) - 1
	f.live[s.at] = f.live[last]
	f.live[s.at].at = s.at
	f.live[last] = nil
	f.live = f.live[:last]
	s.at = -1
}

// died uncounts the connections of r.
func (f *ConnectionLimiter) died(r *reactor.Reactor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.live) - 1; i >= 0; i-- { // what takes the place of one that is removed was looked at
		if s := f.live[i]; s.r == r {
			f.remove(s)
		}
	}
}

func (s *counted) received(p []byte) { s.c.deliver(p) }

func (s *counted) wrote(int) {}

func (s *counted) readEnded() bool { return true }

func (s *counted) halved() {}

func (s *counted) wanted() {}

func (s *counted) gateMade() {}
