package reactor

import (
	"errors"
	"log/slog"
	"reflect"

	"github.com/whorl-go/whorl/kernel/probe"
)

var errNoFactory = errors.New("there is no factory; Each makes one of a type of protocols")

// startFactory counts one more use of f and of each factory that f wraps. It starts those
// of which this is the first use (TCP-14).
func (r *Reactor) startFactory(f Factory, by useKind) error {
	if f == nil {
		return errNoFactory
	}
	if err := r.startOne(f, by); err != nil {
		return err
	}
	inner, ok := wrapped(f)
	if !ok {
		return nil
	}
	err := r.startFactory(inner, by)
	if err != nil {
		err = joinErrors(err, r.stopOne(r.factories, f, by))
	}
	return err
}

// UseFactory counts one more use of f, as a port does, and starts f if this is the first (TCP-14). It is for places that give f's
// protocols connections of their own, by Attach. release ends the use, and stops f if it was the last; it is called once. Both are for the
// loop's goroutine. An error is that of StartFactory, and f is then not in use.
func (r *Reactor) UseFactory(f Factory) (release func() error, err error) {
	if err := r.startFactory(f, useLoop); err != nil {
		return nil, err
	}
	return func() error { return r.stopFactory(r.factories, f, useLoop) }, nil
}

func (r *Reactor) startOne(f Factory, by useKind) error {
	r.optionals.factories.Check(r, f)
	s, ok := counted(f)
	if !ok || !r.factories.add(f, by, r) {
		return nil
	}
	r.logFactory("starting factory", f)
	r.observe(probe.Note{Kind: probe.NoteStartFactory})
	_, err := protect(r, f, func() (struct{}, error) {
		usedOn(r, f)
		return struct{}{}, s.StartFactory()
	})
	if err != nil {
		r.factories.drop(f, by)
	}
	return err
}

// stopFactory counts one use less of f and of each factory that f wraps. It stops those of
// which this was the last use. It does nothing for a factory that is not in use. uses is the table of the loop that has started f.
func (r *Reactor) stopFactory(uses *factoryUses, f Factory, by useKind) error {
	inner, ok := wrapped(f)
	if !ok {
		return r.stopOne(uses, f, by)
	}
	err := r.stopFactory(uses, inner, by)
	return joinErrors(err, r.stopOne(uses, f, by))
}

func (r *Reactor) stopOne(uses *factoryUses, f Factory, by useKind) error {
	s, ok := counted(f)
	if !ok || !uses.drop(f, by) {
		return nil
	}
	r.logFactory("stopping factory", f)
	r.observe(probe.Note{Kind: probe.NoteStopFactory})
	_, err := protect(r, f, func() (struct{}, error) { return struct{}{}, s.StopFactory() })
	return err
}

// takeFactory tells f, and each factory that f wraps, that its use belongs to r from now on. uses is the table of the loop that has started f.
func (r *Reactor) takeFactory(uses *factoryUses, f Factory) {
	for ok := true; ok; f, ok = wrapped(f) {
		if _, starts := counted(f); starts && uses.move(f, r) {
			_ = r.guard(f, func() { usedOn(r, f) })
		}
	}
}

// counted returns f as what is started and stopped, and false if its uses are not counted. A type that can be compared may hold an interface
// with a value that cannot.
func counted(f Factory) (StartStopper, bool) {
	s, ok := f.(StartStopper)
	return s, ok && reflect.ValueOf(f).Comparable()
}

// usedOn tells f that its use belongs to r from now on.
func usedOn(r *Reactor, f Factory) {
	if l, ok := f.(LoopListener); ok {
		l.UsedOn(r)
	}
}

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
