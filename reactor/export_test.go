package reactor

// OnLoop tells whether the caller is in a callback of r.
func OnLoop(r *Reactor) bool { return r.onLoop() }
