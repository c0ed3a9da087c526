package reactor

import (
	"errors"
	"log/slog"
	"reflect"

	"github.com/whorl-go/whorl/kernel/probe"
)

// startFactory counts one more use of f and of each factory that f wraps. It starts those
// of which this is the first use (TCP-14).
func (r *Reactor) startFactory(f Factory) error {
	if err := r.startOne(f); err != nil {
		return err
	}
	inner, ok := wrapped(f)
	if !ok {
		return nil
	}
	err := r.startFactory(inner)
	if err != nil {
		err = joinErrors(err, r.stopOne(f))
	}
	return err
}

// UseFactory counts one more use of f, as a port does, and starts f if this is the first (TCP-14). It is for places that give f's
// protocols connections of their own, by Attach. release ends the use, and stops f if it was the last; it is called once. Both are for the
// loop's goroutine. An error is that of StartFactory, and f is then not in use.
func (r *Reactor) UseFactory(f Factory) (release func() error, err error) {
	if err := r.startFactory(f); err != nil {
		return nil, err
	}
	return func() error { return r.stopFactory(f) }, nil
}

func (r *Reactor) startOne(f Factory) error {
	r.optionals.factories.Check(r, f)
	s, ok := f.(StartStopper)
	if !ok || !comparableFactory(f) {
		return nil
	}
	if r.factories[f]++; r.factories[f] > 1 {
		return nil
	}
	r.logFactory("starting factory", f)
	r.observe(probe.Note{Kind: probe.NoteStartFactory})
	_, err := protect(r, f, func() (struct{}, error) {
		usedOn(r, f)
		return struct{}{}, s.StartFactory()
	})
	if err != nil {
		delete(r.factories, f)
	}
	return err
}

// stopFactory counts one use less of f and of each factory that f wraps. It stops those of
// which this was the last use. It does nothing for a factory that is not in use.
func (r *Reactor) stopFactory(f Factory) error {
	inner, ok := wrapped(f)
	if !ok {
		return r.stopOne(f)
	}
	err := r.stopFactory(inner)
	return joinErrors(err, r.stopOne(f))
}

func (r *Reactor) stopOne(f Factory) error {
	s, ok := f.(StartStopper)
	if !ok || !comparableFactory(f) || r.factories[f] == 0 {
		return nil
	}
	if r.factories[f]--; r.factories[f] > 0 {
		return nil
	}
	delete(r.factories, f)
	r.logFactory("stopping factory", f)
	r.observe(probe.Note{Kind: probe.NoteStopFactory})
	_, err := protect(r, f, func() (struct{}, error) { return struct{}{}, s.StopFactory() })
	return err
}

// countFactory counts a use of f, and of each factory that f wraps, that was started on another loop.
func (r *Reactor) countFactory(f Factory) {
	for ok := true; ok; f, ok = wrapped(f) {
		if _, starts := f.(StartStopper); starts && comparableFactory(f) {
			if r.factories[f]++; r.factories[f] == 1 {
				_ = r.guard(f, func() { usedOn(r, f) })
			}
		}
	}
}

// usedOn tells f that its use belongs to r from now on.
func usedOn(r *Reactor, f Factory) {
	if l, ok := f.(LoopListener); ok {
		l.UsedOn(r)
	}
}

// comparableFactory tells whether the uses of f can be counted. A type that can be compared may hold an interface with a value that cannot.
func comparableFactory(f Factory) bool { return reflect.ValueOf(f).Comparable() }

// logFactory tells that f is started or stopped. A factory for connections that peers cause,
// such as those of a forwarder, may be in use for each of them. So the rate is limited.
func (r *Reactor) logFactory(msg string, f Factory) {
	name := LogPrefixOf(f)
	r.limits.kind(msg+" "+name).Log(r, r.log, slog.LevelInfo, msg, slog.String("factory", name))
}

// wrapped returns the factory that f wraps.
func wrapped(f Factory) (Factory, bool) {
	u, ok := f.(interface{ Unwrap() Factory })
	if !ok {
		return nil, false
	}
	return u.Unwrap(), true
}

// joinErrors joins two errors. If only one is non-nil, it is returned as it is.
func joinErrors(a, b error) error {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return errors.Join(a, b)
}
