package reactor

import "sync/atomic"

// loopState is the life of one loop of a group. Only join, started, ended, leave and tellOver change it.
//
//	state         what there is                                        what follows
//	loopAbsent    no reactor: one is being made, the first or another  loopStarting; loopOver if none can be made
//	loopStarting  a reactor, for which Setup is called                 loopRunning; and as for loopRunning
//	loopRunning   a reactor that runs, or that Run will run            loopAbsent if it is lost and started anew, else loopEnded
//	loopEnded     a goroutine that tells Lost                          loopOver
//	loopOver      nothing
//	loopLeft      code that does not come back, left behind by a stop
//
// A loop lives while it is loopStarting or loopRunning. Only then errands are given to it.
type loopState uint8

const (
	loopAbsent loopState = iota
	loopStarting
	loopRunning
	loopEnded
	loopOver
	loopLeft
)

func (s loopState) lives() bool { return s == loopStarting || s == loopRunning }

// over tells whether a stop does not wait for the loop any more.
func (s loopState) over() bool { return s == loopOver || s == loopLeft }

// loopStop is how far the stop of the group has come with one loop.
type loopStop uint8

const (
	stopWaits    loopStop = iota // a shutdown of its reactor would be held
	stopHeld                     // its shutdown is in the phase Before until the group comes to it
	stopReleased                 // its shutdown waits for nobody else
)

// member is one place among the loops of a group. Its reactor is another one after a restart.
type member struct {
	g     *Group
	index int
	r     atomic.Pointer[Reactor]
	load  atomic.Int64 // connections, and those on their way here

	// Under Group.mu:
	state    loopState
	stop     loopStop
	hold     func() // lets a shutdown that is held go on
	restarts int
	errands  []*errand // not ended, in the order in which they were given
}

// join makes r the reactor of m. It is called on r's goroutine, or before r runs.
func (g *Group) join(m *member, r *Reactor) {
	if r.member != nil {
		panic("reactor: the loop is in a group already")
	}
	r.member = m
	g.budget.begin(r)
	g.mu.Lock()
	late := g.phase >= stopOthers // the stop has passed this loop while it was being made
	m.state, m.stop, m.hold = loopStarting, stopWaits, nil
	if late {
		m.stop = stopReleased
	}
	m.load.Store(int64(r.streams))
	m.r.Store(r)
	hears := !g.driven && g.hears == nil && !g.cut // if nobody has the signals, r takes them when it has started
	if hears {
		g.hears = r
	}
	orphans := g.orphans
	g.orphans = nil
	m.errands = append(m.errands, orphans...)
	g.mu.Unlock()
	if hears {
		r.cfg.Signals = g.cfg.Reactor.Signals
	}
	r.AddWaitTrigger(Shutdown, func(done func()) { g.stops(m, r, done) })
	r.AddTrigger(After, Shutdown, func() {
		if g.ended(m, r); g.driven {
			g.checkEnd()
		}
	})
	for range orphans {
		r.Post(func() { g.doNext(m, r) })
	}
	if late {
		r.Post(func() { _ = r.Stop() })
	}
}

// started is called when Setup has returned.
func (g *Group) started(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.state == loopStarting {
		m.state = loopRunning
	}
}

// ended follows the end of r, the reactor of m, on its goroutine, or when that is over. Only the first call counts. It decides
// whether the loop is started anew.
func (g *Group) ended(m *member, r *Reactor) {
	g.mu.Lock()
	if m.r.Load() != r || !m.state.lives() {
		g.mu.Unlock()
		return
	}
	g.fate(m)
	errands := g.takeErrands(m)
	g.mu.Unlock()
	g.budget.end(r)
	g.depart(m, r, errands)
}

// fate moves m, whose reactor is lost, has ended, or could not be made, to what follows. The caller has g.mu.
func (g *Group) fate(m *member) {
	m.hold = nil
	switch {
	case g.driven:
		m.state = loopOver
	case g.state == groupRunning && m.restarts < g.cfg.Restarts:
		m.restarts++
		m.state = loopAbsent
	default:
		m.state = loopEnded
	}
}

// leave goes on without the loop of m, whose goroutine does not come back. What that one does when it does come back, no longer counts.
func (g *Group) leave(m *member) {
	g.mu.Lock()
	if m.state.over() {
		g.mu.Unlock()
		return
	}
	lived := m.state.lives()
	m.state = loopLeft
	errands := g.takeErrands(m)
	g.mu.Unlock()
	if lived {
		g.depart(m, m.r.Load(), errands)
	}
}

