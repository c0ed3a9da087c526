package sim

import (
	"math"
	"math/bits"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Distribution is how the latencies of segments are distributed.
type Distribution uint8

// The distributions. For Exponential and LongTail, Latency.Min is the floor and Latency.Max
// the cap.
const (
	// Uniform is any time from Min to Max, each as likely. Mean is not used.
	Uniform Distribution = iota
	// Exponential is Min plus an exponential of mean Mean-Min: two in three segments take
	// less than Mean, one in a hundred takes more than Min plus 4.6 times Mean-Min.
	Exponential
	// LongTail is Min plus a Pareto (Lomax, of shape 2) of mean Mean-Min: half of the
	// segments take less than Min plus 0.42 times Mean-Min, one in a hundred takes more
	// than Min plus 9 times, one in ten thousand more than Min plus 99 times.
	LongTail
)

// String is the name in lower case: "uniform", "exponential", "longtail".
func (d Distribution) String() string {
	names := [...]string{"uniform", "exponential", "longtail"}
	if int(d) < len(names) {
		return names[d]
	}
	return "unknown"
}

// Latency is how long segments travel; it is drawn for each segment. Segments of one
// direction of a connection do not overtake each other: one that would arrives together with
// the one before. Datagrams do. The zero Latency is none.
type Latency struct {
	Kind Distribution
	// Min is the least; negative counts as zero.
	Min time.Duration
	// Max is the most; a longer time is cut to it. Below Min it counts as Min. Zero: no
	// limit, except for Uniform.
	Max time.Duration
	// Mean is the mean before Max cuts the tail off; Uniform does not use it. If it is not
	// above Min, every segment takes Min.
	Mean time.Duration
}

// draw is one latency.
func (l *Latency) draw(r *random) time.Duration {
	low := max(l.Min, 0)
	switch l.Kind {
	case Exponential:
		return l.beyond(low, r.exponential())
	case LongTail:
		return l.beyond(low, r.pareto())
	}
	if l.Max > low {
		low += time.Duration(r.below(int(l.Max - low + 1)))
	}
	return low
}

// farOff bounds a latency without a Max, so that adding it to a time cannot overflow.
const farOff = time.Duration(math.MaxInt64 / 4)

// beyond is low and x times the mean above it, up to Max.
func (l *Latency) beyond(low time.Duration, x float64) time.Duration {
	limit := farOff
	if l.Max > 0 {
		limit = max(l.Max-low, 0)
	}
	more := float64(max(l.Mean-low, 0)) * x
	if more >= float64(limit) {
		return low + limit
	}
	return low + time.Duration(more)
}

// unit is a number above 0 and up to 1, in units of 2^-53.
func (r *random) unit() uint64 { return r.next()>>11 + 1 }

// exponential is of mean 1: the logarithm of a number between 0 and 1, negated.
//
// The number must be the same on every machine, because a seed is the same run on all of
// them. math.Log may differ in the last bit between architectures.
func (r *random) exponential() float64 {
	u := r.unit()
	n := bits.Len64(u)
	f := float64(u) / float64(uint64(1)<<n) // from 1/2 to 1
	return max(float64(float64(53-n)*math.Ln2)-logarithm(f), 0)
}

// logarithm is the logarithm of f from 1/2 to 1, to ten digits. Products are converted to
// float64, which forbids the compiler to fuse them with a sum.
func logarithm(f float64) float64 {
	s := (f - 1) / (f + 1)
	square := float64(s * s)
	sum := 0.0
	for i := 21; i > 0; i -= 2 {
		sum = float64(sum*square) + 1/float64(i)
	}
	return 2 * float64(s*sum)
}

// pareto is Lomax's distribution of shape 2 and mean 1. Square roots and quotients are the
// same to the last bit on every machine, by IEEE 754.
func (r *random) pareto() float64 {
	return 1/math.Sqrt(float64(r.unit())/(1<<53)) - 1
}

// latency draws from r how long a segment takes over l.
func (n *Net) latency(l *link, r *random) time.Duration {
	var d time.Duration
	switch {
	case l.set:
		d = l.latency.draw(r)
	case !l.loop:
		d = n.Options.Latency.draw(r)
	}
	return kernel.After(d, max(l.clogged-n.now, 0))
}

// SetLatency sets how long segments travel between a and b, both ways, in place of
// Options.Latency: any time from low to high. a may be b. It holds for what is sent from now
// on.
func (n *Net) SetLatency(a, b string, low, high time.Duration) {
	n.SetLinkLatency(a, b, Latency{Min: low, Max: high})
}

// SetLinkLatency is SetLatency with a distribution.
func (n *Net) SetLinkLatency(a, b string, l Latency) {
	n.SetLatencyOneWay(a, b, l)
	n.SetLatencyOneWay(b, a, l)
}

// SetLatencyOneWay is SetLinkLatency for segments that from sends to to.
func (n *Net) SetLatencyOneWay(from, to string, l Latency) {
	a, b := n.Host(from), n.Host(to)
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.link(a, b)
	w.set, w.latency = true, l
}
