package reactor

import (
	"log/slog"
	"time"
)

// A group stops in three phases. The loops turn in all of them, so that connections drain.
//
//	phase       what happens                                      ends when
//	stopFirst   the functions of AddStopTrigger are called        all have called done
//	stopOthers  all loops but the first that lives are stopped    they have ended
//	stopLast    that one is stopped                               it has ended
//
// A shutdown of one reactor, whatever asked for it, stops the group, and is held in its phase
// Before until the group has come to that loop.
type stopPhase uint8

const (
	stopNone stopPhase = iota
	stopFirst
	stopOthers
	stopLast
)

// AddStopTrigger has fn called when the group is asked to stop, while all loops go on. fn calls
// done when the loops may end, on any goroutine. All functions are called first, on one loop, and then
// awaited together, no longer than StopTimeout. A server drains its connections here. A panic in fn
// is logged, and counts as done.
func (g *Group) AddStopTrigger(fn func(done func())) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopFns = append(g.stopFns, fn)
}

// Stop asks the group to stop, and returns at once (GROUP-8). First the functions of
// AddStopTrigger are called; when they are done, all loops but one are shut down, each as
// [Reactor.Stop] says; then the last one. A stop of one reactor of the group, by a callback or a signal, is a stop of
// the group. Stop fails with ErrNotRunning on a group that does not run, or on which it was called before.
func (g *Group) Stop() error {
	g.mu.Lock()
	if g.state != groupRunning {
		g.mu.Unlock()
		return ErrNotRunning
	}
	g.state, g.phase = groupStopping, stopFirst
	if g.last = g.lead(); g.last == nil { // all are being started anew
		g.last = g.loops[0]
	}
	fns, r := g.stopFns, g.last.r.Load()
	g.waiting = len(fns) + 1
	g.mu.Unlock()
	if !r.Post(func() { g.begin(r, fns) }) {
		g.toOthers()
	}
	return nil
}

// begin is called on one of the loops when the group is to stop.
func (g *Group) begin(r *Reactor, fns []func(done func())) {
	if g.cfg.StopTimeout > 0 {
		r.CallLater(g.cfg.StopTimeout, g.StopWaiting)
	}
	for _, fn := range fns {
		called := false
		done := func() {
			g.mu.Lock()
			was := called
			called = true
			g.mu.Unlock()
			if !was {
				g.stopDone()
			}
		}
		if r.guard("AddStopTrigger", func() { fn(done) }) != nil {
			done()
		}
	}
	g.stopDone()
}

// stopDone counts one function that is not waited for any more.
func (g *Group) stopDone() {
	g.mu.Lock()
	g.waiting--
	last := g.waiting == 0
	g.mu.Unlock()
	if last {
		g.toOthers()
	}
}

// StopWaiting ends the waiting of a stop: for functions of AddStopTrigger, and for what the
// loops wait for, as [Reactor.StopWaiting] says. On a group that was not asked to stop it does
// nothing.
func (g *Group) StopWaiting() {
	g.mu.Lock()
	if g.state != groupStopping || g.phase == stopNone {
		g.mu.Unlock()
		return
	}
	first := !g.cut
	g.cut = true
	phase, all := g.phase, g.liveLocked()
	if first && phase == stopFirst && g.waiting > 0 {
		g.lost = append(g.lost, ErrUnfinished)
	}
	g.mu.Unlock()
	if first {
		g.log.Warn("the group no longer waits", slog.Int("loops", len(all)))
	}
	if phase == stopFirst {
		g.toOthers()
	}
	for _, m := range all {
		m.r.Load().StopWaiting()
	}
	if !first {
		return
	}
	// A loop that waits for nothing ends at once, unless it does not come back from a callback. One that lives looks whether it does.
	for _, m := range all {
		r := m.r.Load()
		if r.Post(func() { r.CallLater(comeBack, g.leaveBehind) }) {
			return
		}
	}
}

// comeBack is how long a stop that waits no longer lets a loop come back from a callback.
const comeBack = time.Second

// leaveBehind ends the group without the loops that have not ended.
func (g *Group) leaveBehind() {
	g.mu.Lock()
	g.behind = true
	g.mu.Unlock()
	g.toLast()
	g.checkEnd()
}

// toOthers begins the phase in which all loops but the last are stopped.
func (g *Group) toOthers() {
	g.mu.Lock()
	if g.phase != stopFirst {
		g.mu.Unlock()
		return
	}
	g.phase = stopOthers
	last, all := g.last, g.liveLocked()
	g.mu.Unlock()
	for _, m := range all {
		if m != last {
			g.end(m)
		}
	}
	g.checkEnd()
}

// toLast stops the last loop.
func (g *Group) toLast() {
	g.mu.Lock()
	if g.phase != stopOthers {
		g.mu.Unlock()
		return
	}
	g.phase = stopLast
	last := g.last
	g.mu.Unlock()
	g.end(last)
}

// end has the loop of m shut down, and lets a shutdown that is held go on.
func (g *Group) end(m *member) {
	r := m.r.Load()
	r.Post(func() {
		g.mu.Lock()
		m.released = true
		hold, cut := m.hold, g.cut
		m.hold = nil
		g.mu.Unlock()
		_ = r.Stop() // an error says that it was asked to stop already
		if hold != nil {
			hold()
		}
		if cut {
			r.StopWaiting()
		}
	})
}

// stops is called when the shutdown of r begins. done lets it go on.
func (g *Group) stops(m *member, r *Reactor, done func()) {
	g.mu.Lock()
	if m.released || r.waitErr != nil || g.state == groupFresh || m.r.Load() != r {
		g.mu.Unlock()
		done() // if its kernel has failed, the loop is lost, and the group goes on
		return
	}
	m.hold = done
	g.mu.Unlock()
	_ = g.Stop() // an error says that it was stopped already
}

// ended follows the end of r, the reactor of m, on its goroutine, or when that is over. Only the first call counts.
func (g *Group) ended(m *member, r *Reactor) {
	g.mu.Lock()
	if m.ended || m.r.Load() != r {
		g.mu.Unlock()
		return
	}
	m.ended, m.hold = true, nil
	m.over = g.driven
	asks, arrivals := m.asks, m.arrivals
	m.asks, m.arrivals = nil, nil
	g.mu.Unlock()
	g.budget.end(r)
	for _, a := range asks {
		a.answer(m.index, ErrStopped)
	}
	g.portsWithout(m, r)
	g.redirect(r, arrivals)
}

// checkEnd goes on with a stop, or ends the group, when a loop is over.
func (g *Group) checkEnd() {
	g.mu.Lock()
	left, last := 0, g.last
	for _, m := range g.loops {
		if !m.over && m != last {
			left++
		}
	}
	lastOver := last == nil || last.over
	phase, cut, behind := g.phase, g.cut, g.behind
	g.mu.Unlock()
	switch {
	case lastOver && (left == 0 || behind):
		g.finish()
	case phase == stopOthers && left == 0:
		g.toLast()
	case lastOver && phase != stopNone && !cut: // its timer was to limit the stop
		g.StopWaiting()
	}
}
