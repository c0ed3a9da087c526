package reactor

import (
	"context"
	"log/slog"

	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/pool"
)

// PanicError is a panic recovered from a callback. Its Value is what was panicked with,
// its Stack the goroutine's stack at the panic, and In names what was called: a protocol's
// or factory's type, "delayed call", ... Unwrap is the Value if that is an error.
type PanicError = pool.PanicError

// guard calls fn. If fn panics, guard reports the panic under the name of who, and returns
// it. nameOf is called only then.
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

// report counts e and tells the observer, the log and Config.Panicked.
func (r *Reactor) report(e *PanicError) {
	r.stats.Panics++
	r.observe(probe.Note{Kind: probe.NotePanic, Err: e})
	r.log.LogAttrs(context.Background(), slog.LevelError, "panic",
		slog.String("in", e.In), slog.Any("value", e.Value), slog.String("stack", string(e.Stack)))
	if r.cfg.Panicked != nil {
		r.cfg.Panicked(e)
	}
}

// nameOf names what panicked: a name as it is, a source by logName, and a protocol or
// factory as in other lines of the log.
func nameOf(who any) string {
	switch who := who.(type) {
	case string:
		return who
	case source:
		return who.logName()
	}
	return LogPrefixOf(who)
}
