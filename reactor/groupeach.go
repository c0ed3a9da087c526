package reactor

import (
	"errors"
	"slices"
	"sync"
)

// Each calls fn on each loop that lives, on all of them at a time, and waits until all have returned (GROUP-4). The
// error joins the [*LoopError] of each that has failed; a panic is a [*PanicError], and a loop that ends before fn has
// returned is ErrStopped, also one that a stop has left behind. Before Run, fn is called on the caller's goroutine, one loop after the other in
// their order.
//
// Each waits for the loops, so it panics in a callback of one of them, and in a coroutine: use [Group.EachLater] there. In the Setup of a loop that is
// started anew it leaves out those for which Setup is in progress too.
func (g *Group) Each(fn func(r *Reactor) error) error {
	mustCall("Each", fn != nil)
	here := g.caller()
	if here != nil && !g.settingUp(here) || here == nil && g.standsIn() {
		panic("reactor: Each in a callback of a loop of the group: the loop cannot answer while it waits; use EachLater")
	}
	answered := make(chan error, 1)
	g.ask(fn, here, func(err error) { answered <- err })
	return <-answered
}

// standsIn tells whether the caller stands in for a loop.
func (g *Group) standsIn() bool {
	return slices.ContainsFunc(g.loops, func(m *member) bool {
		r := m.r.Load()
		return r != nil && r.standsIn()
	})
}

// settingUp tells whether Setup is in progress for r, or r does not run yet.
func (g *Group) settingUp(r *Reactor) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return r.member.state == loopStarting || g.idle(r)
}

// EachLater is Each without waiting. done is called with what Each returns, on one of the loops, never before
// EachLater returns unless the group does not run yet. If all loops have ended it is called at once, on the caller's
// goroutine. A nil done is not called.
func (g *Group) EachLater(fn func(r *Reactor) error, done func(error)) {
	mustCall("EachLater", fn != nil)
	g.ask(fn, nil, func(err error) {
		if done == nil {
			return
		}
		g.giveAny(&errand{do: func(*Reactor) { done(err) }, ended: func(how errandEnd) {
			if how == errandNever {
				done(err)
			}
		}})
	})
}

// ask is an Each under way.
type ask struct {
	mu   sync.Mutex
	left int
	errs []error // by index
	done func(error)
}

// ask has fn called on each loop, and done with all errors, on the goroutine of the last that answers. here is the loop in whose Setup that is.
func (g *Group) ask(fn func(*Reactor) error, here *Reactor, done func(error)) {
	a := &ask{errs: make([]error, len(g.loops)), done: done}
	all := g.live()
	if here != nil {
		all = slices.DeleteFunc(all, func(m *member) bool {
			r := m.r.Load()
			return r != here && g.settingUp(r)
		})
	}
	if a.left = len(all); a.left == 0 {
		done(ErrStopped)
		return
	}
	for _, m := range all {
		var err error
		if !g.give(m, here, &errand{
			do: func(r *Reactor) {
				_, err = protect(r, askedFunction, func() (struct{}, error) { return struct{}{}, fn(r) })
			},
			ended: func(how errandEnd) {
				if how == errandDone {
					a.answer(m.index, err)
				} else {
					a.answer(m.index, ErrStopped)
				}
			},
		}) {
			a.answer(m.index, ErrStopped)
		}
	}
}

// answer takes the answer of one loop.
func (a *ask) answer(index int, err error) {
	a.mu.Lock()
	if err != nil {
		a.errs[index] = &LoopError{Loop: index, Err: err}
	}
	a.left--
	last := a.left == 0
	a.mu.Unlock()
	if last {
		a.done(errors.Join(a.errs...))
	}
}

// PostAll posts fn to each loop that lives, as [Reactor.Post] does, and returns to how many. It never calls fn itself.
func (g *Group) PostAll(fn func(r *Reactor)) (posted int) {
	mustCall("PostAll", fn != nil)
	for _, m := range g.live() {
		if post(m.r.Load(), fn) {
			posted++
		}
	}
	return posted
}

