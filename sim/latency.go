package sim

import (
	"math"
	"math/bits"
	"time"
)

// Distribution says how a [Latency] is spread.
type Distribution uint8

// The distributions. Of the last two, Latency.Min is the floor and Latency.Max the cap.
const (
	// Uniform is anything from Min to Max, all as likely; Mean means nothing.
	Uniform Distribution = iota
	// Exponential is Min and an exponential of mean Mean-Min: two in three segments
	// take less than Mean, one in a hundred more than 4.6 times Mean-Min beyond Min.
	Exponential
	// LongTail is Min and a Pareto (Lomax, of shape 2) of mean Mean-Min: half of the
	// segments take less than 0.42 times Mean-Min beyond Min, one in a hundred more
	// than 9 times, one in ten thousand more than 99 times.
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

// Latency is how long segments travel. It is drawn for each segment; one that would
// overtake another of its direction of a connection arrives together with that. The zero
// Latency is none at all.
type Latency struct {
	Kind Distribution
	// Min is the least; negative counts as zero.
	Min time.Duration
	// Max is the most: what would take longer takes just that. Zero for other kinds than
	// Uniform: no limit. One below Min counts as Min.
	Max time.Duration
	// Mean is the mean of all kinds but Uniform, before Max cuts the tail off. Up to Min
	// it leaves nothing to chance: every segment takes Min.
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

// farOff bounds a latency without a Max: adding it to a time cannot overflow.
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
// It must be the same number on every machine, because a seed is a run on all of them.
// That is why it is not math.Log, which may differ in the last bit between architectures.
func (r *random) exponential() float64 {
	u := r.unit()
	n := bits.Len64(u)
	f := float64(u) / float64(uint64(1)<<n) // from 1/2 to 1
	return max(float64(float64(53-n)*math.Ln2)-logarithm(f), 0)
}

// logarithm is of f from 1/2 to 1, to ten digits. Every product is converted, so that
// no machine fuses it with a sum.
func logarithm(f float64) float64 {
	s := (f - 1) / (f + 1)
	square := float64(s * s)
	sum := 0.0
	for i := 21; i > 0; i -= 2 {
		sum = float64(sum*square) + 1/float64(i)
	}
	return 2 * float64(s*sum)
}

// pareto is Lomax's distribution of shape 2 and mean 1. IEEE 754 has square roots
// and quotients exact to the last bit everywhere.
func (r *random) pareto() float64 {
	return 1/math.Sqrt(float64(r.unit())/(1<<53)) - 1
}

// latency draws how long a segment takes over l.
func (n *Net) latency(l *link) time.Duration {
	var d time.Duration
	switch {
	case l.set:
		d = l.latency.draw(&n.random)
	case !l.loop:
		d = n.Options.Latency.draw(&n.random)
	}
	return d + max(l.clogged-n.now, 0)
}

// SetLatency sets how long segments travel between a and b, both ways, instead of
// what Net.Options says: anything from low to high. a may be b. It holds for
// what is sent from now on.
func (n *Net) SetLatency(a, b string, low, high time.Duration) {
	n.SetLinkLatency(a, b, Latency{Min: low, Max: high})
}

// SetLinkLatency is SetLatency with a distribution.
func (n *Net) SetLinkLatency(a, b string, l Latency) {
	x, y := n.Host(a), n.Host(b)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range [...]*link{n.link(x, y), n.link(y, x)} {
		w.set, w.latency = true, l
	}
}
