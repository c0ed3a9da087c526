// Package retry computes how long to wait before trying again. It has no clock, no timer
// and no random source of its own: the result depends only on the arguments.
//
//	var policy retry.Exponential // 1 s, 1.5 s, 2.25 s ... 60 s, each plus up to 1 s
//	wait, ok := policy.Delay(failures, random)
//	if !ok {
//		giveUp()
//	}
package retry

import (
	"math"
	"time"
)

// Source is a random source. A *rand.Rand of math/rand/v2 is one. If it is made from a
// seed, the run can be repeated.
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

// Exponential waits longer after each failure. The first wait is Initial. Each further
// one is Factor times as long, up to Max. Spread and Jitter then add chance, so that many
// clients of one server do not come back at the same moment. The zero value is the
// defaults. It is a plain value, safe to copy and to share.
type Exponential struct {
	// Initial is the wait before the first retry. Zero: 1 s; negative: no wait.
	Initial time.Duration
	// Max limits the wait, before Jitter is added. Zero: 60 s; negative: no limit but
	// time.Duration's.
	Max time.Duration
	// Factor multiplies the wait after each failure. Zero: 1.5. Below 1 the waits get
	// shorter. If it is negative, each wait after the first is 0, plus Jitter.
	Factor float64
	// Spread is the standard deviation of a normal distribution around the wait, as a
	// share of the wait (RECON-1). The result is clamped to [0, Max] (RECON-2). Zero or
	// negative: none.
	Spread float64
	// Jitter is the most that is added to the wait, evenly distributed from 0. The sum
	// may exceed Max (SVC-26). Zero: 1 s; negative: none.
	Jitter time.Duration
	// MaxRetries is how many retries in a row there are (RECON-3). Zero or negative: no
	// limit.
	MaxRetries int
}

// Reconnecting returns the policy of Twisted's reconnecting factory: 1 s, multiplied by
// e, up to an hour, with a normal spread of 0.1196 (RECON-1).
func Reconnecting() Exponential {
	return Exponential{
		Max:    time.Hour,
		Factor: math.E,
		Spread: 0.11962656472, // the molar Planck constant times c, as its documents have it
		Jitter: -1,
	}
}

// Delay returns how long to wait before retry n. n is 0 for the first retry, which
// follows the first failure; a negative n counts as 0. ok is false if MaxRetries have
// been made; then there is no wait. The caller counts, and begins again at 0 after a
// success (RECON-3). A nil random means neither Spread nor Jitter.
//
// The wait is at least 0 and at most the sum of Max and Jitter. It does not overflow,
// however great n is.
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
	// For a great n the power is infinite. In floats that is harmless.
	d := clamp(float64(or(e.Initial, DefaultInitial))*grown(factor, n), limit)
	if random != nil {
		// The conversions keep products from being fused with the sums. So the wait is
		// the same on every machine.
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

// grown returns factor to the power of n. A negative factor gives 0; math.Pow would
// change its sign with each n.
func grown(factor float64, n int) float64 {
	switch {
	case n <= 0:
		return 1
	case factor < 0:
		return 0
	}
	return math.Pow(factor, float64(n))
}

// clamp limits d to [0, limit]. NaN becomes 0.
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
