package tlsio

import (
	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/reactor"
)

// freeStacks is how many stacks without a handshake are kept.
const freeStacks = 16

// stacks keeps the stacks of handshakes that have ended for others. A new stack grows three times in a handshake, which takes a twentieth
// of its time. The garbage collector shrinks those that are not used. It belongs to the loop's goroutine.
type stacks struct {
	unwind func(func()) // calls it where a stack may be ended
	free   []*coro.Reused
	ended  bool // the reactor ends, so none is kept
}

func (f *stacks) init(r *reactor.Reactor, q *queue, o Options) {
	f.ended, f.unwind = r.Ending(), q.workers.Unwind
	if o.Stack == StackLoop {
		f.unwind = func(end func()) { end() }
	}
	r.AddTrigger(reactor.After, reactor.Shutdown, f.end)
}

// take returns a stack without a function.
func (f *stacks) take() *coro.Reused {
	n := len(f.free) - 1
	if n < 0 {
		return new(coro.Reused)
	}
	k := f.free[n]
	f.free[n] = nil
	f.free = f.free[:n]
	return k
}

// give takes k back, whose function has ended.
func (f *stacks) give(k *coro.Reused) {
	switch {
	case !k.Free(): // by a panic, and the stack with it
	case f.ended || len(f.free) >= freeStacks:
		f.unwind(k.Unwind)
	default:
		f.free = append(f.free, k)
	}
}

// end ends all that are kept, and keeps no more.
func (f *stacks) end() {
	for _, k := range f.free {
		f.unwind(k.Unwind)
	}
	f.free, f.ended = nil, true
}
