package reactor

import "time"

// OnLoop tells whether the caller is in a callback of r.
func OnLoop(r *Reactor) bool { return r.onLoop() }

// SharedPlaces is a count that loops share, of most connections, as r's loop uses it.
func SharedPlaces(r *Reactor, most int) (reserve func() bool, lost func()) {
	s := newSharedLimits(PortLimits{MaxConnections: most})
	l := newPortLimiter(r, s.PortLimits)
	return func() bool { return s.reserve(l) }, func() { s.release(l) }
}

// Asked is how many errands of g the loop of that index has not ended.
func Asked(g *Group, index int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.loops[index].errands)
}

// SetComeBack sets how long a stop that waits no longer lets a loop of g come back from a callback.
func SetComeBack(g *Group, d time.Duration) { g.comeBack = d }
