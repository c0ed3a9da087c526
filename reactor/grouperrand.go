package reactor

import "slices"

// errand is something that a loop does for its group: it calls a function of Each, serves a connection that another loop has
// accepted, or opens its part of a port. What is posted to a loop that is lost is dropped without a word. So each errand stands in
// the list of its loop as well, until it ends, and it ends once: after do has returned, or with the loop.
type errand struct {
	do    func(r *Reactor)    // on the loop
	ended func(how errandEnd) // on any goroutine; nil: nothing follows
	begun bool                // do was called; under Group.mu
}

// errandEnd is how an errand has ended.
type errandEnd uint8

const (
	errandDone   errandEnd = iota // do has returned or panicked
	errandBroken                  // the loop has ended, or was left behind, while do was in progress
	errandMissed                  // the loop has ended before do was called, and another one may do it
	errandNever                   // the group has ended
)

func (e *errand) end(how errandEnd) {
	if e.ended != nil {
		e.ended(how)
	}
}

// endUndone ends an errand of a loop that does not live any more.
func (e *errand) endUndone() {
	if e.begun {
		e.end(errandBroken)
	} else {
		e.end(errandMissed)
	}
}

// give has the loop of m do e: at once if that is here, the loop whose callback is in progress, or is being set up; otherwise later. It returns
// false if the loop does not live; then e has not begun, and does not end.
func (g *Group) give(m *member, here *Reactor, e *errand) bool {
	g.mu.Lock()
	if !m.state.lives() {
		g.mu.Unlock()
		return false
	}
	r := m.r.Load()
	begins := r == here || g.idle(r)
	if e.begun = begins; begins {
		g.directly(1)
	}
	m.errands = append(m.errands, e)
	g.mu.Unlock()
	switch {
	case begins:
		defer g.directlyOver()
		g.carryOut(m, r, e)
	case !r.Post(func() { g.doNext(m, r) }) && g.driven:
		g.ended(m, r) // a loop that somebody else turns does not say itself that its goroutine has ended
	}
	return true
}

// giveAny has the first loop that lives do e. If none lives, the next that starts does. e ends with errandNever if the group ends
// first, and with errandMissed never.
func (g *Group) giveAny(e *errand) {
	follows := e.ended
	e.ended = func(how errandEnd) {
		if how == errandMissed {
			g.giveAny(&errand{do: e.do, ended: follows})
		} else if follows != nil {
			follows(how)
		}
	}
	for {
		g.mu.Lock()
		m := g.lead()
		waits := m == nil && g.coming()
		if waits {
			g.orphans = append(g.orphans, e)
		}
		g.mu.Unlock()
		switch {
		case waits:
		case m == nil:
			e.end(errandNever)
		case !g.give(m, nil, e):
			continue
		}
		return
	}
}

// doNext does the first errand of m that has not begun. It is posted once for each.
func (g *Group) doNext(m *member, r *Reactor) {
	g.mu.Lock()
	i := slices.IndexFunc(m.errands, func(e *errand) bool { return !e.begun })
	if m.r.Load() != r || i < 0 {
		g.mu.Unlock()
		return // the end of the loop has ended it
	}
	e := m.errands[i]
	e.begun = true
	g.mu.Unlock()
	g.carryOut(m, r, e)
}

// carryOut does e, which has begun.
func (g *Group) carryOut(m *member, r *Reactor, e *errand) {
	_ = r.guard(postedFunction, func() { e.do(r) })
	g.mu.Lock()
	i := slices.Index(m.errands, e)
	if i >= 0 {
		m.errands = slices.Delete(m.errands, i, i+1)
	}
	g.mu.Unlock()
	if i >= 0 { // otherwise it has ended when the loop was left behind
		e.end(errandDone)
	}
}

// takeErrands takes all errands from m, whose loop does not live any more. The caller has g.mu, and ends them without it.
func (g *Group) takeErrands(m *member) []*errand {
	all := m.errands
	m.errands = nil
	return all
}
