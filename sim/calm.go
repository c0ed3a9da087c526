package sim

import (
	"slices"
	"time"
)

// clocks sets the clocks of the hosts there are. Skew only puts them ahead: only the
// difference between clocks matters, and a clock that is set back would stand still first.
func (x *nemesis) clocks(o Options) {
	skews, drifts := stream(x.n.seed, "nemesis skew"), stream(x.n.seed, "nemesis drift")
	most := time.Duration(max(o.Drift, 0) * 1e9) // in billionths
	for _, h := range x.n.everyHost() {
		skew := before(&skews, max(o.Skew, 0)+1)
		drift := float64(before(&drifts, 2*most+1)-most) / 1e9
		h.SetClock(skew, drift)
		x.clocked = append(x.clocked, h)
	}
}

// rightClocks makes clocks run at the right rate. They keep the time they show: a clock
// that is set back stands still until it is right, which is a fault too.
func (x *nemesis) rightClocks() {
	n := x.n
	slices.SortFunc(x.clocked, func(a, b *Host) int { return a.id - b.id })
	for _, h := range slices.Compact(x.clocked) {
		n.mu.Lock()
		ahead := h.clock.at(n.now) - n.now
		n.mu.Unlock()
		h.SetClock(ahead, 0)
	}
}

// freeLinks removes clogs, and what bandwidth and latency have delayed: segments under
// way are sent again now.
func (n *Net) freeLinks() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.hosts {
		for _, b := range n.hosts {
			if l := n.find(a, b); l != nil {
				l.clogged, l.wire, l.arrival = 0, wire{}, 0
			}
		}
	}
	seen := map[*half]bool{}
	for _, node := range n.events.all() {
		e := node.Value
		f := e.flow
		if e.what != arrive || e.epoch != f.epoch || seen[f] {
			continue
		}
		seen[f] = true
		for i := range f.queue[f.first:] {
			f.queue[f.first+i].left = 0
		}
		f.resend()
	}
	n.air.hurry()
}
