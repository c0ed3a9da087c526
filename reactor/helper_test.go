package reactor_test

import (
	"flag"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// loopback is a free port of 127.0.0.1.
var loopback = kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0)

// wrapped says that every kernel has a wrapper around it that does nothing.
var wrapped = flag.Bool("wrapped", false, "put a wrapper that does nothing around every kernel")

// notWrapped leaves out a test that waits for seconds, and has a wrapped kernel anyway: one
// that fails on demand.
func notWrapped(t *testing.T) {
	t.Helper()
	if *wrapped {
		t.Skip("its kernels are wrapped anyway")
	}
}

// wrap puts the wrapper of -wrapped around the kernels of each world.
func wrap(worlds iter.Seq2[string, testworld.World]) iter.Seq2[string, testworld.World] {
	return func(yield func(string, testworld.World) bool) {
		for name, w := range worlds {
			if *wrapped {
				w = w.Wrapped()
			}
			if !yield(name, w) {
				return
			}
		}
	}
}

// crowded is wrap for tests that make thousands of connections.
func crowded(worlds iter.Seq2[string, testworld.World]) iter.Seq2[string, testworld.World] {
	return wrap(func(yield func(string, testworld.World) bool) {
		for name, w := range worlds {
			if !yield(name, w.Crowded()) {
				return
			}
		}
	})
}

// worlds runs body once on every kernel, the simulated one included.
func worlds(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range wrap(testworld.Worlds()) {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// heavy is worlds for tests that move megabytes. Under the race detector it runs body on
// the first kernel only: the detector looks at each byte, and finds no more on other
// kernels.
func heavy(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range wrap(testworld.Worlds()) {
		t.Run(name, func(t *testing.T) { body(t, w) })
		if raced {
			break
		}
	}
}

// chunked runs body on every kernel, for every chunk size.
func chunked(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range wrap(testworld.Chunked()) {
		if raced && (w.Chunk() > 1 || w.Chunk() == 1 && w.Simulated()) {
			continue // the race detector is slow, and sees no more in other pieces
		}
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// nativeWorlds is worlds without the simulated one; why says what that one lacks.
func nativeWorlds(t *testing.T, why string, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range wrap(testworld.Native()) {
		t.Run(name, func(t *testing.T) {
			t.Logf("not simulated: %s", why)
			body(t, w)
		})
	}
}

// bulk returns n, a number of bytes that the buffers on the way cannot hold. Where
// streams are cut it returns less, and makes the buffers smaller if the kernel can.
func bulk(w testworld.World, n int) int {
	if w.Chunk() == 0 {
		return n
	}
	if n := w.Net(); n != nil {
		n.Options.SendBuffer, n.Options.RecvBuffer = 200, 200
	}
	return 2048
}

// must is v, a capability that is there.
func must[T any](v T, ok bool) T {
	if !ok {
		panic(fmt.Sprintf("no %T", v))
	}
	return v
}

// hearsFailures tells whether the kernel of r reports the failure of a conn that waits for
// nothing. select cannot.
func hearsFailures(r *reactor.Reactor) bool { return !kernel.LimitsOf(r.Kernel()).NoFailed }

// until turns r until done.
func until(t *testing.T, r *reactor.Reactor, done func() bool) {
	t.Helper()
	testworld.Until(t, done, r)
}

// untilAlone is until where only the loop of r makes done true, not another goroutine. So a wait in simulated time
// need not be cut into steps, after each of which the simulation pauses for the others.
func untilAlone(t *testing.T, r *reactor.Reactor, done func() bool) {
	t.Helper()
	for end := r.Now() + testworld.Limit; !done(); {
		if r.Now() >= end {
			t.Fatalf("nothing came of it in %v: %+v", testworld.Limit, r.Stats())
		}
		if err := r.Turn(end - r.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// end is a protocol that notes what happens to it, in order, and does what it is
// told on each event.
type end struct {
	s      *reactor.Stream // from ConnectionMade on
	got    []byte
	err    error // of ConnectionLost
	events []string

	onMade func()
	onData func(p []byte)
	onLost func(err error)
}

func (e *end) ConnectionMade(t reactor.Transport) {
	e.s = t.(*reactor.Stream)
	e.note("made")
	if e.onMade != nil {
		e.onMade()
	}
}

func (e *end) DataReceived(p []byte) {
	e.got = append(e.got, p...)
	if n := len(e.events); n == 0 || e.events[n-1] != "data" {
		e.note("data")
	}
	if e.onData != nil {
		e.onData(p)
	}
}

func (e *end) ConnectionLost(err error) {
	e.err = err
	switch err {
	case io.EOF:
		e.note("lost eof")
	case reactor.ErrClosed:
		e.note("lost closed")
	case reactor.ErrAborted:
		e.note("lost aborted")
	default:
		e.note("lost " + fmt.Sprintf("%T", err))
	}
	if e.onLost != nil {
		e.onLost(err)
	}
}

func (e *end) note(what string) { e.events = append(e.events, what) }

// halfEnd is an end that listens to half-closes.
type halfEnd struct {
	end
	onReadLost  func()
	onWriteLost func()
}

func (h *halfEnd) ReadConnectionLost() {
	h.note("read lost")
	if h.onReadLost != nil {
		h.onReadLost()
	}
}

func (h *halfEnd) WriteConnectionLost() {
	h.note("write lost")
	if h.onWriteLost != nil {
		h.onWriteLost()
	}
}

// one is the factory of a single protocol.
func one(p reactor.Protocol) reactor.Factory {
	return reactor.One(p)
}

// listen listens on a free port of the loopback.
func listen(t *testing.T, r *reactor.Reactor, f reactor.Factory, o *reactor.ListenConfig) *reactor.Port {
	t.Helper()
	p, err := r.Listen(loopback, f, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// connect connects cli to srv over the loopback and turns r until both are made.
func connect(t *testing.T, r *reactor.Reactor, srv, cli reactor.Protocol) (*reactor.Port, *reactor.Connector) {
	t.Helper()
	made := 0
	p := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { made++; return srv }), nil)
	c := r.Dial(p.Addr(), one(cli), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			t.Errorf("dial: %v", err)
		}
		made++
	})
	until(t, r, func() bool { return made == 2 })
	return p, c
}
