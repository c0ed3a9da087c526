package reactor

import (
	"maps"
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
	open    int                  // connections that are not lost
	held    int                  // places that are reserved
	ofPeer  map[netip.Prefix]int // connections of each peer, if MaxPerPeer limits them
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

// sharedPart is what one loop has of the counts, for its loss. It is under the lock of sharedLimits.
type sharedPart struct {
	open, held int
	ofPeer     map[netip.Prefix]int
	gone       bool // the loop has ended, and what it had was given back
}

// now is the time for the rate. The clocks of kernels have origins of their own, so a loop whose clock is behind what another one has
// seen goes by that. At its first question the others may have been quiet for long: then it is corrected when one of them asks.
func (s *sharedLimits) now(l *portLimiter) time.Duration {
	t := l.r.Now()
	if !l.aligned || t+l.offset < s.latest {
		l.aligned, l.offset = true, s.latest-t
	}
	s.latest = t + l.offset
	return s.latest
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
	full := s.MaxConnections > 0 && s.open+s.held >= s.MaxConnections && !s.RefuseExcess
	if full && wait && !slices.Contains(s.waiting, l) {
		s.waiting = append(s.waiting, l)
	}
	return full
}

// reserve takes a place for l, and a token of the rate. It returns false if there are none.
func (s *sharedLimits) reserve(l *portLimiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.MaxConnections > 0 && s.open+s.held >= s.MaxConnections && !s.RefuseExcess {
		return false
	}
	if s.rate.every > 0 {
		now := s.now(l)
		if s.rate.full-now-s.rate.slack > 0 {
			return false
		}
		s.rate.full = max(s.rate.full, now) + s.rate.every
	}
	s.held++
	l.mine.held++
	return true
}

// passing tells whether a place is reserved, and either used or given back soon.
func (s *sharedLimits) passing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held > 0 && (s.MaxConnections <= 0 || s.open < s.MaxConnections)
}

// release gives a place back that nobody has taken, and its token.
func (s *sharedLimits) release(l *portLimiter) {
	s.mu.Lock()
	s.unhold(l)
	s.rate.full -= s.rate.every
	s.wake()
}

func (s *sharedLimits) unhold(l *portLimiter) {
	if !l.mine.gone {
		s.held--
		l.mine.held--
	}
}

// refusal counts a connection of peer, for which l has a place, or says which limit it exceeds. The place is given back then.
func (s *sharedLimits) refusal(l *portLimiter, peer netip.Prefix) (err error) {
	s.mu.Lock()
	switch {
	case s.MaxPerPeer > 0 && peer.IsValid() && s.ofPeer[peer] >= s.MaxPerPeer:
		err = ErrTooManyOfPeer
	case s.MaxConnections > 0 && s.open >= s.MaxConnections:
		err = ErrTooManyConnections
	}
	if err != nil {
		s.unhold(l)
		s.rate.full -= s.rate.every
		s.wake()
		return err
	}
	s.unhold(l)
	s.count(l, peer, 1)
	s.mu.Unlock()
	return nil
}

// add counts a connection of l that no limit refuses.
func (s *sharedLimits) add(l *portLimiter, peer netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(l, peer, 1)
}

// move counts a connection of from as one of to.
func (s *sharedLimits) move(from, to *portLimiter, peer netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(from, peer, -1)
	s.count(to, peer, 1)
}

// lost counts a connection of l no more. Loops at which clients wait for that are told.
func (s *sharedLimits) lost(l *portLimiter, peer netip.Prefix) {
	s.mu.Lock()
	s.count(l, peer, -1)
	s.wake()
}

// forget gives back all that l has, whose loop has ended, perhaps without a word.
func (s *sharedLimits) forget(l *portLimiter) {
	s.mu.Lock()
	m := &l.mine
	s.open -= m.open
	s.held -= m.held
	for _, peer := range slices.SortedFunc(maps.Keys(m.ofPeer), netip.Prefix.Compare) {
		s.countPeer(peer, -m.ofPeer[peer])
	}
	*m = sharedPart{gone: true}
	s.wake()
}

// count adds n connections of l.
func (s *sharedLimits) count(l *portLimiter, peer netip.Prefix, n int) {
	m := &l.mine
	if m.gone {
		return
	}
	s.open += n
	m.open += n
	if !peer.IsValid() {
		return
	}
	s.countPeer(peer, n)
	if m.ofPeer == nil {
		m.ofPeer = map[netip.Prefix]int{}
	}
	if m.ofPeer[peer] += n; m.ofPeer[peer] == 0 {
		delete(m.ofPeer, peer)
	}
}

func (s *sharedLimits) countPeer(peer netip.Prefix, n int) {
	if s.ofPeer[peer] += n; s.ofPeer[peer] <= 0 {
		delete(s.ofPeer, peer)
	}
}

// wake unlocks s, and then tells the loops at which clients wait that there may be room.
func (s *sharedLimits) wake() {
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
