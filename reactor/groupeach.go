package reactor

import (
	"errors"
	"sync"
)

// Each calls fn on each loop that lives, on all of them at a time, and waits until all have returned (GROUP-4). The
// error joins the [*LoopError] of each that has failed; a panic is a [*PanicError], and a loop that ends before it has
// called fn is ErrStopped. Before Run, fn is called on the caller's goroutine, one loop after the other in their order.
//
// Each waits for the loops, so it panics in a callback of one of them: use [Group.EachLater] there.
func (g *Group) Each(fn func(r *Reactor) error) error {
	if r := g.Lead(); r != nil && !g.direct(r) && g.caller() != nil {
		panic("reactor: Each in a callback of a loop of the group: the loop cannot answer while it waits; use EachLater")
	}
	answered := make(chan error, 1)
	g.ask(fn, func(err error) { answered <- err })
	return <-answered
}

// EachLater is Each without waiting. done is called with what Each returns, on one of the loops, never before
// EachLater returns unless the group does not run yet. If all loops have ended it is called at once, on the caller's
// goroutine. A nil done is not called.
func (g *Group) EachLater(fn func(r *Reactor) error, done func(error)) {
	g.ask(fn, func(err error) {
		if done == nil {
			return
		}
		r := g.Lead()
		if !g.on(r, nil, func() { done(err) }) {
			done(err)
		}
	})
}

// ask is an Each under way.
type ask struct {
	mu   sync.Mutex
	left []bool // by the index of the loop: it has not answered
	n    int
	errs []error // by index
	done func(error)
}

// ask has fn called on each loop, and done with all errors, on the goroutine of the last that answers.
func (g *Group) ask(fn func(*Reactor) error, done func(error)) {
	a := &ask{left: make([]bool, len(g.loops)), errs: make([]error, len(g.loops)), done: done}
	g.mu.Lock()
	all := g.liveLocked()
	for _, m := range all {
		a.left[m.index] = true
		m.asks = append(m.asks, a)
	}
	a.n = len(all)
	rs := make([]*Reactor, len(all))
	for i, m := range all {
		rs[i] = m.r.Load()
	}
	g.mu.Unlock()
	if len(all) == 0 {
		done(ErrStopped)
		return
	}
	for i, m := range all {
		r := rs[i]
		if !g.on(r, nil, func() {
			if a.answered(m.index) {
				return // the end of the loop has answered, and this is one of its last posts
			}
			_, err := protect(r, askedFunction, func() (struct{}, error) { return struct{}{}, fn(r) })
			g.forget(m, a)
			a.answer(m.index, err)
		}) {
			a.answer(m.index, ErrStopped)
		}
	}
}

// forget removes a from those that the end of m's loop would answer.
func (g *Group) forget(m *member, a *ask) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, x := range m.asks {
		if x == a {
			m.asks = append(m.asks[:i], m.asks[i+1:]...)
			return
		}
	}
}

func (a *ask) answered(index int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.left[index]
}

// answer takes the answer of one loop. Only its first counts.
func (a *ask) answer(index int, err error) {
	a.mu.Lock()
	if !a.left[index] {
		a.mu.Unlock()
		return
	}
	a.left[index] = false
	if err != nil {
		a.errs[index] = &LoopError{Loop: index, Err: err}
	}
	a.n--
	last := a.n == 0
	a.mu.Unlock()
	if last {
		a.done(errors.Join(a.errs...))
	}
}

// PostAll posts fn to each loop that lives, as [Reactor.Post] does, and returns to how many. It never calls fn itself.
func (g *Group) PostAll(fn func(r *Reactor)) (posted int) {
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
	return post(g.loops[index].r.Load(), fn)
}

// PostLeast posts fn to the loop that has the fewest connections now. It returns false if all loops have stopped.
func (g *Group) PostLeast(fn func(r *Reactor)) bool {
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
		if m.ended {
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
