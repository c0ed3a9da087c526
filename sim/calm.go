package sim

import (
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// knobs are the fields of a Net that Options set, and Calm sets back.
type knobs struct {
	chunk, bandwidth     int
	latency              Latency
	backlog, descriptors int
	spurious, lossy      float64
	sites, resets        float64
	resolving            func(h *Host, name string) (time.Duration, error)
}

func (n *Net) knobs() knobs {
	return knobs{n.MaxChunk, n.Bandwidth, n.Latency, n.Backlog, n.MaxDescriptors, n.Spurious, n.Lossy, n.Sites, n.Resets, n.Resolving}
}

// restore leaves buffers as they are: a connection counts on the size it began with.
func (k *knobs) restore(n *Net) {
	n.MaxChunk, n.Bandwidth, n.Latency = k.chunk, k.bandwidth, k.latency
	n.Backlog, n.MaxDescriptors = k.backlog, k.descriptors
	n.Spurious, n.Lossy, n.Sites, n.Resets, n.Resolving = k.spurious, k.lossy, k.sites, k.resets, k.resolving
}

// put sets a knob if v is on.
func put[T int | float64](knob *T, v T) {
	if v > 0 {
		*knob = v
	}
}

// set sets the fields that o has a class for, and clocks.
func (x *nemesis) set(o Options) {
	n := x.n
	put(&n.MaxChunk, o.Chunk)
	if o.Latency != (Latency{}) {
		n.Latency = o.Latency
	}
	put(&n.Bandwidth, o.Bandwidth)
	put(&n.SendBuffer, o.Buffers)
	put(&n.RecvBuffer, o.Buffers)
	put(&n.Backlog, o.Backlog)
	put(&n.MaxDescriptors, o.Descriptors)
	put(&n.Spurious, o.Spurious)
	put(&n.Lossy, o.Drop)
	put(&n.Sites, o.Sites)
	put(&n.Resets, o.Resets)
	if o.Resolve > 0 {
		n.Resolving = x.resolving(o.Resolve)
	}
	if o.Skew > 0 || o.Drift > 0 {
		x.clocks(o)
	}
}

// resolving is a resolver that is slow or fails, else what was before.
func (x *nemesis) resolving(p float64) func(*Host, string) (time.Duration, error) {
	r := stream(x.n.seed, "nemesis resolve")
	before := x.before.resolving
	return func(h *Host, name string) (delay time.Duration, err error) {
		bad, fails, more := r.chance(p), r.next()&1 == 0, span(&r, time.Millisecond, 5*time.Second)
		if before != nil {
			delay, err = before(h, name)
		}
		if bad {
			delay += more
		}
		if bad && fails {
			err = fail("resolve", kernel.ErrTimeout)
		}
		return delay, err
	}
}

// clocks sets those of the hosts there are. Skew only puts them ahead: what counts is how
// they differ, and a clock that is set back would stand still first.
func (x *nemesis) clocks(o Options) {
	skews, drifts := stream(x.n.seed, "nemesis skew"), stream(x.n.seed, "nemesis drift")
	most := time.Duration(o.Drift * 1e9) // in billionths
	for _, h := range x.n.everyHost() {
		skew := before(&skews, o.Skew+1)
		drift := float64(before(&drifts, 2*most+1)-most) / 1e9
		h.SetClock(skew, drift)
		x.clocked = append(x.clocked, h)
	}
}

// rightClocks has clocks run at the right rate. They keep what they show: set back they
// would stand still until they are right, which is a fault too.
func (x *nemesis) rightClocks() {
	n := x.n
	for _, h := range x.clocked {
		n.mu.Lock()
		ahead := h.clock.at(n.now) - n.now
		n.mu.Unlock()
		h.SetClock(ahead, 0)
	}
}

// hurry frees links of what clogs them and of what bandwidth and latency put on them: what
// is under way starts again now.
func (n *Net) hurry() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.hosts {
		for _, b := range n.hosts {
			if l := n.find(a, b); l != nil {
				l.clogged, l.wire = 0, wire{}
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
}
