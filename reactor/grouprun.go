package reactor

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/whorl-go/whorl/pool"
)

// Run runs all loops, each on a goroutine of its own, until Stop is called on the group or on one
// of its reactors, a signal of Config.Signals comes, or ctx ends. Then the group stops in order,
// as Stop says, and Run returns when all loops have ended.
//
// It returns nil if no loop was lost for good and no shutdown gave up waiting. Otherwise it returns
// the [*LoopError] of each of these, joined. A loop that does not come back from a callback within
// StopTimeout is left behind, with ErrUnfinished; its goroutine goes on. If all loops are lost, Run returns.
//
// Run fails with ErrAlreadyRunning during Run, on a group of GroupOf too, and with ErrNotRestartable
// on a group that has stopped.
func (g *Group) Run(ctx context.Context) error {
	g.mu.Lock()
	for g.state == groupFresh && g.direct > 0 {
		g.settled.Wait()
	}
	state := g.state
	if state == groupFresh {
		g.state = groupRunning
	}
	g.mu.Unlock()
	switch {
	case state == groupStopped:
		return ErrNotRestartable
	case state != groupFresh:
		return ErrAlreadyRunning
	}
	defer context.AfterFunc(ctx, func() { _ = g.Stop() })()
	for _, m := range g.loops {
		go g.runLoop(m, m.r.Load())
	}
	g.await()
	return g.result()
}

// await returns when the group has ended. It limits the stop by the system's clock, because any of the loops may be the one that
// does not come back from a callback.
func (g *Group) await() {
	limit := time.NewTimer(0)
	limit.Stop()
	defer limit.Stop()
	var next deadline
	for {
		select {
		case <-g.done:
			return
		case next = <-g.timing:
			limit.Reset(next.in)
		case <-limit.C:
			next.step(nil)
		}
	}
}

// runLoop runs r, the reactor of m, on its goroutine.
func (g *Group) runLoop(m *member, r *Reactor) {
	var err error = ErrGoroutineEnded
	defer func() { g.over(m, r, err) }()
	if cpu, ok := g.cpuOf(m); ok {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if e := r.caps.steerer.Pin(cpu); e != nil {
			r.log.Error("a loop is not bound to its CPU", slog.Int("cpu", cpu), slog.Any("err", e))
		}
	}
	if e := pool.Catch(func() { err = r.Run(context.Background()) }); e != nil {
		e.In = "the loop"
		err = e
	}
	if err == nil && !r.is(lifeStopped) {
		err = ErrLoopCrashed
		g.closeAlone(m, r)
	}
}

// closeAlone closes r, the reactor of m, which is lost, without a stop of the group.
func (g *Group) closeAlone(m *member, r *Reactor) {
	g.mu.Lock()
	m.stop = stopReleased
	g.mu.Unlock()
	r.Close()
}

// over follows the end of a loop's goroutine: the loop has ended in order, or is lost. r is nil if it could not be made. A goroutine
// that was ended by runtime.Goexit still makes deferred calls, of which this is one.
func (g *Group) over(m *member, r *Reactor, err error) {
	if r != nil {
		g.ended(m, r)
	}
	g.mu.Lock()
	if r == nil && m.state == loopAbsent {
		g.fate(m)
	}
	again, left := m.state == loopAbsent, m.state == loopLeft
	orderly := g.state == groupStopping && (err == nil || errors.Is(err, ErrUnfinished) && r != nil && r.waitErr == nil)
	if !again && !left && err != nil {
		g.lost = append(g.lost, &LoopError{Loop: m.index, Err: err})
	}
	g.mu.Unlock()
	if left {
		return
	}
	if !orderly && err != nil {
		g.tellLost(&LoopError{Loop: m.index, Restarted: again, Err: err})
	}
	if again {
		g.restart(m)
		return
	}
	g.tellOver(m) // only now, so that Run returns after Lost
}

// tellOver marks the end of m's goroutine, and goes on with what has waited for it.
func (g *Group) tellOver(m *member) {
	g.mu.Lock()
	if m.state != loopLeft {
		m.state = loopOver
	}
	g.mu.Unlock()
	g.checkEnd()
}

func (g *Group) tellLost(e *LoopError) {
	g.log.Error("a loop is lost, and its connections with it", slog.Int("loop", e.Loop), slog.Bool("restarted", e.Restarted), slog.Any("err", e.Err))
	if g.cfg.Lost == nil {
		return
	}
	if p := pool.Catch(func() { g.cfg.Lost(e) }); p != nil {
		g.log.Error("panic", slog.String("in", "GroupConfig.Lost"), slog.Any("err", p))
	}
}

// restart starts the loop of m anew, on a goroutine of its own: the one that has ended may be in runtime.Goexit.
func (g *Group) restart(m *member) {
	go func() {
		var r *Reactor
		err, runs := error(ErrGoroutineEnded), false // what over is told if Kernel or Setup ends the goroutine
		defer func() {
			if !runs {
				g.over(m, r, err)
			}
		}()
		made, e := g.make(m)
		if g.tooLate(m) {
			if runs = true; e == nil {
				made.Close()
			}
			g.tellOver(m)
			return
		}
		if err = e; err != nil {
			return
		}
		r = made
		g.join(m, r)
		r.claim()
		err = ErrGoroutineEnded
		r.asLoop(func() {
			e := g.setUp(r)
			if e == nil {
				g.started(m)
				g.attendAll(r)
			}
			err = e
		})
		if err != nil {
			g.closeAlone(m, r)
			return
		}
		runs = true
		g.runLoop(m, r)
	}()
}

// tooLate tells whether a stop has passed the loop of m while it was being made.
func (g *Group) tooLate(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.phase >= stopOthers || g.state == groupStopped || m.state != loopAbsent
}
