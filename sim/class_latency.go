package sim

import (
	"strings"
	"time"
)

func latencyClass(name, example string, field func(*Options) *Latency) class {
	return class{
		name: name, example: example,
		want: "a shortest and a longest time, of another kind than uniform with the kind before and the mean behind",
		get:  func(o *Options) string { return field(o).text() },
		set: func(o *Options, s string) (ok bool) {
			*field(o), ok = parseLatency(s)
			return ok
		},
		take: takes(field),
		draw: func(o *Options, r *random) { *field(o) = drawLatency(r) },
		weaken: func(o *Options) bool {
			l := field(o)
			for _, d := range []*time.Duration{&l.Min, &l.Max, &l.Mean} {
				*d = (*d / 2).Round(time.Microsecond)
			}
			return l.Max >= time.Millisecond && (l.Kind == Uniform || l.Mean > 0)
		},
	}
}

// text is the latency as parseLatency reads it, "" for none.
func (l Latency) text() string {
	low := max(l.Min, 0)
	if l.Kind == Uniform {
		high := max(low, l.Max)
		if high == 0 {
			return ""
		}
		return low.String() + "-" + high.String()
	}
	return l.Kind.String() + ":" + low.String() + "-" + max(l.Max, 0).String() + ":" + max(l.Mean, 0).String()
}

// parseLatency reads "1ms-40ms" or "longtail:1ms-2s:20ms".
func parseLatency(s string) (l Latency, ok bool) {
	bounds, mean := s, ""
	for _, k := range []Distribution{Exponential, LongTail} {
		if rest, is := strings.CutPrefix(s, k.String()+":"); is {
			l.Kind = k
			bounds, mean, _ = strings.Cut(rest, ":")
		}
	}
	low, high, _ := strings.Cut(bounds, "-")
	if l.Min, ok = positive(low); !ok {
		return l, false
	}
	if l.Max, ok = positive(high); !ok {
		return l, false
	}
	if l.Kind == Uniform {
		return l, l.Min <= l.Max && l.Max > 0
	}
	l.Mean, ok = positive(mean)
	return l, ok && (l.Max == 0 || l.Min <= l.Max) && l.Mean > 0
}

// drawLatency draws a latency of any kind.
func drawLatency(r *random) (l Latency) {
	l.Kind = Distribution(r.below(3))
	l.Min = span(r, 10*time.Microsecond, 20*time.Millisecond)
	more := span(r, 10*time.Microsecond, 300*time.Millisecond)
	if l.Kind == Uniform {
		l.Max = l.Min + more
		return l
	}
	l.Mean = l.Min + more/4
	l.Max = l.Min + 10*more
	return l
}
