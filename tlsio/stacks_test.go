package tlsio

import (
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/sim"
)

// At most freeStacks stacks of handshakes that have ended are kept, and none once the reactor has ended, also of a handshake that ends later.
func TestStacksAreBounded(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	r := n.Host("host").Reactor
	f := &newLoop(r, Options{Stack: StackLoop}).stacks
	before := runtime.NumGoroutine()
	used := func() *coro.Reused {
		k := new(coro.Reused)
		k.Begin(func() {})
		k.Resume()
		return k
	}
	for range freeStacks + 3 {
		f.give(used())
	}
	// Goroutines of tests before this one may end meanwhile, so there may be fewer.
	if got := leaktest.Goroutines(before+freeStacks) - before; got > freeStacks || len(f.free) != freeStacks {
		t.Errorf("%d stacks are kept, and %d live, want %d", len(f.free), got, freeStacks)
	}
	late := used()
	r.Close()
	f.give(late)
	if got := leaktest.Goroutines(before); got > before {
		t.Errorf("%d stacks are left after the end of the reactor", got-before)
	}
}
