package receiver_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// wire is a transport that records what is done to it, and delivers a stream in
// chunks of one size to a protocol, as a reactor would: nothing while it is paused
// or closed, and each chunk only lent.
type wire struct {
	size      int
	proto     reactor.Protocol
	pending   []byte
	paused    bool
	over      bool
	inside    bool // delivering
	wrote     []string
	log       []string
	fail      error // what Write returns
	failAfter int   // after so many writes
}

// dial connects p over a new wire.
func dial(size int, p reactor.Protocol) *wire {
	w := &wire{size: size, proto: p}
	p.ConnectionMade(w)
	return w
}

// send delivers stream, or keeps it while paused.
func (w *wire) send(stream string) {
	w.pending = append(w.pending, stream...)
	w.pump()
}

func (w *wire) pump() {
	if w.inside {
		return
	}
	w.inside = true
	defer func() { w.inside = false }()
	for len(w.pending) > 0 && !w.paused && !w.over {
		n := min(w.size, len(w.pending))
		lent := slices.Clone(w.pending[:n])
		w.pending = w.pending[n:]
		w.proto.DataReceived(lent)
		for i := range lent { // whoever still looks at it sees this
			lent[i] = '#'
		}
	}
}

func (w *wire) Write(p []byte) (int, error) {
	if w.fail != nil && len(w.wrote) >= w.failAfter {
		return 0, w.fail
	}
	if w.over {
		return 0, reactor.ErrClosed
	}
	w.wrote = append(w.wrote, string(p))
	return len(p), nil
}

func (w *wire) Close() error {
	if !w.over {
		w.over = true
		w.log = append(w.log, "close")
	}
	return nil
}

func (w *wire) Abort() {
	w.over = true
	w.log = append(w.log, "abort")
}

func (w *wire) PauseProducing() {
	w.paused = true
	w.log = append(w.log, "pause")
}

func (w *wire) ResumeProducing() {
	w.paused = false
	w.log = append(w.log, "resume")
	w.pump()
}

func (w *wire) StopProducing()            { w.Close() }
func (w *wire) Local() kernel.Addr        { return kernel.Addr{} }
func (w *wire) Remote() kernel.Addr       { return kernel.Addr{} }
func (w *wire) Reactor() *reactor.Reactor { return nil }

var (
	_ reactor.Transport = (*wire)(nil)
	_ reactor.Producer  = (*wire)(nil)
)

// everyChunk runs body for every way of cutting the stream: X-7.
func everyChunk(t *testing.T, body func(t *testing.T, size int)) {
	for _, size := range []int{1, 2, 3, 7, 1 << 30} {
		t.Run(fmt.Sprint("chunk", size), func(t *testing.T) { body(t, size) })
	}
}

// events collects what a receiver calls.
type events []string

func (e *events) add(format string, args ...any) { *e = append(*e, fmt.Sprintf(format, args...)) }

// take is a handler that notes what it is given.
func (e *events) take(kind string) func([]byte) {
	return func(p []byte) { e.add("%s %s", kind, p) }
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// bare is a transport that can only do what every transport can.
type bare struct{ reactor.Transport }

// sink takes writes and keeps nothing; pausing it does nothing.
type sink struct{ wire }

func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) PauseProducing()             {}
func (s *sink) ResumeProducing()            {}
