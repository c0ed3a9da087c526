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
	mustCall("AddStopTrigger", fn != nil)
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
	fns := g.stopFns
	g.waiting = len(fns) + 1
	g.mu.Unlock()
	g.limit(g.cfg.StopTimeout, func(*member) { g.StopWaiting() })
	g.giveAny(&errand{do: func(r *Reactor) { g.begin(r, fns) }, ended: func(how errandEnd) {
		if how != errandDone {
			g.toOthers() // not all functions were called
		}
	}})
	return nil
}

// deadline is when a stop takes a step that nobody has taken before.
type deadline struct {
	in   time.Duration
	step func(by *member)
}

// limit has step called in d, unless that is negative. In a group of GroupOf only its loops can do that, so each that lives calls it. by is the
// loop that does; otherwise it is nil.
func (g *Group) limit(d time.Duration, step func(by *member)) {
	switch {
	case d < 0:
	case !g.driven:
		g.timing <- deadline{d, step} // there are three of them at most
	default:
		for _, m := range g.live() {
			g.give(m, nil, &errand{do: func(r *Reactor) { r.CallLater(d, func() { step(m) }) }})
		}
	}
}

// begin is called on one of the loops when the group is to stop.
func (g *Group) begin(r *Reactor, fns []func(done func())) {
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
	if first { // a loop that waits for nothing ends at once, unless it does not come back from a callback
		g.limit(g.comeBack, g.leaveBehind)
	}
}

// defaultComeBack is how long a stop that waits no longer lets a loop come back from a callback.
const defaultComeBack = time.Second

// leaveBehind goes on without the loops that have not ended: at first without all but the last, then without that one too. In a group of GroupOf,
// by is the loop that turns still.
func (g *Group) leaveBehind(by *member) {
	g.mu.Lock()
	if by != nil && by.state.over() {
		g.mu.Unlock()
		return // another one was faster
	}
	if by != nil && g.phase < stopLast {
		g.last = by
	}
	again := g.phase < stopLast
	var all []*member
	for _, m := range g.loops {
		if m != g.last || !again {
			all = append(all, m)
		}
	}
	g.mu.Unlock()
	for _, m := range all {
		if m != by {
			g.leave(m)
		}
	}
	if again && !g.driven {
		g.limit(g.comeBack, g.leaveBehind)
	}
	g.checkEnd()
}

// toOthers begins the phase in which all loops but the last are stopped.
func (g *Group) toOthers() {
	g.mu.Lock()
	if g.phase != stopFirst {
		g.mu.Unlock()
		return
	}
	g.phase, g.last = stopOthers, g.lead()
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
		hold, cut := m.hold, g.cut
		m.stop, m.hold = stopReleased, nil
		g.mu.Unlock()
		_ = r.Stop() // an error says that it was asked to stop already
		if hold != nil {
			r.shutdown.resume()
			hold()
		}
		if cut {
			r.StopWaiting()
		}
	})
}

// stops is called when the shutdown of r begins. done lets it go on. While it is held, StopTimeout is its limit, and not Config.ShutdownTimeout.
func (g *Group) stops(m *member, r *Reactor, done func()) {
	g.mu.Lock()
	if m.stop == stopReleased || r.waitErr != nil || g.state == groupFresh || m.r.Load() != r {
		g.mu.Unlock()
		done() // if its kernel has failed, the loop is lost, and the group goes on
		return
	}
	m.stop, m.hold = stopHeld, done
	g.mu.Unlock()
	r.shutdown.suspend(r)
	_ = g.Stop() // an error says that it was stopped already
}

// checkEnd goes on with a stop, or ends the group, when a loop is over.
func (g *Group) checkEnd() {
	g.mu.Lock()
	left, last := 0, false
	for _, m := range g.loops {
		if !m.state.over() {
			left++
			last = last || m == g.last
		}
	}
	phase := g.phase
	g.mu.Unlock()
	switch {
	case left == 0:
		g.finish()
	case phase == stopOthers && left == 1 && last:
		g.toLast()
	}
}
