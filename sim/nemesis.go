package sim

import (
	"slices"
	"time"
)

// nemesis runs the faults of one Apply on a network.
type nemesis struct {
	n       *Net
	before  Options   // Net.Options before Apply
	clocked []*Host   // whose clocks were set
	busy    []*Host   // with a fault in force
	ends    []*ending // of the faults in force, the oldest first
	rolls   bool      // hosts are restarted one after another
}

// ending ends one fault. It is a pointer in nemesis.ends, because functions have no ==.
type ending struct{ fn func() }

// fault is one fault that was drawn. Everything random about it is drawn before begin is
// called, so that a class draws the same whatever the others do.
type fault struct {
	lasts time.Duration
	begin func() (end func()) // end is nil if nothing is left to end
}

// Apply puts n.Options to work, with o laid over them: a class that is on in o replaces
// that of n.Options until [Net.Calm]. Clocks are set now; faults that come at a rate are
// scheduled, and choose among the hosts there are when they begin. Crash, Kill,
// Stop and Rolling choose only hosts with a program, because only those can come back.
//
// Each class draws from a random stream of its own, made from the network's seed. So a
// class does the same with and without the others. A second Apply calls Calm first.
//
// Call it between steps, as Partition. Changes that are made to n.Options between Apply and
// Calm are lost in Calm, except the sizes of buffers.
func (n *Net) Apply(o Options) {
	if n.nemesis != nil {
		n.Calm()
	}
	x := &nemesis{n: n, before: n.Options}
	n.nemesis = x
	o = o.over(n.Options)
	n.Options, n.lookups = o, stream(n.seed, "nemesis resolve")
	if o.Skew > 0 || o.Drift > 0 {
		x.clocks(o)
	}
	for _, c := range []struct {
		name string
		rate float64
		draw func(r *random) fault
	}{
		{"clog", o.Clog, x.clog},
		{"partition", o.Partition, x.partition},
		{"oneway", o.OneWay, x.oneWay},
		{"swizzle", o.Swizzle, x.swizzle},
		{"hold", o.Hold, x.hold},
		{"crash", o.Crash, x.crash},
		{"kill", o.Kill, x.kill},
		{"killchild", x.onlyWithPrograms(o.KillChild), x.killChild},
		{"stop", o.Stop, x.stop},
		{"rolling", o.Rolling, x.rolling},
		{"pause", o.Pause, x.pause},
		{"jump", o.Jump, x.jump},
	} {
		if c.rate > 0 {
			x.recur(c.name, c.rate, c.draw)
		}
	}
}

// Calm ends everything that Apply began:
//
//   - n.Options are as before, except the sizes of buffers;
//   - its partitions and holds are healed;
//   - all links are freed of clogs, and what is under way is sent again;
//   - clocks keep the time they show and run at the right rate;
//   - all hosts run: paused ones are resumed, crashed ones are restarted.
//
// Hosts and links are freed whoever stopped them. Partitions and clocks that the caller
// has set stay as they are.
func (n *Net) Calm() {
	if x := n.nemesis; x != nil {
		n.nemesis = nil
		n.cancelFaults()
		for _, e := range slices.Clone(x.ends) {
			x.end(e)
		}
		x.restore()
		x.rightClocks()
	}
	for _, h := range n.everyHost() {
		if !h.Up() {
			h.Restart()
		}
		h.Resume()
	}
	n.freeLinks()
}

// restore sets the options back, but for the sizes of buffers: a connection keeps the
// size it began with.
func (x *nemesis) restore() {
	o := x.before
	o.SendBuffer, o.RecvBuffer = x.n.Options.SendBuffer, x.n.Options.RecvBuffer
	x.n.Options = o
}

// rarest is the longest mean gap between faults: three years. Longer ones would overflow.
const rarest = 1e17

// recur makes the faults of a class happen, one after the other.
func (x *nemesis) recur(name string, rate float64, draw func(r *random) fault) {
	r := stream(x.n.seed, "nemesis "+name)
	mean := time.Duration(max(min(float64(time.Second)/rate, rarest), 1))
	gap := func() time.Duration { return before(&r, 2*mean) + 1 }
	var next func()
	next = func() {
		f := fault{}
		if len(x.n.hosts) > 0 {
			f = draw(&r)
			x.during(f.lasts, f.begin())
		}
		x.after(f.lasts+gap(), next)
	}
	x.after(gap(), next)
}

// nemesisCall is the epoch of events that a nemesis has scheduled; those of [Net.At] have 0.
const nemesisCall = 1

// after is At for nemeses.
func (x *nemesis) after(d time.Duration, fn func()) {
	n := x.n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.order++
	n.schedule(n.now+d, n.order, event{what: call, epoch: nemesisCall, fn: fn})
}

// cancelFaults removes the nemesis's calls from the events. If it left them, a network with
// nothing else to do would not be seen to be idle.
func (n *Net) cancelFaults() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events.remove(func(e event) bool { return e.what == call && e.epoch == nemesisCall })
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

// take marks as busy those of hosts that are up and not busy, and returns them.
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
