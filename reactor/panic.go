package reactor

import (
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/pool"
)

// PanicError is a panic that was recovered from a callback. Value is the argument of panic,
// and Stack the goroutine's stack at that moment. In names the code that was called: the
// type of a protocol or factory, "delayed call", ... Unwrap returns Value if it is an error.
type PanicError = pool.PanicError

// Guard calls fn on behalf of a descriptor or a device that has callbacks of its own, and returns its panic, or nil. The
// panic is reported as that of any callback is: counted, logged under name, and given to Config.Panicked. Nothing
// ends because of it. Guard is for the loop's goroutine.
func (r *Reactor) Guard(name string, fn func()) *PanicError { return r.guard(name, fn) }

// guard calls fn. If fn panics, guard reports the panic under the name of who and returns
// it. Only then is the name made.
func (r *Reactor) guard(who any, fn func()) *PanicError {
	e := pool.Catch(fn)
	if e != nil {
		e.In = nameOf(who)
		r.report(e)
	}
	return e
}

// protect is guard for an fn with results. It turns a panic into an error.
func protect[T any](r *Reactor, who any, fn func() (T, error)) (v T, err error) {
	if e := r.guard(who, func() { v, err = fn() }); e != nil {
		err = e
	}
	return v, err
}

// report counts e and tells the observer, the log and Config.Panicked. The log is told at a
// limited rate, by what panicked: peers may be able to cause panics. The value is made text
// here, because a Handler may look at it later, when the program has changed it.
func (r *Reactor) report(e *PanicError) {
	r.stats.Panics++
	r.slow.returned(r, e.In)
	r.observe(probe.Note{Kind: probe.NotePanic, Err: e})
	if r.cfg.Logger == nil && r.cfg.Panicked != nil {
		r.cfg.Panicked(e)
		return
	}
	r.limits.kind("panic in "+e.In).Log(r, r.log, slog.LevelError, "panic",
		slog.String("in", e.In), slog.String("value", fmt.Sprint(e.Value)), slog.String("stack", string(e.Stack)))
	if r.cfg.Panicked != nil {
		r.cfg.Panicked(e)
	}
}

// nameOf names the code that panicked. who is a name, a source, a protocol or a factory.
func nameOf(who any) string {
	switch who := who.(type) {
	case string:
		return who
	case source:
		return who.logName()
	}
	return LogPrefixOf(who)
}