// depart gives what r, the reactor of m, had of the group to others. r does not live any more.
func (g *Group) depart(m *member, r *Reactor, errands []*errand) {
	g.scarce.without(r)
	g.moveSignals(r)
	g.portsWithout(m, r)
	for _, e := range errands {
		e.endUndone()
	}
}

// moveSignals has another loop take the signals that r had.
func (g *Group) moveSignals(r *Reactor) {
	g.mu.Lock()
	if g.hears != r {
		g.mu.Unlock()
		return
	}
	g.hears = nil
	to := g.lead()
	if to == nil || g.cut { // the next that starts takes them; after a second signal nobody does
		g.mu.Unlock()
		return
	}
	g.hears = to.r.Load()
	g.mu.Unlock()
	g.give(to, nil, &errand{do: func(r *Reactor) {
		if r.cfg.Signals = g.cfg.Reactor.Signals; r.Running() {
			r.takeSignals()
		}
	}})
}

// Lead is the first loop that is not lost: what a group has one of, such as a timer of a place or the
// protocol of a port of datagrams, belongs to it. If all are lost, it is loop 0.
func (g *Group) Lead() *Reactor {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.lead(); m != nil {
		return m.r.Load()
	}
	return g.loops[0].r.Load()
}

// lead is the first member that runs, or else the first that lives; nil if none does. The caller has g.mu.
func (g *Group) lead() (first *member) {
	for _, m := range g.loops {
		switch {
		case m.state == loopRunning:
			return m
		case first == nil && m.state.lives():
			first = m
		}
	}
	return first
}

// coming tells whether a loop is being made. The caller has g.mu.
func (g *Group) coming() bool {
	for _, m := range g.loops {
		if m.state == loopAbsent {
			return g.state != groupStopped
		}
	}
	return false
}

// live are the members that live, in their order.
func (g *Group) live() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.liveLocked()
}

func (g *Group) liveLocked() (all []*member) {
	for _, m := range g.loops {
		if m.state.lives() {
			all = append(all, m)
		}
	}
	return all
}

// idle tells whether r is set up by the caller's goroutine, because it does not run. The caller has g.mu.
func (g *Group) idle(r *Reactor) bool {
	if g.driven {
		return r.is(lifeFresh)
	}
	return g.state == groupFresh
}

// directly counts n more calls in progress on loops that do not run. Who has begun one on a fresh group keeps Run, which another goroutine may call meanwhile, from
// starting the loops. The caller has g.mu.
func (g *Group) directly(n int) {
	if g.direct += n; g.direct == 0 {
		g.settled.Broadcast()
	}
}

// directlyOver follows the end of a call that directly has counted.
func (g *Group) directlyOver() {
	g.mu.Lock()
	g.directly(-1)
	g.mu.Unlock()
}

// caller is the loop whose callback is in progress on this goroutine, or whose Setup is after a restart; nil if there is none.
func (g *Group) caller() *Reactor {
	id := goroutineID()
	var mine []*Reactor
	for _, m := range g.loops {
		// One that has stopped may still have its goroutine, which calls Lost.
		if r := m.r.Load(); r != nil && r.goroutine.Load() == id && !r.is(lifeStopped) {
			if r.inTurn { // of several that are turned by one goroutine, as in a simulation, the one in progress
				return r
			}
			mine = append(mine, r)
		}
	}
	if len(mine) > 0 && insideLoop() {
		return mine[0]
	}
	return nil
}

// InOne calls fn on one loop, and returns what it returns. That is the loop whose callback is in progress on this goroutine, or else
// Lead, for which InOne waits. What a place has one of is made in it. The error is ErrStopped if that loop ends first.
func (g *Group) InOne(fn func(r *Reactor) error) error {
	here := g.caller()
	on := here
	if on == nil {
		on = g.Lead()
	}
	g.mu.Lock()
	direct := on == here || g.idle(on)
	if direct {
		g.directly(1)
	}
	g.mu.Unlock()
	if direct {
		defer g.directlyOver()
		return fn(on)
	}
	_, err := Ask(on, func() (struct{}, error) { return struct{}{}, fn(on) })
	return err
}

// Replace makes r the loop of that index, in place of one that is lost, in a group of GroupOf: the
// connections of the former one are gone, and r listens at the group's ports. It is for the
// goroutine of r, or before r runs.
func (g *Group) Replace(index int, r *Reactor) {
	if !g.driven {
		panic("reactor: Replace is for a group of GroupOf")
	}
	m := g.loops[index]
	former := m.r.Load()
	g.mu.Lock()
	lived := m.state.lives()
	m.state, m.hold = loopAbsent, nil
	errands := g.takeErrands(m)
	g.mu.Unlock()
	if lived {
		g.depart(m, former, errands)
	}
	g.join(m, r)
	g.started(m)
	g.attendAll(r)
}
