package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// ExitError is an outcome of [Run] that asks for an exit code. It is not logged.
type ExitError struct{ Code int }

// Error is "exit code 3".
func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// Run runs r for one result (CLK-7). It calls main when the reactor runs, and stops the reactor when the result of main is there. It returns the exit code for
// the process: 0 after a success, the code of an [*ExitError], or 1 after another failure, which is logged.
//
// If the reactor is stopped before, by a signal, by ctx or by Stop, the result is given up, and the code is 0, unless the result has
// failed otherwise. If the run of the reactor itself fails, that is logged, and the code is 1. The goroutine that calls Run becomes the loop's.
func Run(ctx context.Context, r *reactor.Reactor, main func() *deferred.Deferred[None]) int {
	code := 0
	report := func(err error) {
		if e, ok := errors.AsType[*ExitError](err); ok {
			code = e.Code
			return
		}
		code = 1
		r.Logger().Error("the program has failed", slog.Any("err", err))
	}
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
				report(err)
			}
			_ = r.Stop() // an error means that it is stopping already
		})
	})
	if err := r.Run(ctx); err != nil {
		report(err)
	}
	return code
}
