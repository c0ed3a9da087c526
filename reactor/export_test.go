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

// HoldPlace takes a place of the limits of p for the loop of that index, as that does before it accepts.
func HoldPlace(p *GroupPort, index int) (release func()) {
	l := p.portOf(index).limits
	if !p.limits.reserve(l) {
		panic("there is no place")
	}
	return func() { p.limits.release(l) }
}

// TakeBudget has r take as much of MaxBufferedTotal of its group as it can, and returns it in chunks.
func TakeBudget(r *Reactor) int {
	held := r.chunks.Held
	r.chunks.Held = 1 << 30
	r.member.g.budget.grow(r)
	r.chunks.Held = held
	return r.maxChunks
}

// BudgetOf is how much of MaxBufferedTotal of its group r has, in chunks.
func BudgetOf(r *Reactor) int { return r.maxChunks }

// Shortage has r's port p, of a group, find no descriptor. Scarce tells whether other loops take turns in accepting.
func Shortage(p *GroupPort, index int) { p.portOf(index).shortage()() }

// Scarce is described by Shortage.
func Scarce(g *Group) bool { return g.scarce.now.Load() }

// PartClosed tells whether the loop of that index has stopped its part of p.
func PartClosed(p *GroupPort, index int) bool {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	return p.parts[index].state == partClosed
}

// PartPaused tells whether the part of p on the loop of that index pauses. It is called on that loop.
func PartPaused(p *GroupPort, index int) bool { return p.portOf(index).paused }
