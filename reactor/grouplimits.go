package reactor

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// sharedLimits counts for the ports of several loops that are one place. Each of these has a portLimiter of its own, with
// the ports of that loop that wait. Its lock is taken when a connection is accepted or lost.
//
// Two loops must not both take the last place, so a port takes it before it accepts (reserve), and gives it back if nobody
// was there (release).
type sharedLimits struct {
	PortLimits
	mu      sync.Mutex
	open    int                  // connections that are not lost, and places that are reserved
	ofPeer  map[netip.Prefix]int // those of each peer, if MaxPerPeer limits them
	rate    rateLimit            // by the clock of now
	waiting []*portLimiter       // of loops at which clients wait
	latest  time.Duration        // that now has returned
}

// newSharedLimits returns nil if nothing is limited.
func newSharedLimits(o PortLimits) *sharedLimits {
	if o.MaxConnections <= 0 && o.MaxPerPeer <= 0 && o.AcceptRate <= 0 {
		return nil
	}
	return &sharedLimits{PortLimits: o, ofPeer: map[netip.Prefix]int{}, rate: newRateLimit(o.AcceptRate, o.AcceptBurst)}
}

// now is the time for the rate. The clocks of kernels have origins of their own: the first time that a loop
// asks counts as the latest that another one has seen.
func (s *sharedLimits) now(l *portLimiter) time.Duration {
	t := l.r.Now()
	if !l.aligned {
		l.aligned, l.offset = true, s.latest-t
	}
	s.latest = max(s.latest, t+l.offset)
	return t + l.offset
}

// rateWait is how long l must wait for the rate.
func (s *sharedLimits) rateWait(l *portLimiter) time.Duration {
	if s.rate.every == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rate.full - s.now(l) - s.rate.slack
}

// full tells whether MaxConnections are open. If wait, l is told when one is lost.
func (s *sharedLimits) full(l *portLimiter, wait bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.MaxConnections > 0 && s.open >= s.MaxConnections && !s.RefuseExcess
	if full && wait && !slices.Contains(s.waiting, l) {
		s.waiting = append(s.waiting, l)
	}
	return full
}

// reserve takes a place and a token of the rate. It returns false if there are none.
func (s *sharedLimits) reserve(l *portLimiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MaxConnections > 0 && s.open >= s.MaxConnections && !s.RefuseExcess {
		return false
	}
	if s.rate.every > 0 {
		now := s.now(l)
		if s.rate.full-now-s.rate.slack > 0 {
			return false
		}
		s.rate.full = max(s.rate.full, now) + s.rate.every
	}
	s.open++
	return true
}

// release gives a place back that nobody has taken, and its token.
func (s *sharedLimits) release() {
	s.mu.Lock()
	s.rate.full -= s.rate.every
	s.mu.Unlock()
	s.lost(netip.Prefix{})
}

// refusal counts a connection of peer, which has a place, or says which limit it exceeds. Then it has no place any more.
func (s *sharedLimits) refusal(peer netip.Prefix) (err error) {
	s.mu.Lock()
	switch {
	case s.MaxPerPeer > 0 && peer.IsValid() && s.ofPeer[peer] >= s.MaxPerPeer:
		err = ErrTooManyOfPeer
	case s.MaxConnections > 0 && s.open > s.MaxConnections:
		err = ErrTooManyConnections
	case peer.IsValid():
		s.ofPeer[peer]++
	}
	s.mu.Unlock()
	if err != nil {
		s.release()
	}
	return err
}

// add counts a connection that no limit refuses.
func (s *sharedLimits) add(peer netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	if peer.IsValid() {
		s.ofPeer[peer]++
	}
}

// lost counts a connection no more. Loops at which clients wait for that are told.
func (s *sharedLimits) lost(peer netip.Prefix) {
	s.mu.Lock()
	s.open--
	if peer.IsValid() {
		if s.ofPeer[peer]--; s.ofPeer[peer] <= 0 {
			delete(s.ofPeer, peer)
		}
	}
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, l := range waiting {
		l.r.Post(l.goOn)
	}
}

// peers is how many peers have connections, if MaxPerPeer limits them.
func (s *sharedLimits) peers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ofPeer)
}

// peerIf is the peer of c for s.
func peerIf(s *sharedLimits, c kernel.Conn) netip.Prefix {
	if s.MaxPerPeer <= 0 {
		return netip.Prefix{}
	}
	return PeerOf(c.Remote())
}
