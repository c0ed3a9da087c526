package reactor

import (
	"context"
	"log/slog"
	"os"
)

// life is where a reactor is between New and its end. Stop may look at it and
// move it from any goroutine, so it changes by compare-and-swap.
type life int32

const (
	lifeFresh               life = iota // not run yet, or crashed since
	lifeStarting                        // Run: before the startup event reaches During
	lifeStartingStopPending             // the same, and Stop was called
	lifeRunning
	lifeRunningStopPending // Stop was called: shutdown comes in this turn or the next
	lifeStopping           // shutdown's Before phase
	lifeEnding             // shutdown's During and After phases
	lifeCrashed            // Crash was called: Run is about to return
	lifeStopped
)

// Running tells whether the reactor runs: true from the During phase of startup
// to the Before phase of shutdown, both included (CORE-7, CORE-8). It may be
// called from any goroutine.
func (r *Reactor) Running() bool {
	switch life(r.life.Load()) {
	case lifeRunning, lifeRunningStopPending, lifeStopping:
		return true
	}
	return false
}

// Run runs the reactor until Stop or until ctx ends, and returns nil when all
// three phases of shutdown are over (CORE-13). Then the kernel is closed and the
// reactor cannot run again: ErrNotRestartable; during a run, Run fails with
// ErrAlreadyRunning (CORE-4, CORE-5). After Crash it returns nil at the end of the turn
// and may be called again (CORE-15). If the kernel fails persistently, Run
// shuts down and returns its error.
//
// The calling goroutine becomes the loop's: every callback runs on it.
func (r *Reactor) Run(ctx context.Context) error {
	if err := r.begin(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { r.Stop() })()
	r.event(Startup).Fire()
	for !r.is(lifeCrashed) && !r.is(lifeStopped) {
		r.turn(-1, waitAnyway)
	}
	if r.endCrash() {
		return nil
	}
	return r.waitErr
}

func (r *Reactor) is(l life) bool { return life(r.life.Load()) == l }

// started is the first During step of startup (CORE-9).
func (r *Reactor) started() {
	if !r.life.CompareAndSwap(int32(lifeStarting), int32(lifeRunning)) {
		r.life.CompareAndSwap(int32(lifeStartingStopPending), int32(lifeRunningStopPending))
	}
	r.work.start()
	r.takeSignals()
}

// Stop asks the reactor to shut down; it may be called from any goroutine. It
// only asks: what follows it in a callback runs before any trigger of shutdown
// (CORE-22). It fails with ErrNotRunning on a reactor that is not running or was
// asked already (CORE-1, CORE-2, CORE-3).
func (r *Reactor) Stop() error {
	for {
		now := r.life.Load()
		next := lifeRunningStopPending
		switch life(now) {
		case lifeStarting:
			next = lifeStartingStopPending
		case lifeRunning:
		default:
			return ErrNotRunning
		}
		if r.life.CompareAndSwap(now, int32(next)) {
			r.wake()
			return nil
		}
	}
}

// Crash ends Run after the turn in progress, firing no trigger and closing
// nothing (CORE-14). Run may be called again. It is for the loop's goroutine;
// on a reactor that is not running it does nothing. One that Start has started is
// as before Start when the turn in progress is over, or at once between turns.
func (r *Reactor) Crash() {
	switch was := life(r.life.Load()); was {
	case lifeStarting, lifeStartingStopPending, lifeRunning, lifeRunningStopPending, lifeStopping:
		r.life.Store(int32(lifeCrashed))
		r.event(Startup).Reset()
		r.event(Shutdown).Reset()
		if !r.inTurn && (r.turnDriven || was == lifeStopping) {
			r.endCrash()
		}
	}
}

// CallWhenRunning calls fn at once if the reactor runs, and returns nil;
// otherwise fn is called when it has started, in order, and the trigger can be
// removed (CORE-43). A panic in a stored fn is logged; in the immediate case it is the
// caller's (CORE-44). On a stopped reactor fn never runs (CORE-45).
func (r *Reactor) CallWhenRunning(fn func()) *Trigger {
	if r.Running() {
		fn()
		return nil
	}
	return r.AddTrigger(After, Startup, fn)
}

// ExitSignal is the last signal of Config.Signals that stopped the reactor, nil
// if none did (WAKE-11). It may be called from any goroutine.
func (r *Reactor) ExitSignal() os.Signal {
	if s := r.exitSignal.Load(); s != nil {
		return *s
	}
	return nil
}

func (r *Reactor) takeSignals() {
	n := r.caps.signals
	if n == nil || len(r.cfg.Signals) == 0 {
		return
	}
	r.stopNotify = n.Notify(func(s os.Signal) {
		r.Post(func() {
			if r.Stop() == nil {
				r.exitSignal.Store(&s)
				r.log.Info("stopping on a signal", slog.String("signal", s.String()))
			}
		})
	}, r.cfg.Signals...)
}

// releaseSignals gives the signals their default action back (WAKE-13).
func (r *Reactor) releaseSignals() {
	if r.stopNotify != nil {
		r.stopNotify()
		r.stopNotify = nil
	}
}

// ending is the first During step of shutdown: the end is marked, then every
// port, connection and descriptor goes (CORE-25).
func (r *Reactor) ending() {
	r.life.Store(int32(lifeEnding))
	r.disconnectAll()
	r.AddTrigger(During, Shutdown, r.joinWorkers)
}

// ended follows the last After trigger of shutdown.
func (r *Reactor) ended() {
	r.runLastPosts()
	r.disconnectAll()
	r.recycle()
	r.releaseSignals()
	if err := r.k.Close(); err != nil {
		r.log.Error("closing the kernel", slog.Any("err", err))
	}
	r.posts.close(r)
	close(r.stopped)
}

// runLastPosts delivers results that came home during shutdown (THR-17), but
// does not serve a function that posts itself for ever.
func (r *Reactor) runLastPosts() {
	for i := 0; i < 1000 && r.posts.nonEmpty.Load(); i++ {
		r.runPosted()
	}
}

// Close ends a reactor that is not in Run: one that was only turned, that crashed,
// or that Start has started. It is Shutdown fired by hand, without waiting: what
// AddWaitTrigger functions ask for is not awaited, and of a startup that still waits
// the rest never comes. During Run and on a stopped reactor it does nothing.
// In a callback of Start or Turn it panics, unless shutdown has begun.
func (r *Reactor) Close() {
	if r.inTurn && r.mayTurn() && !r.is(lifeStopping) {
		panic("reactor: Close in a callback of Start or Turn")
	}
	if !r.toStopping() {
		return
	}
	r.event(Startup).Reset()
	r.outOfTurn(r.event(Shutdown).FireWithoutWaiting)
}