// PostTo posts fn to the loop of that index, which must be at least 0 and below Len. It returns false if that has
// stopped, or is lost. What belongs to one loop, such as a part of a table, is reached by it from the
// others: two functions that one loop posts to another are called in the order of posting.
func (g *Group) PostTo(index int, fn func(r *Reactor)) bool {
	mustCall("PostTo", fn != nil)
	return post(g.loops[index].r.Load(), fn)
}

// PostLeast posts fn to the loop that has the fewest connections now. It returns false if all loops have stopped.
func (g *Group) PostLeast(fn func(r *Reactor)) bool {
	mustCall("PostLeast", fn != nil)
	for range g.loops { // one may end meanwhile
		m := g.least()
		if m == nil {
			return false
		}
		if post(m.r.Load(), fn) {
			return true
		}
	}
	return false
}

// PostLead posts fn to Lead. If that loop is lost before it has called fn, fn is posted to the one that is Lead then (GROUP-11). Before the group runs, PostLead calls fn
// itself. After its end, fn is dropped. PostLead may be called from any goroutine.
func (g *Group) PostLead(fn func(r *Reactor)) {
	mustCall("PostLead", fn != nil)
	g.giveAny(&errand{do: fn})
}

func post(r *Reactor, fn func(*Reactor)) bool { return r.Post(func() { fn(r) }) }

// least is the member with the fewest connections, nil if all have ended. Among those that have as few, each is
// chosen in turn.
func (g *Group) least() (best *member) {
	first := int(g.next.Add(1))
	g.mu.Lock()
	defer g.mu.Unlock()
	var load int64
	for i := range g.loops {
		m := g.loops[(first+i)%len(g.loops)]
		if r := m.r.Load(); !m.state.lives() || r.Ending() {
			continue
		}
		if n := m.load.Load(); best == nil || n < load {
			best, load = m, n
		}
	}
	return best
}

// GroupStats are the counters of a group: of each loop, by its index, and their sum. A loop that has ended has
// none, and one that was started anew counts from its new beginning.
type GroupStats struct {
	Loops []Stats
	Sum   Stats
}

// Stats asks all loops for their counters (GROUP-6). It waits for them, as Each does.
func (g *Group) Stats() GroupStats {
	s, fn := g.gather()
	_ = g.Each(fn) // one that has ended has no counters
	return s.sum()
}

// StatsLater is Stats without waiting. done is called as that of EachLater is.
func (g *Group) StatsLater(done func(GroupStats)) {
	mustCall("StatsLater", done != nil)
	s, fn := g.gather()
	g.EachLater(fn, func(error) { done(s.sum()) })
}

func (g *Group) gather() (*GroupStats, func(*Reactor) error) {
	s := &GroupStats{Loops: make([]Stats, len(g.loops))}
	return s, func(r *Reactor) error { s.Loops[r.member.index] = r.Stats(); return nil }
}

func (s *GroupStats) sum() GroupStats {
	for i := range s.Loops {
		s.Sum.add(&s.Loops[i])
	}
	return *s
}

func (s *Stats) add(o *Stats) {
	s.Turns += o.Turns
	s.Events += o.Events
	s.Posted += o.Posted
	s.DelayedCalls += o.DelayedCalls
	s.Accepted += o.Accepted
	s.Refused += o.Refused
	s.Panics += o.Panics
	s.Slow += o.Slow
	s.Lingered += o.Lingered
	s.Connections += o.Connections
	s.Sources += o.Sources
	s.Pending += o.Pending
	if o.Slowest > s.Slowest {
		s.Slowest, s.SlowestName = o.Slowest, o.SlowestName
	}
	for i := range o.TurnTimes {
		s.TurnTimes[i] += o.TurnTimes[i]
	}
}
