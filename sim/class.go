package sim

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// class is one class of Options: how it is written, and how it is drawn.
type class struct {
	name    string
	want    string // what a value must be, for errors
	example string
	get     func(o *Options) string // "" if it is off
	set     func(o *Options, v string) bool
	take    func(to, from *Options)     // copies the class
	draw    func(o *Options, r *random) // nil: Swarm does not draw it
	weaken  func(o *Options) bool       // makes it half as strong; false: it is as weak as can be. May be nil.
}

// off turns the class off.
func (c *class) off(o *Options) { c.take(o, &Options{}) }

// classes are all of them, in the order of Options' fields.
var classes = []class{
	intClass("chunk", 1, 64, func(o *Options) *int { return &o.Chunk }),
	latencyClass("latency", "1ms-40ms or latency=longtail:1ms-2s:20ms", func(o *Options) *Latency { return &o.Latency }),
	intClass("bandwidth", 10_000, 10_000_000, func(o *Options) *int { return &o.Bandwidth }),
	buffersClass(),
	intClass("backlog", 1, 8, func(o *Options) *int { return &o.Backlog }),
	intClass("descriptors", 8, 64, func(o *Options) *int { return &o.Descriptors }),
	timeClass("retry", 0, 0, func(o *Options) *time.Duration { return &o.RetryTimeout }),
	probability("spurious", 10, 500, func(o *Options) *float64 { return &o.Spurious }),
	probability("drop", 1, 100, func(o *Options) *float64 { return &o.Drop }),
	probability("duplicate", 10, 200, func(o *Options) *float64 { return &o.Duplicate }),
	probability("reorder", 10, 500, func(o *Options) *float64 { return &o.Reorder }),
	undrawn(probability("corrupt", 1, 100, func(o *Options) *float64 { return &o.Corrupt })),
	intClass("packetbuffer", 1000, 100_000, func(o *Options) *int { return &o.PacketBuffer }),
	rate("clog", 20, 500, func(o *Options) *float64 { return &o.Clog }),
	rate("partition", 20, 200, func(o *Options) *float64 { return &o.Partition }),
	rate("oneway", 20, 200, func(o *Options) *float64 { return &o.OneWay }),
	rate("swizzle", 20, 100, func(o *Options) *float64 { return &o.Swizzle }),
	rate("hold", 20, 200, func(o *Options) *float64 { return &o.Hold }),
	rate("crash", 20, 200, func(o *Options) *float64 { return &o.Crash }),
	rate("kill", 20, 200, func(o *Options) *float64 { return &o.Kill }),
	rate("killchild", 20, 500, func(o *Options) *float64 { return &o.KillChild }),
	rate("stop", 20, 200, func(o *Options) *float64 { return &o.Stop }),
	rate("rolling", 20, 100, func(o *Options) *float64 { return &o.Rolling }),
	rate("pause", 20, 500, func(o *Options) *float64 { return &o.Pause }),
	timeClass("skew", time.Millisecond, 10*time.Second, func(o *Options) *time.Duration { return &o.Skew }),
	rate("jump", 20, 200, func(o *Options) *float64 { return &o.Jump }),
	fraction("drift", "a fraction below 1", "0.01", 1, 50, 1000, below1, func(o *Options) *float64 { return &o.Drift }),
	probability("resolve", 10, 500, func(o *Options) *float64 { return &o.Resolve }),
	probability("spawn", 10, 300, func(o *Options) *float64 { return &o.Spawn }),
	latencyClass("work", "1ms-40ms or work=longtail:1ms-2s:20ms", func(o *Options) *Latency { return &o.Work }),
	timeClass("slow", 100*time.Microsecond, time.Second, func(o *Options) *time.Duration { return &o.Slow }),
	fraction("sites", "a factor from 0 to 4", "0.5", 100, 2000, 1000, upTo4, func(o *Options) *float64 { return &o.Sites }),
	fraction("rare", "a factor from 0 to 4", "0.5", 100, 2000, 1000, upTo4, func(o *Options) *float64 { return &o.Rare }),
	probability("resets", 1, 10, func(o *Options) *float64 { return &o.Resets }),
	timeClass("length", 0, 0, func(o *Options) *time.Duration { return &o.Length }),
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

// stream is a random source made from the seed and a name: each name has its own.
func stream(seed uint64, name string) random {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	mix := random{seed ^ h}
	return random{mix.next() + h}
}

// before draws a time from 0 to just before d, which must be positive. It does so too where
// an int has 32 bits.
func before(r *random, d time.Duration) time.Duration {
	hi, _ := bits.Mul64(r.next(), uint64(d))
	return time.Duration(hi)
}

// between draws a number from low to high and keeps two digits of it. Each power of two is
// as likely as any other. low must be positive.
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

// takes copies the field of a class.
func takes[T any](field func(*Options) *T) func(to, from *Options) {
	return func(to, from *Options) { *field(to) = *field(from) }
}

// undrawn is c as a class that Swarm does not draw.
func undrawn(c class) class {
	c.draw = nil
	return c
}

func intClass(name string, low, high int, field func(*Options) *int) class {
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
		take: takes(field),
		draw: func(o *Options, r *random) { *field(o) = between(r, low, high) },
		weaken: func(o *Options) bool { // these are limits
			*field(o) *= 2
			return *field(o) <= high
		},
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
		take: takes(field),
		draw: func(o *Options, r *random) { *field(o) = float64(between(r, low, high)) / float64(parts) },
		weaken: func(o *Options) bool {
			v := int(*field(o) * float64(parts) / 2)
			*field(o) = float64(v) / float64(parts)
			return v >= low
		},
	}
}

