// Package reactortest is for tests of code that runs on a reactor: every kernel of
// this machine as a world to run the same test body in, a way to turn reactors
// until something is so, and a kernel that fails on demand.
//
//	for name, w := range reactortest.Worlds() {
//		t.Run(name, func(t *testing.T) {
//			r := w.New(t, reactor.Config{})
//			...
//			reactortest.Until(t, func() bool { return got == want }, r)
//		})
//	}
package reactortest

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// Limit is how long Until turns before it gives up, by the reactor's clock.
const Limit = 30 * time.Second

// World is a kind of place where reactors live. The zero World is not one; get
// them from [Worlds].
type World struct {
	name  string
	chunk int
	open  func() (kernel.Kernel, error)
}

// Worlds walks every kernel that works on this machine.
func Worlds() iter.Seq2[string, World] {
	return func(yield func(string, World) bool) {
		for _, name := range native.Names() {
			w := World{name: name, open: func() (kernel.Kernel, error) { return native.Open(name) }}
			if !yield(name, w) {
				return
			}
		}
	}
}

// ChunkSizes are the most bytes that one read or write moves, in the worlds of
// Chunked: every way of cutting a stream that has ever found a defect. Zero is no
// limit.
func ChunkSizes() []int { return []int{1, 2, 3, 7, 0} }

// Chunked walks every kernel for every one of ChunkSizes.
func Chunked() iter.Seq2[string, World] {
	return func(yield func(string, World) bool) {
		for name, w := range Worlds() {
			for _, n := range ChunkSizes() {
				w.chunk = n
				if !yield(fmt.Sprintf("%s/%d", name, n), w) {
					return
				}
			}
		}
	}
}

// Name is the kernel's name.
func (w World) Name() string { return w.name }

// Open opens a kernel of this world, which the caller, or a reactor made of it,
// closes.
func (w World) Open(t testing.TB) kernel.Kernel {
	t.Helper()
	k, err := w.open()
	if err != nil {
		t.Fatalf("opening %s: %v", w.name, err)
	}
	if w.chunk > 0 {
		return (&Faults{MaxRead: w.chunk, MaxWrite: w.chunk}).Wrap(k)
	}
	return k
}

// New makes a reactor of this world. When the test ends it is closed, and the
// test fails if connections, ports or descriptors were still there after that. A
// panic in a callback fails the test, unless c.Panicked is set.
func (w World) New(t testing.TB, c reactor.Config) *reactor.Reactor {
	t.Helper()
	return New(t, w.Open(t), c)
}

// New is World.New on a kernel of one's own.
func New(t testing.TB, k kernel.Kernel, c reactor.Config) *reactor.Reactor {
	t.Helper()
	if c.Panicked == nil {
		c.Panicked = func(e *reactor.PanicError) { t.Errorf("%v\n%s", e, e.Stack) }
	}
	r := reactor.New(k, c)
	t.Cleanup(func() {
		r.Close()
		if n := r.Stats().Sources; n != 0 {
			t.Errorf("%d ports, connections or descriptors left after the reactor closed", n)
		}
	})
	return r
}

// Until turns the reactors until done, and fails the test when that takes longer
// than Limit. It is for reactors that are not in Run.
func Until(t testing.TB, done func() bool, rs ...*reactor.Reactor) {
	t.Helper()
	end := rs[0].Now() + Limit
	for !done() {
		left := end - rs[0].Now()
		if left <= 0 {
			for _, r := range rs {
				t.Logf("%+v", r.Stats())
			}
			t.Fatalf("nothing came of it in %v", Limit)
		}
		if len(rs) > 1 {
			left = min(left, time.Millisecond)
		}
		for _, r := range rs {
			if err := r.Turn(left); err != nil {
				t.Fatalf("turn: %v", err)
			}
			if done() {
				return
			}
		}
	}
}

// Turns turns r n times without waiting.
func Turns(t testing.TB, r *reactor.Reactor, n int) {
	t.Helper()
	for range n {
		if err := r.Turn(0); err != nil {
			t.Fatalf("turn: %v", err)
		}
	}
}
