package reactor

import "strings"

// StandIn calls fn, on a goroutine on which callbacks run while the loop's own goroutine waits for it: that of a coroutine. Inside fn, as
// in a callback on the loop's goroutine, [Ask] panics instead of waiting for ever. That holds also if it asks another reactor that
// has had stand-ins: the stack does not tell them apart, and to wait for another loop would stop this one.
//
//go:noinline
func (r *Reactor) StandIn(fn func()) {
	r.standIns.Store(true)
	fn()
}

// standsIn tells whether the caller is inside StandIn.
func (r *Reactor) standsIn() bool {
	return r.standIns.Load() && inside(func(function string) bool {
		return strings.HasSuffix(function, "reactor.(*Reactor).StandIn")
	})
}