// timeClass is a class of one time; it is not drawn if high is 0.
func timeClass(name string, low, high time.Duration, field func(*Options) *time.Duration) class {
	c := class{
		name: name, want: "a positive time", example: "200ms",
		get: func(o *Options) string {
			if v := *field(o); v > 0 {
				return v.String()
			}
			return ""
		},
		set: func(o *Options, s string) bool {
			v, ok := positive(s)
			*field(o) = v
			return ok && v > 0
		},
		take: takes(field),
	}
	if high > 0 {
		c.draw = func(o *Options, r *random) { *field(o) = span(r, low, high) }
		c.weaken = func(o *Options) bool {
			*field(o) = (*field(o) / 2).Round(time.Microsecond)
			return *field(o) >= low
		}
	}
	return c
}

// buffersClass is "300", both sizes, or "300/200": to send and to receive.
func buffersClass() class {
	return class{
		name: "buffers", want: "a positive whole number, or one for sending and one for receiving", example: "64 or buffers=300/200",
		get: func(o *Options) string {
			send, recv := max(o.SendBuffer, 0), max(o.RecvBuffer, 0)
			switch {
			case send == recv && send == 0:
				return ""
			case send == recv:
				return strconv.Itoa(send)
			}
			return strconv.Itoa(send) + "/" + strconv.Itoa(recv)
		},
		set: func(o *Options, s string) bool {
			send, recv, two := strings.Cut(s, "/")
			if !two {
				recv = send
			}
			var err, also error
			o.SendBuffer, err = strconv.Atoi(send)
			o.RecvBuffer, also = strconv.Atoi(recv)
			return err == nil && also == nil && min(o.SendBuffer, o.RecvBuffer) >= 0 && max(o.SendBuffer, o.RecvBuffer) > 0
		},
		take: func(to, from *Options) { to.SendBuffer, to.RecvBuffer = from.SendBuffer, from.RecvBuffer },
		draw: func(o *Options, r *random) {
			size := between(r, 64, 16<<10)
			o.SendBuffer, o.RecvBuffer = size, size
		},
		weaken: func(o *Options) bool {
			o.SendBuffer, o.RecvBuffer = 2*o.SendBuffer, 2*o.RecvBuffer
			return max(o.SendBuffer, o.RecvBuffer) <= 16<<10
		},
	}
}

// positive reads a time that is not negative.
func positive(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}
