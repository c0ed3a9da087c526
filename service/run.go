package service

import (
	"context"
	"errors"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// Run runs r for one result (CLK-7). It calls main when the reactor runs, and stops the reactor when the result of main is there. It returns the exit code for
// the process, as [ExitCode] says, and logs a failure.
//
// If the reactor is stopped before, by a signal, by ctx or by Stop, the result is given up, and the code is 0, unless the result has
// failed otherwise. If the run of the reactor itself fails, that is logged, and the code is 1. The goroutine that calls Run becomes the loop's. A program
// that is a tree of services, and hears signals and a service manager, calls [Main].
func Run(ctx context.Context, r *reactor.Reactor, main func() *deferred.Deferred[None]) int {
	code := 0
	failed := func(err error) { code = report(r.Logger(), err) }
	r.CallWhenRunning(func() {
		var d *deferred.Deferred[None]
		if e := r.Guard("main function", func() { d = main() }); e != nil {
			d = deferred.Failed[None](r, e)
		}
		if d == nil {
			d = deferred.Of(r, None{})
		}
		stopping := false
		r.AddTrigger(reactor.Before, reactor.Shutdown, func() {
			stopping = true
			d.Cancel()
		})
		d.Done(func(_ None, err error) {
			if err != nil && !(stopping && errors.Is(err, reactor.ErrCancelled)) {
				failed(err)
			}
			_ = r.Stop() // an error means that it is stopping already
		})
	})
	if err := r.Run(ctx); err != nil {
		failed(err)
	}
	return code
}
