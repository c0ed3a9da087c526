// Package retry says how long to wait before trying again. It has no clock, no
// timer and no random source of its own: what it returns depends on its arguments
// alone.
//
//	var policy retry.Exponential // 1 s, 1.5 s, 2.25 s ... 60 s, each and up to 1 s
//	wait, ok := policy.Delay(failures, random)
//	if !ok {
//		giveUp()
//	}
package retry

import (
	"math"
	"time"
)

// Source is where chance comes from. A *rand.Rand of math/rand/v2 is one: made
// from a seed, it makes a run that can be repeated.
type Source interface {
	// Float64 is evenly distributed in [0, 1).
	Float64() float64
	// NormFloat64 is normally distributed, with mean 0 and deviation 1.
	NormFloat64() float64
}

// The defaults of [Exponential] (SVC-26).
const (
	DefaultInitial = time.Second
	DefaultMax     = time.Minute
	DefaultFactor  = 1.5
	DefaultJitter  = time.Second
)

// Exponential waits longer after each failure: Initial, then Factor times as long
// as before, up to Max; chance then spreads it, so that many who lost the same
// server do not come back at the same moment. The zero value is the defaults. It
// is a plain value, safe to copy and to share.
type Exponential struct {
	// Initial is the wait before the first retry. Zero: 1 s; negative: none.
	Initial time.Duration
	// Max bounds the wait, before Jitter is added. Zero: 60 s; negative: no bound
	// but time.Duration's.
	Max time.Duration
	// Factor multiplies the wait after each failure. Zero: 1.5. Below 1 the waits
	// shrink; a negative one counts as "no wait" after the first.
	Factor float64
	// Spread is the deviation of a normal distribution around the wait, as a share
	// of it (RECON-1). What it makes is clamped to [0, Max] (RECON-2). Zero or
	// negative: none.
	Spread float64
	// Jitter is added to the wait, evenly distributed from 0 to this, on top of
	// Max too (SVC-26). Zero: 1 s; negative: none.
	Jitter time.Duration
	// MaxRetries is how many retries there are in a row (RECON-3). Zero or
	// negative: no end.
	MaxRetries int
}

// Reconnecting is the policy of Twisted's reconnecting factory: 1 s, times e, up
// to an hour, with a normal spread of 0.1196 (RECON-1).
func Reconnecting() Exponential {
	return Exponential{
		Max:    time.Hour,
		Factor: math.E,
		Spread: 0.11962656472, // the molar Planck constant times c, as its documents have it
		Jitter: -1,
	}
}

// Delay is how long to wait before retry n, where 0 is the first retry, after the
// first failure; a negative n counts as 0. ok is false when MaxRetries are over:
// then there is no wait. The caller counts, and begins again at 0 after a success
// (RECON-3). A nil random means no chance: neither Spread nor Jitter.
//
// The wait is at least 0 and at most Max and Jitter together, and nothing
// overflows, however great n is.
func (e Exponential) Delay(n int, random Source) (wait time.Duration, ok bool) {
	if e.MaxRetries > 0 && n >= e.MaxRetries {
		return 0, false
	}
	limit := float64(or(e.Max, DefaultMax))
	if limit < 0 {
		limit = math.MaxInt64
	}
	factor := e.Factor
	if factor == 0 {
		factor = DefaultFactor
	}
	// Factor to the nth is infinite sooner or later: in floats that is harmless.
	d := clamp(float64(or(e.Initial, DefaultInitial))*grown(factor, n), limit)
	if random != nil {
		// A product that is converted is not fused with the sum: the wait is the same on
		// every machine.
		if e.Spread > 0 {
			d = clamp(d+float64(d*e.Spread*random.NormFloat64()), limit)
		}
		if jitter := or(e.Jitter, DefaultJitter); jitter > 0 {
			d += float64(float64(jitter) * random.Float64())
		}
	}
	if d >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	return time.Duration(d), true
}

// grown is factor to the nth. A negative factor has no meaning; math.Pow would
// make it swing.
func grown(factor float64, n int) float64 {
	switch {
	case n <= 0:
		return 1
	case factor < 0:
		return 0
	}
	return math.Pow(factor, float64(n))
}

// clamp brings d into [0, limit]; what is not a number becomes 0.
func clamp(d, limit float64) float64 {
	if !(d > 0) {
		return 0
	}
	return min(d, limit)
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
