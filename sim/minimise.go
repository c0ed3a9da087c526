package sim

import (
	"errors"
	"time"
)

// minimiseRuns bounds how many runs Minimise makes.
const minimiseRuns = 150

// Minimise finds a smaller run of r's seed in which the same rule is broken, as
// [RunError.Rule] has it. It changes one thing at a time and runs the seed again. If the same
// rule is broken, the change stays:
//
//   - a class of options is turned off;
//   - the phase with faults becomes shorter, in [Options.Length];
//   - a class becomes half as strong, up to five times.
//
// It returns the smallest run that it found, and the classes that are on in it. The run's
// Options replay it, and its Err is its own: another moment than r's, and perhaps other words.
// A run that did not fail is returned as it is.
//
// The draws of the classes that are left do not change. What the network itself draws does
// change with each class, so that now and then a class is kept that only made for another
// draw.
func (w World) Minimise(r Result) (least Result, matter []string) {
	s := shrinker{w: w, least: r}
	if r.Err != nil {
		s.drop()
		s.shorten()
		s.weaken()
		s.drop()
	}
	for _, c := range s.least.Options.Classes() {
		if c != "length" {
			matter = append(matter, c)
		}
	}
	return s.least, matter
}

// shrinker looks for a smaller run that fails like least.
type shrinker struct {
	w     World
	least Result
	runs  int
}

// try runs with o, and keeps that run if the same rule is broken.
func (s *shrinker) try(o Options) bool {
	if s.runs >= minimiseRuns || o == s.least.Options {
		return false
	}
	s.runs++
	again := s.w.Run
	if errors.Is(s.least.Err, ErrDiverged) {
		again = s.w.Check
	}
	r := again(s.least.Seed, o)
	if !sameRule(r.Err, s.least.Err) || r.Options == s.least.Options {
		return false
	}
	s.least = r
	return true
}

// drop turns classes off until none can go.
func (s *shrinker) drop() {
	for shrunk := true; shrunk; {
		shrunk = false
		for _, c := range s.least.Options.Classes() {
			if c != "length" && s.try(s.least.Options.Without(c)) {
				shrunk = true
			}
		}
	}
}

// shorten makes the phase with faults shorter: first to the moment of the failure, then by
// bisection.
func (s *shrinker) shorten() {
	to := func(d time.Duration) bool {
		o := s.least.Options
		o.Length = d.Truncate(time.Millisecond) + time.Millisecond
		return o.Length < s.least.Length() && s.try(o)
	}
	if e, ok := errors.AsType[*RunError](s.least.Err); ok && e.Phase == InFaults {
		to(e.At)
	}
	for short := time.Duration(0); s.least.Length()-short > s.least.Length()/8; {
		if middle := (short + s.least.Length()) / 2; !to(middle) {
			short = middle
		}
	}
}

// halvings is how often weaken makes a class half as strong at most.
const halvings = 5

// weaken makes classes weaker.
func (s *shrinker) weaken() {
	for _, c := range classes {
		if c.weaken == nil || c.get(&s.least.Options) == "" {
			continue
		}
		for range halvings {
			o := s.least.Options
			if !c.weaken(&o) || !s.try(o) {
				break
			}
		}
	}
}

// sameRule tells whether two errors of runs say that the same rule is broken. The words may
// differ, and so may the phase.
func sameRule(a, b error) bool {
	x, ok := errors.AsType[*RunError](a)
	y, both := errors.AsType[*RunError](b)
	return ok && both && x.Rule == y.Rule && x.finder() == y.finder()
}

// finder is who found it, where "end" is as good as "always".
func (e *RunError) finder() string {
	if e.What == "end" {
		return "always"
	}
	return e.What
}
