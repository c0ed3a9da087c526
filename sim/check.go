package sim

import (
	"errors"
	"fmt"
	"strings"
)

// ErrDiverged: two runs of one seed were not the same. Something in the world is not decided
// by the seed: the order of a map, a random source of its own, the real clock, a goroutine.
// It comes as a [DivergedError].
var ErrDiverged = errors.New("runs of one seed diverged")

// DivergedError shows the first difference between two runs of one seed.
type DivergedError struct {
	// Line counts from 1 in both traces; 0 if the runs that kept a trace were the same.
	Line int
	// Before is the last line that is the same. First and Second are the lines that differ,
	// "" at the end of a trace.
	Before, First, Second string
}

// Error is a few lines.
func (e *DivergedError) Error() string {
	if e.Line == 0 {
		return ErrDiverged.Error() + ", but not when run again with a trace; look for what only happens now and then"
	}
	return fmt.Sprintf("%v at line %d of the trace\n  both:   %s\n  first:  %s\n  second: %s\n"+
		"something is not decided by the seed: a map's order, a random source, the real clock, a goroutine",
		ErrDiverged, e.Line, e.Before, e.First, e.Second)
}

// Unwrap is ErrDiverged.
func (e *DivergedError) Unwrap() error { return ErrDiverged }

// Check runs the world twice. If the hashes differ, the result's Err is ErrDiverged.
func (w World) Check(seed uint64, o Options) Result {
	first, second := w.Run(seed, o), w.Run(seed, o)
	if first.Hash == second.Hash && (first.Err == nil) == (second.Err == nil) {
		return first
	}
	a, b := w.run(seed, o, true), w.run(seed, o, true)
	first.Err = &RunError{World: w.Name, Seed: seed, Phase: InCheck, What: "hash", Rule: ErrDiverged.Error(), At: first.Now,
		Err: part(a.Net.Trace(), b.Net.Trace())}
	return first
}

// part finds the first line in which two traces differ.
func part(a, b string) *DivergedError {
	var e DivergedError
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(x), len(y)) {
		var p, q string
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if p != q {
			e.Line, e.First, e.Second = i+1, p, q
			return &e
		}
		e.Before = p
	}
	return &DivergedError{}
}
