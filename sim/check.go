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
	// "" at the end of a trace. If the runs do the same and only write other bytes, the three
	// are writes, with those bytes.
	Before, First, Second string
}

// causes are what a world may depend on besides its seed.
const causes = "something is not decided by the seed: a map's order, a random source, the real clock, a goroutine"

// Error is a few lines.
func (e *DivergedError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%v, but not when run %d times again with a trace; look for what only happens now and then\n%s",
			ErrDiverged, tracedRuns, causes)
	}
	return fmt.Sprintf("%v at line %d of the trace\n  both:   %s\n  first:  %s\n  second: %s\n%s",
		ErrDiverged, e.Line, e.Before, e.First, e.Second, causes)
}

// Unwrap is ErrDiverged.
func (e *DivergedError) Unwrap() error { return ErrDiverged }

// Check runs the world twice. If the runs differ, in their hashes, in how they end or in the bytes that
// were written, the result's Err is ErrDiverged.
func (w World) Check(seed uint64, o Options) Result {
	first, second := w.Run(seed, o), w.Run(seed, o)
	if first.same(&second) {
		return first
	}
	first.Err = &RunError{World: w.Name, Seed: seed, Phase: InCheck, What: "hash", Rule: ErrDiverged.Error(), At: first.Now,
		Err: w.part(seed, o)}
	return first
}

// same tells whether two runs are the same, as far as their digests tell.
func (r *Result) same(other *Result) bool {
	return r.Hash == other.Hash && r.content == other.content && (r.Err == nil) == (other.Err == nil)
}

// tracedRuns is in how many runs with a trace, at most, part looks for a difference.
const tracedRuns = 8

// part runs the seed again until a run differs from the first, and finds where.
func (w World) part(seed uint64, o Options) *DivergedError {
	a := w.run(seed, o, true)
	for range tracedRuns - 1 {
		b := w.run(seed, o, true)
		e, also := part(a.Net.Trace(), b.Net.Trace()), partOfContent(a.Net.trace.content.writes, b.Net.trace.content.writes)
		if also != nil && (e.Line == 0 || also.Line < e.Line) {
			e = also
		}
		if e.Line > 0 {
			return e
		}
	}
	return &DivergedError{}
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
