package reactor

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/pool"
)

// PanicError is a panic that was recovered from a callback. Value is the argument of panic,
// and Stack the goroutine's stack at that moment. In names the code that was called: the
// type of a protocol or factory, "delayed call", ... Unwrap returns Value if it is an error.
type PanicError = pool.PanicError

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

// Guard calls fn, and reports a panic of it as one of a callback: to the log and to Config.Panicked. It returns the panic,
// or nil. who is the protocol, by whose name it is reported. A package that has callbacks of its own calls them by Guard, so
// that a panic costs one of them. It is for the loop's goroutine.
func (r *Reactor) Guard(who any, fn func()) *PanicError { return r.guard(who, fn) }

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
	r.announce(e, func(attrs ...slog.Attr) {
		r.limits.kind("panic in "+e.In).Log(r, r.log, slog.LevelError, "panic", attrs...)
	})
}

// reportLate is report when the reactor has stopped. Any goroutine may call it, also several at the same time, so nothing of
// the loop's is touched: nothing is counted, and the log is told of each panic.
func (r *Reactor) reportLate(e *PanicError) {
	r.announce(e, func(attrs ...slog.Attr) {
		r.log.LogAttrs(context.Background(), slog.LevelError, "panic", attrs...)
	})
}

// announce tells the log, by way of write, and Config.Panicked.
func (r *Reactor) announce(e *PanicError, write func(attrs ...slog.Attr)) {
	if r.cfg.Logger != nil || r.cfg.Panicked == nil {
		write(slog.String("in", e.In), slog.String("value", fmt.Sprint(e.Value)), slog.String("stack", string(e.Stack)))
	}
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
