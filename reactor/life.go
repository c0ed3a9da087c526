package reactor

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
)

// life is the state of a reactor. Stop may read and change it on any goroutine, so changes
// that could collide with Stop are compare-and-swaps.
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

// Running tells whether the reactor runs. It is true from the During phase of startup
// through the Before phase of shutdown (CORE-7, CORE-8). It may be called from any
// goroutine.
func (r *Reactor) Running() bool {
	switch life(r.life.Load()) {
	case lifeRunning, lifeRunningStopPending, lifeStopping:
		return true
	}
	return false
}

// Fresh tells whether nobody has run or started the reactor yet, or not again since a crash, so that what is posted waits. It may be called from any goroutine.
func (r *Reactor) Fresh() bool { return r.is(lifeFresh) }

// Ending tells whether the reactor has begun to end its sources, or has ended: the phase During of
// the shutdown or later. From then on it takes no new ones, and Attach fails with ErrStopped. It may be called from any goroutine.
func (r *Reactor) Ending() bool { return r.is(lifeEnding) || r.is(lifeStopped) }

// Run runs the reactor until Stop is called or ctx ends. It returns nil when all three
// phases of shutdown are over (CORE-13). The kernel is then closed. If the kernel fails
// persistently, Run shuts down and returns the kernel's error. If the shutdown gave up
// waiting, the error is ErrUnfinished. After Crash, Run returns nil at the end of the turn,
// and may be called again (CORE-15).
//
// If a callback ends the goroutine with runtime.Goexit, as t.FailNow does, the run ends like a
// crash of the program: all sockets are reset, nothing more is called, the reactor has
// stopped, and who waits for it is told (CORE-49).
//
// Run fails with ErrNotRestartable on a reactor that has stopped, or whose shutdown is past its
// phase Before. During a run until then it fails with ErrAlreadyRunning (CORE-4, CORE-5).
//
// The calling goroutine becomes the loop's goroutine. All callbacks run on it.
func (r *Reactor) Run(ctx context.Context) error {
	if err := r.begin(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { r.Stop() })()
	r.asLoop(func() {
		r.event(Startup).Fire()
		if !r.is(lifeCrashed) && !r.is(lifeStopped) {
			if r.caps.guesser != nil {
				r.caps.guesser.Guess(true)
			}
			r.turn(-1, waitAnyway)
		}
	})
	if r.endCrash() {
		return nil
	}
	return r.result()
}

// result is what the run returns at its end.
func (r *Reactor) result() error {
	if r.waitErr == nil || r.shutdown.err == nil {
		return cmp.Or(r.waitErr, r.shutdown.err)
	}
	return errors.Join(r.waitErr, r.shutdown.err)
}

func (r *Reactor) is(l life) bool { return life(r.life.Load()) == l }

// started is the first step in the During phase of startup (CORE-9).
func (r *Reactor) started() {
	if !r.life.CompareAndSwap(int32(lifeStarting), int32(lifeRunning)) {
		r.life.CompareAndSwap(int32(lifeStartingStopPending), int32(lifeRunningStopPending))
	}
	r.work.start()
	r.takeSignals()
}

// Stop asks the reactor to shut down, and returns at once. It may be called from any
// goroutine. If a callback calls it, the rest of the callback runs before any trigger of
// shutdown (CORE-22). It fails with ErrNotRunning on a reactor that is not running, or on
// which Stop was called before (CORE-1, CORE-2, CORE-3).
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

// Crash ends Run after the turn in progress. It fires no trigger and closes nothing
// (CORE-14). Run may then be called again. Crash is for the loop's goroutine. On a reactor
// that is not running it does nothing. A reactor that Start has started returns to the
// state before Start: after the turn in progress, or at once if there is none.
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

// CallWhenRunning calls fn at once if the reactor runs, and returns nil. Otherwise fn is
// called when the reactor has started, after those given earlier; the returned trigger can
// be removed (CORE-43). A panic in an immediate call passes to the caller; otherwise it is
// logged (CORE-44). On a stopped reactor fn is never called (CORE-45). It is for the loop's
// goroutine.
func (r *Reactor) CallWhenRunning(fn func()) *Trigger {
	mustCall("CallWhenRunning", fn != nil)
	if r.Running() {
		fn()
		return nil
	}
	return r.AddTrigger(After, Startup, fn)
}

// ExitSignal is the last signal of Config.Signals that stopped the reactor. It is nil if
// none did, or a crash came first (WAKE-11). It may be called from any goroutine.
func (r *Reactor) ExitSignal() os.Signal {
	if s := r.exitSignal.Load(); s != nil {
		return *s
	}
	return nil
}

// takeSignals takes the signals of Config.Signals. The first stops the reactor. The next one
// ends the waiting of the shutdown, and gives the signals their default action back.
func (r *Reactor) takeSignals() {
	n := r.caps.signals
	if n == nil || len(r.cfg.Signals) == 0 {
		return
	}
	r.stopNotify = n.Notify(func(s os.Signal) {
		r.Post(func() { r.signalled(s) })
	}, r.cfg.Signals...)
}

func (r *Reactor) signalled(s os.Signal) {
	name := slog.String("signal", s.String())
	stop, stopWaiting := r.Stop, r.StopWaiting
	if g := r.Group(); g != nil { // of which the others may be stopping already
		stop, stopWaiting = g.Stop, g.StopWaiting
	}
	if stop() == nil {
		r.exitSignal.Store(&s)
		r.log.Info("stopping on a signal", name)
		return
	}
	r.log.Warn("no longer waiting, because of another signal", name)
	stopWaiting()
	r.releaseSignals()
}

// releaseSignals gives the signals their default action back (WAKE-13).
func (r *Reactor) releaseSignals() {
	if r.stopNotify != nil {
		r.stopNotify()
		r.stopNotify = nil
	}
}

// ending is the first step in the During phase of shutdown. It marks the end, then ends all
// ports, connections and descriptors (CORE-25).
func (r *Reactor) ending() {
	r.life.Store(int32(lifeEnding))
	r.disconnectAll()
	r.AddTrigger(During, Shutdown, r.joinWorkers)
}

// ended is called after the last After trigger of shutdown.
func (r *Reactor) ended() {
	r.runLastPosts()
	r.disconnectAll()
	r.recycle()
	r.releaseSignals()
	for i := 0; i < lastPosts && !r.posts.closeEmpty(r); i++ {
		r.runPosted() // what another goroutine has posted meanwhile, or the end of a connection
	}
	r.posts.close(r)
	if err := r.k.Close(); err != nil {
		r.log.Error("closing the kernel", slog.Any("err", err))
	}
	close(r.stopped)
	r.atDeath = nil
}

// Done returns a channel that is closed when the reactor has stopped: in order, or because a
// callback has ended the loop's goroutine. It may be called from any goroutine.
func (r *Reactor) Done() <-chan struct{} { return r.stopped }

// lastPosts limits how often posted functions are run at the end, because one may post itself again and again.
const lastPosts = 1000

// runLastPosts delivers results that arrived during shutdown (THR-17).
func (r *Reactor) runLastPosts() {
	for i := 0; i < lastPosts && r.posts.nonEmpty.Load(); i++ {
		r.runPosted()
	}
}

// Close ends a reactor that is not in Run: one that was only turned, that crashed, or that
// Start has started. It fires Shutdown, but does not wait for the functions of
// AddWaitTrigger. If the startup is still waiting, the rest of it never happens. Close is
// for the loop's goroutine. During Run and on a stopped reactor it does nothing. In a
// callback of Start or Turn it panics, unless shutdown has begun.
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
