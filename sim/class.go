package sim

import (
	"math/bits"
	"strconv"
	"time"
)

// class is one kind of fault: how it is written, and how it is drawn.
type class struct {
	name    string
	want    string // what its value is, for errors
	example string
	get     func(o *Options) string // "" if it is off
	set     func(o *Options, v string) bool
	off     func(o *Options)
	draw    func(o *Options, r *random)
}

// classes are all of them, in the order of Options' fields.
var classes = []class{
	whole("chunk", 1, 64, func(o *Options) *int { return &o.Chunk }),
	latencyClass(),
	whole("bandwidth", 10_000, 10_000_000, func(o *Options) *int { return &o.Bandwidth }),
	whole("buffers", 64, 16<<10, func(o *Options) *int { return &o.Buffers }),
	whole("backlog", 1, 8, func(o *Options) *int { return &o.Backlog }),
	whole("descriptors", 8, 64, func(o *Options) *int { return &o.Descriptors }),
	probability("spurious", 10, 500, func(o *Options) *float64 { return &o.Spurious }),
	probability("drop", 1, 100, func(o *Options) *float64 { return &o.Drop }),
	rate("clog", 20, 500, func(o *Options) *float64 { return &o.Clog }),
	rate("partition", 20, 200, func(o *Options) *float64 { return &o.Partition }),
	rate("oneway", 20, 200, func(o *Options) *float64 { return &o.OneWay }),
	rate("swizzle", 20, 100, func(o *Options) *float64 { return &o.Swizzle }),
	rate("hold", 20, 200, func(o *Options) *float64 { return &o.Hold }),
	rate("crash", 20, 200, func(o *Options) *float64 { return &o.Crash }),
	rate("kill", 20, 200, func(o *Options) *float64 { return &o.Kill }),
	rate("pause", 20, 500, func(o *Options) *float64 { return &o.Pause }),
	skewClass(),
	fraction("drift", "a fraction below 1", "0.01", 1, 50, 1000, below1, func(o *Options) *float64 { return &o.Drift }),
	probability("resolve", 10, 500, func(o *Options) *float64 { return &o.Resolve }),
	fraction("sites", "a factor from 0 to 4", "0.5", 100, 2000, 1000, upTo4, func(o *Options) *float64 { return &o.Sites }),
	probability("resets", 1, 10, func(o *Options) *float64 { return &o.Resets }),
}

// classOf is the class of that name, nil if there is none.
func classOf(name string) *class {
	for _, c := range classes {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// stream is a random source of its own for each name.
func stream(seed uint64, name string) random {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	mix := random{seed ^ h}
	return random{mix.next() + h}
}

// before draws a time from 0 to just before d, which must be positive, also where an int has
// 32 bits.
func before(r *random, d time.Duration) time.Duration {
	hi, _ := bits.Mul64(r.next(), uint64(d))
	return time.Duration(hi)
}

// between draws a number from low to high, small ones as likely as large ones, and
// keeps two digits of it. low must be positive.
func between(r *random, low, high int) int {
	v := low << r.below(bits.Len(uint(high/low)))
	v = min(v+r.below(v), high)
	unit := 1
	for v/unit >= 100 {
		unit *= 10
	}
	return max(v/unit*unit, low)
}

// span is between for times.
func span(r *random, low, high time.Duration) time.Duration {
	return time.Duration(between(r, int(low/time.Microsecond), int(high/time.Microsecond))) * time.Microsecond
}

func whole(name string, low, high int, field func(*Options) *int) class {
	return class{
		name: name, want: "a positive whole number", example: strconv.Itoa(low),
		get: func(o *Options) string {
			if v := *field(o); v > 0 {
				return strconv.Itoa(v)
			}
			return ""
		},
		set: func(o *Options, s string) bool {
			v, err := strconv.Atoi(s)
			*field(o) = v
			return err == nil && v > 0
		},
		off:  func(o *Options) { *field(o) = 0 },
		draw: func(o *Options, r *random) { *field(o) = between(r, low, high) },
	}
}

func upTo1(v float64) bool   { return v <= 1 }
func below1(v float64) bool  { return v < 1 }
func upTo4(v float64) bool   { return v <= 4 }
func upTo100(v float64) bool { return v <= 100 }

// probability and rate are drawn in thousandths.
func probability(name string, low, high int, field func(*Options) *float64) class {
	return fraction(name, "a probability from 0 to 1", "0.05", low, high, 1000, upTo1, field)
}

func rate(name string, low, high int, field func(*Options) *float64) class {
	return fraction(name, "a rate in faults per second, from 0 to 100", "0.05", low, high, 1000, upTo100, field)
}

func fraction(name, want, example string, low, high, parts int, ok func(float64) bool, field func(*Options) *float64) class {
	return class{
		name: name, want: want, example: example,
		get: func(o *Options) string {
			if v := *field(o); v > 0 {
				return strconv.FormatFloat(v, 'g', -1, 64)
			}
			return ""
		},
		set: func(o *Options, s string) bool {
			v, err := strconv.ParseFloat(s, 64)
			*field(o) = v
			return err == nil && v >= 0 && ok(v)
		},
		off:  func(o *Options) { *field(o) = 0 },
		draw: func(o *Options, r *random) { *field(o) = float64(between(r, low, high)) / float64(parts) },
	}
}

func skewClass() class {
	return class{
		name: "skew", want: "a positive time", example: "200ms",
		get: func(o *Options) string {
			if o.Skew > 0 {
				return o.Skew.String()
			}
			return ""
		},
		set: func(o *Options, s string) (ok bool) {
			o.Skew, ok = positive(s)
			return ok && o.Skew > 0
		},
		off:  func(o *Options) { o.Skew = 0 },
		draw: func(o *Options, r *random) { o.Skew = span(r, time.Millisecond, 10*time.Second) },
	}
}

// positive reads a time that is not negative.
func positive(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}
