package flow

import (
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// Rate is how many bytes may pass. The zero Rate limits nothing.
type Rate struct {
	// PerSecond is in bytes. Zero or negative: no limit.
	PerSecond int64
	// Burst is how many bytes may pass at once after a quiet time. Zero or negative: those of 50 ms.
	Burst int64
}

// bucket is a bucket of tokens, one for each byte, that may be in debt: whoever finds none missing may pass any amount, and the debt is
// waited for. So bytes need not be counted before they are read or written, and the average is exact. The bucket does not count its tokens,
// but keeps when there are none.
type bucket struct {
	r     *reactor.Reactor
	rate  int64
	slack time.Duration // time to fill it
	zero  time.Duration // by the reactor's clock: when it is out of debt and empty
	rest  int64         // what is left of the division that gave zero, in bytes times nanoseconds
	// virtual is how many bytes the one that was let through last had passed. Those who come, or were idle, begin there, so that
	// nobody saves up a right to the whole bucket.
	virtual int64
	waiters []*share // a heap: the one that has passed least is first
	timer   reactor.DelayedCall
}

// newBucket makes an empty bucket, or nil if rate limits nothing.
func newBucket(r *reactor.Reactor, rate Rate) *bucket {
	if rate.PerSecond <= 0 {
		return nil
	}
	burst := rate.Burst
	if burst <= 0 {
		burst = max(1, rate.PerSecond/20)
	}
	b := &bucket{r: r, rate: rate.PerSecond, zero: r.Now()}
	b.slack = time.Duration(float64(burst) / float64(b.rate) * float64(time.Second))
	b.timer.Init(r, b.due)
	return b
}

// take takes n tokens.
func (b *bucket) take(n int, now time.Duration) {
	b.zero = max(b.zero, now-b.slack)
	b.rest += int64(n) * int64(time.Second)
	b.zero += time.Duration(b.rest / b.rate)
	b.rest %= b.rate
}

// owes tells whether the bucket is in debt. One that limits nothing is not.
func (b *bucket) owes(now time.Duration) bool { return b != nil && b.zero > now }

// wait has s wait until the bucket is out of debt and its turn has come.
func (b *bucket) wait(s *share) {
	s.side.waiting = s
	b.push(s)
	if !b.timer.Active() {
		b.timer.Reset(b.zero - b.r.Now())
	}
}

// due lets one pass. The next one follows when what that one has passed is paid for, in the next turn at the earliest.
func (b *bucket) due() {
	now := b.r.Now()
	if b.zero <= now && len(b.waiters) > 0 {
		s := b.waiters[0]
		b.remove(s)
		b.virtual = max(b.virtual, s.passed)
		s.side.goOn(now)
	}
	if len(b.waiters) > 0 {
		b.timer.Reset(b.zero - now)
	}
}

// share is one direction of a connection in a bucket.
type share struct {
	b      *bucket // nil: no limit
	side   *side
	passed int64 // bytes, in the count of b.virtual
	at     int   // in b.waiters
}

func (b *bucket) push(s *share) {
	s.passed = max(s.passed, b.virtual)
	s.at = len(b.waiters)
	b.waiters = append(b.waiters, s)
	b.up(s.at)
}

// remove takes s out of the heap.
func (b *bucket) remove(s *share) {
	s.side.waiting = nil
	last := len(b.waiters) - 1
	i := s.at
	b.swap(i, last)
	b.waiters[last] = nil
	b.waiters = b.waiters[:last]
	if i < last {
		b.down(i)
		b.up(i)
	}
	if last == 0 {
		b.timer.Cancel()
	}
}

func (b *bucket) swap(i, j int) {
	w := b.waiters
	w[i], w[j] = w[j], w[i]
	w[i].at, w[j].at = i, j
}

func (b *bucket) up(i int) {
	for i > 0 && b.waiters[i].passed < b.waiters[(i-1)/2].passed {
		b.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (b *bucket) down(i int) {
	for {
		least := i
		for j := 2*i + 1; j <= 2*i+2 && j < len(b.waiters); j++ {
			if b.waiters[j].passed < b.waiters[least].passed {
				least = j
			}
		}
		if least == i {
			return
		}
		b.swap(i, least)
		i = least
	}
}

// side is one direction of a connection, with its share of each bucket that limits it: its own, that of its group, that of all.
type side struct {
	shares  [3]share
	limited bool
	waiting *share // the one whose turn it waits for
	pass    func() // called when it may go on
}

func (s *side) init(pass func(), buckets ...*bucket) {
	s.pass = pass
	for i, b := range buckets {
		s.shares[i] = share{b: b, side: s}
		s.limited = s.limited || b != nil
	}
}

// took counts n bytes, and tells whether the side must wait now. pass is then called when it may go on.
func (s *side) took(n int, now time.Duration) (wait bool) {
	for i := range s.shares {
		if x := &s.shares[i]; x.b != nil {
			x.b.take(n, now)
			if x != s.waiting { // its place in the heap must not change
				x.passed = max(x.passed, x.b.virtual) + int64(n)
			}
		}
	}
	return s.waiting != nil || s.blocked(now)
}

// blocked has the side wait if one of its buckets is in debt, and tells so.
func (s *side) blocked(now time.Duration) bool {
	for i := range s.shares {
		if x := &s.shares[i]; x.b.owes(now) {
			x.b.wait(x)
			return true
		}
	}
	return false
}

// goOn is called when one bucket lets the side pass. Another one may not.
func (s *side) goOn(now time.Duration) {
	if !s.blocked(now) {
		s.pass()
	}
}

// exchange puts b in the place of the bucket at i, which may be nil only if b is.
func (s *side) exchange(i int, b *bucket, now time.Duration) {
	x := &s.shares[i]
	if x.b == b {
		return
	}
	waited := s.waiting == x
	if waited {
		x.b.remove(x)
	}
	*x = share{b: b, side: s}
	if waited {
		s.goOn(now)
	}
}

// leave is called at the loss.
func (s *side) leave() {
	if s.waiting != nil {
		s.waiting.b.remove(s.waiting)
	}
}
