package reactor

import (
	"log/slog"
	"math/bits"
	"time"
)

// slow measures callbacks and turns, if Config.Slow asks for it.
type slow struct {
	limit time.Duration // Config.Slow; 0: nothing is measured
	from  time.Duration // when the loop began to work, after it waited
	mark  time.Duration // when the last callback returned
	carry time.Duration // of Turn: the work after its wait, which counts with that of the next Turn
	log   LogLimit
}

// TurnTimes counts the turns of a loop by how long the loop worked between two waits. Element 0
// counts those below 1 µs, element i those below 2^i µs that no element before it counts, and
// the last one also all that took longer.
type TurnTimes [32]uint64

// Quantile returns a time that the share q of the turns did not exceed: for 0.99, a time that
// one turn in a hundred may have exceeded. It is a power of two in microseconds, so the true one
// may be half of it. q is from 0 to 1. Without turns Quantile is 0.
func (t *TurnTimes) Quantile(q float64) time.Duration {
	total := uint64(0)
	for _, n := range t {
		total += n
	}
	if total == 0 {
		return 0
	}
	left := uint64(q * float64(total))
	for i, n := range t {
		if n > left || n > 0 && n == left && i == len(t)-1 {
			return time.Microsecond << i
		}
		left -= n
	}
	for i := len(t) - 1; ; i-- { // q is 1
		if t[i] > 0 {
			return time.Microsecond << i
		}
	}
}

// begins follows a wait.
func (s *slow) begins(r *Reactor) {
	if s.limit > 0 {
		s.from = r.k.Now()
		s.mark = s.from
	}
}

// resumes is the beginning of a Turn, and suspends its end. What its caller does meanwhile is not
// the loop's.
func (s *slow) resumes(r *Reactor) {
	if s.limit > 0 {
		s.mark = r.k.Now()
		s.from = s.mark - s.carry
	}
}

func (s *slow) suspends(r *Reactor) {
	if s.limit > 0 && !r.is(lifeStopped) {
		s.carry = r.k.Now() - s.from
	}
}

// ends precedes a wait.
func (s *slow) ends(r *Reactor) {
	if s.limit > 0 {
		us := uint64(max(r.k.Now()-s.from, 0) / time.Microsecond)
		r.stats.TurnTimes[min(bits.Len64(us), len(r.stats.TurnTimes)-1)]++
	}
}

// returned follows a callback of who: a source, a function, or a name.
func (s *slow) returned(r *Reactor, who any) {
	if s.limit == 0 {
		return
	}
	now := r.k.Now()
	took := now - s.mark
	s.mark = now
	if took < s.limit && took <= r.stats.Slowest {
		return
	}
	name := ""
	if fn, ok := who.(func()); ok {
		name = funcName(fn)
	} else {
		name = nameOf(who)
	}
	if took > r.stats.Slowest {
		r.stats.Slowest, r.stats.SlowestName = took, name
	}
	if took >= s.limit {
		r.stats.Slow++
		s.log.Log(r, r.log, slog.LevelWarn, "a callback has held up the loop", slog.String("in", name), slog.Duration("took", took))
	}
}
