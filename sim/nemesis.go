package sim

import (
	"slices"
	"time"
)

// nemesis is what Apply set going: the faults of one Options on a network.
type nemesis struct {
	n       *Net
	before  knobs
	clocked []*Host   // whose clocks were set
	busy    []*Host   // struck by a fault that is in force
	ends    []*ending // of the faults in force, the oldest first
}

// ending ends one fault.
type ending struct{ fn func() }

// strike is one fault: how long it lasts, and what begins it. Begin returns what ends it,
// nil for a fault that is over at once or does not apply as things stand.
//
// All that is drawn for it is drawn before, so that a class draws the same whatever others do.
type strike struct {
	last  time.Duration
	begin func() (end func())
}

// Apply puts o to work from now on, on the hosts there are whenever a fault begins: it
// sets the fields of n that o has a class for, and schedules the rest. What is random in
// it comes from n's seed, from a stream for each class, so that a class does the same
// with and without others. Crash and Kill strike only hosts with a program, which
// can come back. A second Apply is a Calm first.
//
// It is for use between steps, as Partition is.
func (n *Net) Apply(o Options) {
	if n.nemesis != nil {
		n.Calm()
	}
	x := &nemesis{n: n, before: n.knobs()}
	n.nemesis = x
	x.set(o)
	for _, c := range []struct {
		name string
		rate float64
		draw func(r *random) strike
	}{
		{"clog", o.Clog, x.clog},
		{"partition", o.Partition, x.partition},
		{"oneway", o.OneWay, x.oneWay},
		{"swizzle", o.Swizzle, x.swizzle},
		{"hold", o.Hold, x.hold},
		{"crash", o.Crash, x.crash},
		{"kill", o.Kill, x.kill},
		{"pause", o.Pause, x.pause},
	} {
		if c.rate > 0 {
			x.storm(c.name, c.rate, c.draw)
		}
	}
}

// Calm ends all that Apply began: the fields it set are as before, but for the sizes of
// buffers; partitions are healed and links free, so that what is under way travels anew;
// clocks keep what they show and run at the right rate; paused hosts run, and crashed ones
// are restarted. It restarts and resumes all hosts and frees all links, whoever did
// that to them, and leaves partitions and clocks of others alone.
func (n *Net) Calm() {
	if x := n.nemesis; x != nil {
		n.nemesis = nil
		n.cancelStorms()
		for _, e := range slices.Clone(x.ends) {
			x.end(e)
		}
		x.before.restore(n)
		x.rightClocks()
	}
	for _, h := range n.everyHost() {
		if !h.Up() {
			h.Restart()
		}
		h.Resume()
	}
	n.hurry()
}

// rarest is the longest mean gap between strikes, so that times do not overflow: three years.
const rarest = 1e17

// storm has strikes happen, one after the other.
func (x *nemesis) storm(name string, rate float64, draw func(r *random) strike) {
	r := stream(x.n.seed, "nemesis "+name)
	mean := time.Duration(max(min(float64(time.Second)/rate, rarest), 1))
	gap := func() time.Duration { return before(&r, 2*mean) + 1 }
	var next func()
	next = func() {
		s := strike{}
		if len(x.n.hosts) > 0 {
			s = draw(&r)
			x.during(s.last, s.begin())
		}
		x.after(s.last+gap(), next)
	}
	x.after(gap(), next)
}

// storms marks the calls of nemeses among the events.
const storms = 1

// after is At for nemeses.
func (x *nemesis) after(d time.Duration, fn func()) {
	n := x.n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.order++
	n.schedule(n.now+d, n.order, event{what: call, epoch: storms, fn: fn})
}

// cancelStorms takes them out of the events, so that a network with nothing left to do
// is seen to have nothing left.
func (n *Net) cancelStorms() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events.remove(func(e event) bool { return e.what == call && e.epoch == storms })
}

// during has end called after d, or by Calm.
func (x *nemesis) during(d time.Duration, end func()) {
	if end == nil {
		return
	}
	e := &ending{end}
	x.ends = append(x.ends, e)
	x.after(d, func() { x.end(e) })
}

func (x *nemesis) end(e *ending) {
	if i := slices.Index(x.ends, e); i >= 0 {
		x.ends = slices.Delete(x.ends, i, i+1)
		e.fn()
	}
}

// take makes those of hosts that can be struck busy, and returns them.
func (x *nemesis) take(hosts []*Host) (taken []*Host) {
	for _, h := range hosts {
		if h.Up() && !slices.Contains(x.busy, h) {
			x.busy = append(x.busy, h)
			taken = append(taken, h)
		}
	}
	return taken
}

func (x *nemesis) release(hosts []*Host) {
	x.busy = slices.DeleteFunc(x.busy, func(h *Host) bool { return slices.Contains(hosts, h) })
}

// everyHost is a copy of the hosts there are.
func (n *Net) everyHost() []*Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.hosts)
}
