package reactor

// StartFactory counts one more use of f, and starts it and what it wraps at the first, if it is a [StartStopper]. It is
// for places that build protocols by f themselves and connect them by Attach. Listen and Dial do it by
// themselves. It is for the loop's goroutine. The error is that of f's StartFactory, and then there is no use to end.
func (r *Reactor) StartFactory(f Factory) error { return r.startFactory(f) }

// StopFactory ends a use that StartFactory has begun. At the last f is stopped. The error is that of f's StopFactory.
func (r *Reactor) StopFactory(f Factory) error { return r.stopFactory(f) }
