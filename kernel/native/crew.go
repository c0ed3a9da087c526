package native

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// shortIdle is how long all other loops of a group must have waited before a loop holds its P. Otherwise what they do, and have done by other
// goroutines, would want that P, and the runtime needs as long to get it back.
const shortIdle = 10 * time.Millisecond

// looksPerClock is how many looks at the other loops read the clock once: it costs more than a look.
const looksPerClock = 16

// crew are the loops of a group, which share the Ps of the process.
type crew struct {
	once   sync.Once
	loops  []place
	starts sync.Mutex // of base
}

// place is one loop in a crew. A nil *place is that of a loop that is in none.
type place struct {
	crew  *crew
	turns atomic.Uint64 // odd while it waits, one more at the beginning and at the end of each wait

	// What the loop knows of the others. It counts their turns instead of comparing times, because a loop without timers reads no clock.
	sum   uint64        // of their turns, when all of them waited
	looks uint32        // that found this sum
	since time.Duration // when the second of these was, on the loop's clock
	idle  bool          // the sum has stood for shortIdle
	_     [16]byte      // no other place is in the same cache line
}

// join gives the loop with this number its place.
func (c *crew) join(loop, loops int) *place {
	c.once.Do(func() { c.loops = make([]place, max(loops, loop+1)) })
	if loop >= len(c.loops) {
		return nil
	}
	return &c.loops[loop]
}

// open is called when the loop's kernel is opened. From then on the loop runs, until it waits.
func (p *place) open(c *crew) {
	if p != nil {
		p.crew, p.looks, p.idle = c, 0, false
		p.turns.Store((p.turns.Load() + 2) &^ 1)
	}
}

// turn is called when the loop begins to wait and when that is over.
func (p *place) turn() {
	if p != nil {
		p.turns.Store(p.turns.Load() + 1)
	}
}

// alone tells whether all other loops have waited for a while. A loop that has died counts as one that runs, until it is
// started anew: so the others hold no P meanwhile. clock is the loop's own.
func (p *place) alone(clock interface{ Now() time.Duration }) bool {
	if p == nil {
		return true
	}
	sum := uint64(0)
	for i := range p.crew.loops {
		if o := &p.crew.loops[i]; o != p {
			turns := o.turns.Load()
			if turns%2 == 0 {
				p.looks, p.idle = 0, false
				return false
			}
			sum += turns
		}
	}
	if sum != p.sum {
		p.sum, p.looks, p.idle = sum, 0, false
	}
	if p.idle {
		return true
	}
	switch p.looks++; {
	case p.looks == 2: // not at the first: if others are busy, each look is one
		p.since = clock.Now()
	case p.looks%looksPerClock == 0:
		p.idle = clock.Now()-p.since >= shortIdle
	}
	return p.idle
}

// OpenGroup returns a function that opens the kernel of that name, as OpenWith does with o, for each loop of a reactor.Group: it is for
// GroupConfig.Kernel, of one group. It sets Options.Loops. With WaitAuto a loop may hold its P while the others are idle, however many there are, so that a
// client that is alone is served as fast as by a single loop. The function may be called from several goroutines.
func OpenGroup(name string, o Options) func(loop, loops int) (kernel.Kernel, error) {
	c := new(crew)
	return func(loop, loops int) (kernel.Kernel, error) {
		o := o
		o.Loops, o.crew, o.place = loops, c, c.join(loop, loops)
		return OpenWith(name, o)
	}
}
