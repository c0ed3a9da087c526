package native

import (
	"sync/atomic"

	"github.com/whorl-go/whorl/kernel"
)

// heldPs are the Ps that waiting loops of a group hold. There is always one more, for other goroutines. A nil *heldPs allows everything.
type heldPs struct{ now, most atomic.Int32 }

// take tells whether one more may be held, until give.
func (h *heldPs) take() bool {
	if h == nil || h.now.Add(1) <= h.most.Load() {
		return true
	}
	h.now.Add(-1)
	return false
}

func (h *heldPs) give() {
	if h != nil {
		h.now.Add(-1)
	}
}

// limit says how many may be held.
func (h *heldPs) limit(n int) {
	if h != nil && h.most.Load() != int32(n) {
		h.most.Store(int32(n))
	}
}

// OpenGroup returns a function that opens the kernel of that name, as OpenWith does with o, for each loop of a reactor.Group: it is for
// GroupConfig.Kernel. Options.Loops is set by it. With WaitAuto any of the loops may hold its P while it waits, but not all at a time, so that other goroutines find
// one. The function may be called from several goroutines.
func OpenGroup(name string, o Options) func(loop, loops int) (kernel.Kernel, error) {
	o.held = new(heldPs)
	return func(_, loops int) (kernel.Kernel, error) {
		o := o
		o.Loops = loops
		return OpenWith(name, o)
	}
}
