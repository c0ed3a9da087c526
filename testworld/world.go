package testworld

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// Limit is how long Until, a Peer or a Script waits before it fails, by the kernel's
// clock.
const Limit = 30 * time.Second

// World is an environment for reactors: a kind of kernel, and what its kernels connect
// to. The zero World is not valid; [Worlds], [Native] and [Chunked] return Worlds.
//
// All kernels of one World reach each other. Those of a native one use the loopback of
// this machine. Those of the simulated one are on the host "localhost" of one network;
// each walk over the worlds makes a new network.
type World struct {
	name    string
	chunk   int
	crowded bool
	open    func() (kernel.Kernel, error)
	net     *sim.Net // of the simulated world
	peers   *peerKernels
}

// Worlds iterates over every kernel that works on this machine, and then the simulated
// one, "sim", whose children know the scripts of [Shell]. A test that needs real descriptors,
// signals of this process or other programs uses [Native].
func Worlds() iter.Seq2[string, World] {
	return func(yield func(string, World) bool) {
		for name, w := range Native() {
			if !yield(name, w) {
				return
			}
		}
		w := Simulation()
		yield(w.name, w)
	}
}

// Simulation is the last world of Worlds alone: "sim", on a new network.
func Simulation() World { return simulated(0) }

// Native iterates over the kernels of Worlds, without the simulated one.
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

// simulated returns a world on a new network. The chunk size is also the seed, so that
// the worlds of Chunked differ in their random choices.
func simulated(chunk int) World {
	n := sim.New(uint64(1 + chunk))
	n.Options.Chunk, n.Idle = chunk, idlePause
	n.Config.ReadBuffer = 16 << 10 // no test uses the host's own reactor
	Shell(n)
	return World{name: "sim", chunk: chunk, net: n, peers: new(peerKernels), open: func() (kernel.Kernel, error) { return n.Kernel(), nil }}
}

// idlePause lets goroutines outside of a simulated world run, such as those of a
// reactor's pool. Without it simulated time would be far ahead before they had done
// anything.
func idlePause() { time.Sleep(100 * time.Microsecond) }

// ChunkSizes are the most bytes that one read or write moves, in the worlds of Chunked.
// Every way of cutting a stream that has ever found a defect is among them. Zero means no
// limit.
func ChunkSizes() []int { return []int{1, 2, 3, 7, 0} }

// Chunked iterates over every kernel of Worlds, with each of ChunkSizes.
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

// Chunk is the most bytes that one read or write moves in this world. Zero means no
// limit.
func (w World) Chunk() int { return w.chunk }

// Simulated tells whether time, network and chance of this world are simulated. Then time
// passes only while a kernel waits, and it jumps.
func (w World) Simulated() bool { return w.net != nil }

// Net is the network of a simulated world, on which faults can be set. It is nil for a
// native world.
func (w World) Net() *sim.Net { return w.net }

// Alone has simulated time jump: from here on, goroutines outside of this world are not waited for. It does nothing in a
// native world. It returns w.
func (w World) Alone() World {
	if w.net != nil {
		w.net.Idle = nil
	}
	return w
}

// Open opens a kernel of this world, and fails the test if it cannot. If this system lacks the kernel, the test is
// skipped. The caller closes it, or a reactor made on it does. In a simulated world the test also fails if it breaks a
// rule that the simulation looks at.
func (w World) Open(t testing.TB) kernel.Kernel {
	t.Helper()
	if w.Simulated() {
		t.Cleanup(func() {
			if err := w.net.Err(); err != nil {
				t.Error(err)
			}
		})
	}
	k, err := w.open()
	switch {
	case errors.Is(err, kernel.ErrUnsupported):
		t.Skipf("this system has no kernel %s: %v", w.name, err)
	case err != nil:
		t.Fatalf("opening %s: %v", w.name, err)
	}
	if w.chunk == 0 || w.Simulated() {
		return k
	}
	f := &Faults{MaxRead: w.chunk, MaxWrite: w.chunk}
	if w.crowded {
		f.Read, f.Write = seldomMore(&f.MaxRead, w.chunk), seldomMore(&f.MaxWrite, w.chunk)
	}
	return f.Wrap(k)
}

// Crowded is w for tests that make thousands of connections, several at a time. Streams are
// cut, but for every 32nd read and write, which moves more: in thousands of bytes that are
// cut all alike there is nothing new, and the last hundreds are cut as ever. Native kernels
// know that there are others, for which they do not keep their Ps while they wait.
func (w World) Crowded() World {
	w.crowded = true
	if !w.Simulated() {
		w.open = func() (kernel.Kernel, error) {
			return native.OpenWith(w.name, native.Options{Loops: runtime.GOMAXPROCS(0)})
		}
	}
	return w
}

// seldomMore sets most before each call: to chunk, and every 32nd time to more.
func seldomMore(most *int, chunk int) func() error {
	const often, more = 32, 512
	calls := 0
	return func() error {
		if calls++; calls%often == 0 {
			*most = more
		} else {
			*most = chunk
		}
		return nil
	}
}

// New makes a reactor on a new kernel of this world. When the test ends the reactor is
// closed. The test fails if connections, ports or descriptors are left then. A panic in a
// callback fails the test, unless c.Panicked is set, and so does an error that is logged, unless c.Logger is set: with the
// logger of a [Log] the test says which errors it expects.
func (w World) New(t testing.TB, c reactor.Config) *reactor.Reactor {
	t.Helper()
	return New(t, w.Open(t), c)
}

// New is like World.New, with a kernel of the caller.
func New(t testing.TB, k kernel.Kernel, c reactor.Config) *reactor.Reactor {
	t.Helper()
	if c.Logger == nil {
		c.Logger = unexpected(t)
	}
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

// Until turns the reactors until done returns true, and fails the test if that takes
// longer than Limit. The reactors must not be in Run. In a simulated world it advances by
// at most a millisecond at a time, so that done may depend on other goroutines too.
func Until(t testing.TB, done func() bool, rs ...*reactor.Reactor) {
	t.Helper()
	end, before := rs[0].Now()+Limit, uint64(0)
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
		if len(rs) > 1 {
			// While one of them is busy none waits, or each byte would take a step on its way from one to another.
			if now := progress(rs); now != before {
				left, before = 0, now
			}
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

// progress is a count of what the reactors have done.
func progress(rs []*reactor.Reactor) (n uint64) {
	for _, r := range rs {
		s := r.Stats()
		n += s.Events + s.Posted + s.DelayedCalls
	}
	return n
}

// step is the longest time that passes before a condition is looked at again.
const step = time.Millisecond

// isSimulated tells whether the innermost kernel below k is simulated.
func isSimulated(k kernel.Kernel) bool { return sim.Of(k) != nil }

// Turns makes n turns of r without waiting.
func Turns(t testing.TB, r *reactor.Reactor, n int) {
	t.Helper()
	for range n {
		if err := r.Turn(0); err != nil {
			t.Fatalf("turn: %v", err)
		}
	}
}
