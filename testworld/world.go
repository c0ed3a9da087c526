package testworld

import (
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// Limit is how long Until turns before it gives up, by the reactor's clock.
const Limit = 30 * time.Second

// World is a kind of place where reactors live. The zero World is not one; get
// them from [Worlds], [Native] or [Chunked]. All kernels of one World reach each
// other: those of a native one over the loopback of this machine, those of the
// simulated one on the host "localhost" of one network, which each walk makes anew.
type World struct {
	name  string
	chunk int
	open  func() (kernel.Kernel, error)
	net   *sim.Net // of the simulated world
	peers *peerKernels
}

// Worlds walks every kernel that works on this machine, and then the simulated one,
// "sim". What holds only where there are real descriptors, signals or other programs
// is for [Native].
func Worlds() iter.Seq2[string, World] {
	return func(yield func(string, World) bool) {
		for name, w := range Native() {
			if !yield(name, w) {
				return
			}
		}
		w := simulated(0)
		yield(w.name, w)
	}
}

// Native walks every kernel of Worlds but the simulated one.
func Native() iter.Seq2[string, World] {
	return func(yield func(string, World) bool) {
		for _, name := range native.Names() {
			w := World{name: name, peers: new(peerKernels)}
			w.open = func() (kernel.Kernel, error) { return native.Open(name) }
			if !yield(name, w) {
				return
			}
		}
	}
}

// simulated is a world on a network of its own. The chunk size is also the seed, so
// that the worlds of Chunked differ in what is left to chance.
func simulated(chunk int) World {
	n := sim.New(uint64(1 + chunk))
	n.Options.Chunk, n.Idle = chunk, idlePause
	n.Config.ReadBuffer = 16 << 10 // the host's own reactor is not what tests are about
	return World{name: "sim", chunk: chunk, net: n, peers: new(peerKernels), open: func() (kernel.Kernel, error) { return n.Kernel(), nil }}
}

// idlePause is for goroutines outside of a simulated world, such as a reactor's pool:
// without it, time would have jumped far ahead before they had done anything.
func idlePause() { time.Sleep(100 * time.Microsecond) }

// ChunkSizes are the most bytes that one read or write moves, in the worlds of
// Chunked: every way of cutting a stream that has ever found a defect. Zero is no
// limit.
func ChunkSizes() []int { return []int{1, 2, 3, 7, 0} }

// Chunked walks every kernel for every one of ChunkSizes.
func Chunked() iter.Seq2[string, World] {
	return func(yield func(string, World) bool) {
		for name, w := range Worlds() {
			for _, n := range ChunkSizes() {
				cut := w
				cut.chunk = n
				if w.Simulated() {
					cut = simulated(n)
				}
				if !yield(fmt.Sprintf("%s/%d", name, n), cut) {
					return
				}
			}
		}
	}
}

// Name is the kernel's name.
func (w World) Name() string { return w.name }

// Chunk is the most bytes that one read or write moves here; 0 is no limit.
func (w World) Chunk() int { return w.chunk }

// Simulated tells whether time, network and chance of this world are simulated. Time
// then passes only while a kernel waits, and jumps.
func (w World) Simulated() bool { return w.net != nil }

// Net is the network of a simulated world, on which faults can be set; nil for the
// others.
func (w World) Net() *sim.Net { return w.net }

// Open opens a kernel of this world, which the caller, or a reactor made of it,
// closes.
func (w World) Open(t testing.TB) kernel.Kernel {
	t.Helper()
	k, err := w.open()
	if err != nil {
		t.Fatalf("opening %s: %v", w.name, err)
	}
	if w.chunk > 0 && !w.Simulated() {
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
// than Limit. It is for reactors that are not in Run. In a simulated world it goes on
// by a millisecond at a time, so that done may also depend on goroutines outside.
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
		if len(rs) > 1 || isSimulated(rs[0].Kernel()) {
			left = min(left, step)
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

// step is how far things go on before somebody looks again.
const step = time.Millisecond

// isSimulated tells whether k, or the kernel below it, is simulated.
func isSimulated(k kernel.Kernel) bool { return kernel.NameOf(kernel.Base(k)) == "sim" }

// Turns turns r n times without waiting.
func Turns(t testing.TB, r *reactor.Reactor, n int) {
	t.Helper()
	for range n {
		if err := r.Turn(0); err != nil {
			t.Fatalf("turn: %v", err)
		}
	}
}
