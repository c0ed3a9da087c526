package reactor

// Start starts a reactor without running it, for whoever owns the loop: a foreign
// loop, a simulated host, a test. It fires Startup; from then on [Reactor.Turn]
// drives the reactor, on the goroutine of Start, and everything is as in Run:
// Running is true from the During phase of startup on (CORE-7), Config.Signals are
// taken (CORE-9), Stop is carried out in a later Turn (CORE-22). A startup that waits
// goes on in Turn (CORE-10). The Turn in which shutdown ends closes the kernel; the
// next one fails with ErrNotRestartable. Its errors are Run's: ErrAlreadyRunning,
// also after Start and from Run after it (CORE-4), and ErrNotRestartable (CORE-5).
func (r *Reactor) Start() error {
	if err := r.begin(); err != nil {
		return err
	}
	r.turnDriven = true
	r.outOfTurn(r.event(Startup).Fire)
	return nil
}

// begin is where Run and Start set out from.
func (r *Reactor) begin() error {
	switch {
	case r.inTurn && r.is(lifeFresh):
		panic("reactor: Run or Start in a callback of Turn")
	case r.life.CompareAndSwap(int32(lifeFresh), int32(lifeStarting)):
		return nil
	case r.is(lifeEnding), r.is(lifeStopped):
		return ErrNotRestartable
	}
	return ErrAlreadyRunning
}

// mayTurn tells whether turns are made by Turn in this part of life.
func (r *Reactor) mayTurn() bool {
	switch life(r.life.Load()) {
	case lifeFresh, lifeStopping:
		return true
	case lifeStarting, lifeStartingStopPending, lifeRunning, lifeRunningStopPending:
		return r.turnDriven
	}
	return false
}

// toStopping moves a reactor that is not in Run to its shutdown, or leaves it in
// one that waits. It returns false if there is nothing to close.
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

// outOfTurn fires what is not fired in a turn, so that nothing it calls can make one.
func (r *Reactor) outOfTurn(fire func()) {
	r.inTurn = true
	defer func() {
		r.inTurn = false
		r.endCrash()
	}()
	fire()
}

// endCrash completes a crash: nothing was ended, and the reactor can be run or started
// again. It tells whether there was one.
func (r *Reactor) endCrash() bool {
	if !r.is(lifeCrashed) {
		return false
	}
	r.releaseSignals()
	r.turnDriven = false
	r.life.Store(int32(lifeFresh))
	return true
}
