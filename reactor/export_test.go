package reactor

// OnLoop tells whether the caller is in a callback of r.
func OnLoop(r *Reactor) bool { return r.onLoop() }

// SharedPlaces is a count that loops share, of most connections, as r's loop uses it.
func SharedPlaces(r *Reactor, most int) (reserve func() bool, lost func()) {
	s := newSharedLimits(PortLimits{MaxConnections: most})
	l := newPortLimiter(r, s.PortLimits)
	return func() bool { return s.reserve(l) }, func() { s.release(l) }
}
