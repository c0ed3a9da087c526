package sim

import "time"

// slowness is how slow the program of a host is. Its source is its own, so that a host is as
// slow with and without others.
type slowness struct {
	drawn  bool
	random random
	slow   bool
}

// spend has a callback that is about to be made take time, by Options.Slow.
func (k *simKernel) spend() {
	n, h := k.n, k.h
	if n.Options.Slow <= 0 || k.gone {
		return
	}
	s := &h.slow
	if !s.drawn {
		s.drawn, s.random = true, stream(n.seed, "slow "+h.name)
		s.slow = s.random.next()&1 == 0
	}
	if !s.slow || s.random.next()&3 != 0 {
		return
	}
	d := span(&s.random, time.Microsecond, max(n.Options.Slow, time.Microsecond))
	n.trace.add(n.KeepTrace, h.id, line{at: n.now, op: OpSlow, host: h.name, text: d.String(), lasts: d})
	if k.alone {
		n.now += d
		return
	}
	h.busy = max(h.busy, n.now) + d
}
