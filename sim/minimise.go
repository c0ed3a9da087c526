package sim

import (
	"errors"
	"slices"
)

// Minimise finds which fault classes a failed run needs. It turns one off at a time, runs
// the same seed again, and leaves off what the same failure happens without; until no class can go. It returns what is left, and its classes. A run
// that did not fail is returned as it is.
//
// The seed stays, and so do the draws of the classes left, but what the rest of the
// network draws changes with each class: now and then one is kept that only made for
// a lucky draw.
func (w World) Minimise(r Result) (Options, []string) {
	o := r.Options
	if r.Err == nil {
		return o, o.Classes()
	}
	for shrunk := true; shrunk; {
		shrunk = false
		for _, c := range o.Classes() {
			less := o.Without(c)
			if w.failsLike(r, less) {
				o, shrunk = less, true
			}
		}
	}
	return o, o.Classes()
}

// failsLike tells whether r's seed fails with o in the way it did.
func (w World) failsLike(r Result, o Options) bool {
	again := w.Run
	if errors.Is(r.Err, ErrDiverged) {
		again = w.Check
	}
	return slices.Equal(manner(again(r.Seed, o).Err), manner(r.Err))
}

// manner is what makes two failures the same: who found it, and which rule it was. Words
// may be others each time, and a phase may find later what another found before.
func manner(err error) []string {
	var run *RunError
	if !errors.As(err, &run) {
		return nil
	}
	var rule *InvariantError
	if errors.As(err, &rule) {
		return []string{run.What, rule.Rule}
	}
	return []string{run.What}
}
