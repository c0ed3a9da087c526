package reactor

// Start starts a reactor without running it, and fires Startup. From then on the caller
// drives the reactor with [Reactor.Turn], on the goroutine that called Start. It is for
// foreign loops, simulated hosts and tests.
//
// Everything else is as in Run. Running is true from the During phase of startup on
// (CORE-7), Config.Signals are taken (CORE-9), and Stop is carried out in a later Turn
// (CORE-22). If the startup has to wait, it goes on in Turn (CORE-10). The Turn in which
// shutdown ends closes the kernel, and the next one fails with ErrNotRestartable.
//
// Start fails as Run does: with ErrAlreadyRunning during a run or after Start (CORE-4), and
// with ErrNotRestartable on a stopped reactor (CORE-5). Run fails in the same way after
// Start.
func (r *Reactor) Start() error {
	if err := r.begin(); err != nil {
		return err
	}
	r.turnDriven = true
	r.outOfTurn(r.event(Startup).Fire)
	return nil
}

// begin is the common beginning of Run and Start: it moves the reactor to lifeStarting.
func (r *Reactor) begin() error {
	switch {
	case r.inTurn && r.is(lifeFresh):
		panic("reactor: Run or Start in a callback of Turn")
	case r.life.CompareAndSwap(int32(lifeFresh), int32(lifeStarting)):
		r.goroutine.Store(goroutineID())
		return nil
	case r.is(lifeEnding), r.is(lifeStopped):
		return ErrNotRestartable
	}
	return ErrAlreadyRunning
}

// mayTurn tells whether Turn is allowed in the present state of the reactor.
func (r *Reactor) mayTurn() bool {
	switch life(r.life.Load()) {
	case lifeFresh, lifeStopping:
		return true
	case lifeStarting, lifeStartingStopPending, lifeRunning, lifeRunningStopPending:
		return r.turnDriven
	}
	return false
}

// toStopping moves a reactor that is not in Run to lifeStopping. It returns false if there is
// nothing to close: the reactor is in Run, or it is ending or stopped.
func (r *Reactor) toStopping() bool {
	for {
		now := r.life.Load()
		switch life(now) {
		case lifeFresh:
		case lifeStarting, lifeStartingStopPending, lifeRunning, lifeRunningStopPending:
			if !r.turnDriven {
				return false
			}
		case lifeStopping:
			return !r.inTurn
		default:
			return false
		}
		if r.life.CompareAndSwap(now, int32(lifeStopping)) {
			return true
		}
	}
}

// outOfTurn calls fire outside of a turn. Meanwhile inTurn is set, so that the callbacks
// cannot make a turn.
func (r *Reactor) outOfTurn(fire func()) {
	r.inTurn = true
	r.claim()
	defer func() {
		r.inTurn = false
		r.endCrash()
	}()
	r.asLoop(fire)
}

// endCrash completes a crash, if there was one, and tells whether there was. The reactor can
// be run or started again, with everything that it had.
func (r *Reactor) endCrash() bool {
	if !r.is(lifeCrashed) {
		return false
	}
	r.releaseSignals()
	r.exitSignal.Store(nil) // it has stopped nothing, and the next run may end for another reason
	r.shutdown.forget()
	r.turnDriven = false
	r.life.Store(int32(lifeFresh))
	return true
}
