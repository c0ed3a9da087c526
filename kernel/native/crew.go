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

// crew are the loops of a group, which share the Ps of the process.
type crew struct {
	origin time.Time
	once   sync.Once
	loops  []place
	starts sync.Mutex // of base
}

// place is one loop in a crew. A nil *place is that of a loop that is in none.
type place struct {
	crew  *crew
	since atomic.Int64  // when it began to wait, on the crew's clock; 0: it does not wait
	ahead time.Duration // of the crew's clock
	_     [32]byte      // no other place is in the same cache line
}

// join gives the loop with this number its place.
func (c *crew) join(loop, loops int) *place {
	c.once.Do(func() { c.loops = make([]place, max(loops, loop+1)) })
	if loop >= len(c.loops) {
		return nil
	}
	return &c.loops[loop]
}

// open is called when the loop's kernel is opened, whose clock began at origin.
func (p *place) open(c *crew, origin time.Time) {
	if p != nil {
		p.crew, p.ahead = c, origin.Sub(c.origin)
		p.since.Store(0)
	}
}

// waits is called when the loop begins to wait, at now on its own clock, and runs when that is over.
func (p *place) waits(now time.Duration) {
	if p != nil {
		p.since.Store(int64(now + p.ahead))
	}
}

func (p *place) runs() {
	if p != nil {
		p.since.Store(0)
	}
}

// alone tells whether all other loops have waited for a while. A loop that has died counts as one that runs, until it is
// started anew: so the others hold no P meanwhile.
func (p *place) alone(now time.Duration) bool {
	if p == nil {
		return true
	}
	latest := int64(now + p.ahead - shortIdle)
	for i := range p.crew.loops {
		if o := &p.crew.loops[i]; o != p {
			if since := o.since.Load(); since == 0 || since > latest {
				return false
			}
		}
	}
	return true
}

// OpenGroup returns a function that opens the kernel of that name, as OpenWith does with o, for each loop of a reactor.Group: it is for
// GroupConfig.Kernel, of one group. It sets Options.Loops. With WaitAuto a loop may hold its P while the others are idle, however many there are, so that a
// client that is alone is served as fast as by a single loop. The function may be called from several goroutines.
func OpenGroup(name string, o Options) func(loop, loops int) (kernel.Kernel, error) {
	c := &crew{origin: time.Now()}
	return func(loop, loops int) (kernel.Kernel, error) {
		o := o
		o.Loops, o.crew, o.place = loops, c, c.join(loop, loops)
		return OpenWith(name, o)
	}
}
