package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in classes of growing width. Each power of two has 64
// classes, so a quantile is off by 1.6 % at most. Adding a duration allocates nothing.
type histogram struct {
	counts [64 * classes]uint32
	total  int64
}

const (
	classBits = 6
	classes   = 1 << classBits
)

func (h *histogram) add(d time.Duration) {
	h.counts[classOf(uint64(max(d, 0)))]++
	h.total++
}

func (h *histogram) reset() { *h = histogram{} }

// classOf returns the number of the class of n nanoseconds. It is made of the power of
// two and the six bits below the highest one.
func classOf(n uint64) int {
	if n < classes {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - classBits
	return shift<<classBits + int(n>>shift)
}

// middle returns the middle of a class, in nanoseconds.
func middle(class int) float64 {
	if class < 2*classes {
		return float64(class)
	}
	shift := class>>classBits - 1
	low := uint64(class&(classes-1)|classes) << shift
	return float64(low) + float64(uint64(1)<<shift)/2
}

// quantile returns the duration that a share q of all durations did not exceed, in
// microseconds. It is 0 if there are none.
func (h *histogram) quantile(q float64) float64 {
	if h.total == 0 {
		return 0
	}
	rank := max(1, int64(q*float64(h.total)+0.5))
	for class, n := range h.counts {
		if rank -= int64(n); rank <= 0 {
			return middle(class) / 1e3
		}
	}
	return 0
}
