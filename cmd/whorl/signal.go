package main

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// stopBySignal has SIGINT, SIGTERM and SIGHUP stop r, which does not run yet. A program at an exec: place is in a process group of its own, so it gets
// none of them from the terminal, and would outlive us. A later signal has its default action. One that is ignored from the start stays so: nohup and a
// shell's & ask for that.
//
// When r has run, endedBy returns the signal that has stopped it, or nil.
func stopBySignal(r *reactor.Reactor) (endedBy func() os.Signal) {
	var first os.Signal
	endedBy = func() os.Signal { return first }
	n, ok := kernel.As[kernel.Signals](r.Kernel())
	sigs := slices.DeleteFunc(append(reactor.StopSignals(), syscall.SIGHUP), signal.Ignored)
	if !ok || len(sigs) == 0 {
		return endedBy
	}
	var release func()
	release = n.Notify(func(sig os.Signal) {
		r.Post(func() {
			if first != nil {
				return
			}
			first = sig
			_ = r.Stop() // it may be ending
			r.CallLater(program.SignalTwins, release)
		})
	}, sigs...)
	return endedBy
}
