package reactor

import (
	"context"
	"errors"
	"log/slog"

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
	<-g.done
	return g.result()
}

// runLoop runs r, the reactor of m, on its goroutine.
func (g *Group) runLoop(m *member, r *Reactor) {
	var err error = ErrGoroutineEnded
	defer func() { g.over(m, r, err) }()
	if e := pool.Catch(func() { err = r.Run(context.Background()) }); e != nil {
		e.In = "the loop"
		err = e
	}
	if err == nil && !r.is(lifeStopped) {
		err = ErrLoopCrashed
		g.mu.Lock()
		m.released = true // it ends alone
		g.mu.Unlock()
		r.Close()
	}
}

// over follows the end of a loop's goroutine: the loop has ended in order, or is lost. A goroutine that was ended by
// runtime.Goexit still makes deferred calls, of which this is one.
func (g *Group) over(m *member, r *Reactor, err error) {
	g.mu.Lock()
	orderly := g.state == groupStopping && (err == nil || errors.Is(err, ErrUnfinished) && r.waitErr == nil)
	again := !orderly && g.state == groupRunning && m.restarts < g.cfg.Restarts
	if again {
		m.restarts++
	} else if err != nil {
		g.lost = append(g.lost, &LoopError{Loop: m.index, Err: err})
	}
	g.mu.Unlock()
	if r != nil {
		g.ended(m, r)
	}
	if !orderly && err != nil {
		e := &LoopError{Loop: m.index, Restarted: again, Err: err}
		g.log.Error("a loop is lost, and its connections with it", slog.Int("loop", m.index), slog.Bool("restarted", again), slog.Any("err", err))
		if g.cfg.Lost != nil {
			if p := pool.Catch(func() { g.cfg.Lost(e) }); p != nil {
				g.log.Error("panic", slog.String("in", "GroupConfig.Lost"), slog.Any("err", p))
			}
		}
	}
	if again {
		g.restart(m)
		return
	}
	g.mu.Lock()
	m.over = true // only now, so that Run returns after Lost
	g.mu.Unlock()
	g.checkEnd()
}

// restart starts the loop of m anew, on a goroutine of its own: the one that has ended may be in runtime.Goexit.
func (g *Group) restart(m *member) {
	go func() {
		r, err := g.make(m)
		g.mu.Lock()
		late := g.state == groupStopped // a stop has not waited for this
		g.mu.Unlock()
		if late {
			if err == nil {
				r.Close()
			}
			return
		}
		if err == nil {
			g.join(m, r)
			if err = g.setUp(r); err == nil {
				g.listenAgain(m, r)
				g.runLoop(m, r)
				return
			}
			g.mu.Lock()
			m.released = true // it ends alone
			g.mu.Unlock()
			r.Close()
		}
		g.over(m, r, err) // r is nil if there is no kernel
	}()
}
