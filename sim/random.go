package sim

import "math/bits"

// random is the splitmix64 generator: small, fast, and a seed is a sequence.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is a number from 0 to n-1; n must be positive. Its bias is below n/2^64.
func (r *random) below(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// chance is true with probability p.
func (r *random) chance(p float64) bool {
	return p > 0 && float64(r.next()>>11)/(1<<53) < p
}
