package sim

import (
	"errors"
	"slices"
)

// Minimise finds which classes of options a failed run needs. It turns off one class at a
// time and runs the same seed again; if the same failure happens, the class stays off. It
// returns what is left when no class can go, and the names of its classes. A run that did not
// fail is returned as it is.
//
// The draws of the classes that are left do not change. What the network itself draws does
// change with each class, so that now and then a class is kept that only made for another
// draw.
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

// failsLike tells whether r's seed fails with o in the same way.
func (w World) failsLike(r Result, o Options) bool {
	again := w.Run
	if errors.Is(r.Err, ErrDiverged) {
		again = w.Check
	}
	return slices.Equal(manner(again(r.Seed, o).Err), manner(r.Err))
}

// manner is what two failures have in common that count as the same: who found it, and which
// rule was broken. The words may differ, and so may the phase.
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
