package receiver_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// wire is one end of a connection on a simulated network: a protocol under test on a real
// stream, which reads in chunks of one size. The wire notes what is done to the stream, and does it;
// peer is the other end.
type wire struct {
	*reactor.Stream
	t      *testing.T
	proto  reactor.Protocol
	peer   *reactor.Stream
	wrote  []string // writes that were taken
	log    []string
	paused bool
	ended  bool // closed or aborted by the protocol
	late   string
	bare   bool // the protocol has the stream itself
	cut    bool // the protocol has been told of the loss
	max    int  // StreamConfig.MaxBuffered
	panics int
}

// dial connects p by a stream that reads chunks of a size.
func dial(t *testing.T, size int, p reactor.Protocol) *wire {
	t.Helper()
	w := &wire{t: t, proto: p}
	w.connect(size)
	if w.panics > 0 {
		t.Errorf("%d panics", w.panics)
	}
	return w
}

// whole is more than any test sends: one chunk.
const whole = 1 << 20

func (w *wire) connect(size int) {
	w.t.Helper()
	n := sim.New(1)
	n.Options.SendBuffer, n.Options.RecvBuffer = whole, whole
	n.Config.ReadBuffer = 1 << 10 // of the host's own reactor, which has nothing to do
	r := testworld.New(w.t, n.Kernel(), reactor.Config{
		ReadBuffer: min(size, whole),
		Panicked:   func(*reactor.PanicError) { w.panics++ },
	})
	loopback := kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	port, err := r.Listen(loopback, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return tap{w} }),
		&reactor.ListenConfig{StreamConfig: reactor.StreamConfig{MaxBuffered: w.max}})
	if err != nil {
		w.t.Fatal(err)
	}
	r.Dial(port.Addr(), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &other{w: w} }), nil, nil)
	testworld.Until(w.t, func() bool { return w.Stream != nil && w.peer != nil }, r)
	w.pump()
}

// send sends stream from the peer, and waits until all of it was delivered, or is kept
// because the stream is paused.
func (w *wire) send(stream string) {
	w.t.Helper()
	w.peer.Write([]byte(stream))
	w.pump()
}

// pump lets everything happen that can, until nothing more has come for a while.
func (w *wire) pump() {
	w.t.Helper()
	r := w.Reactor()
	for before := (reactor.Stats{}); before.Events != r.Stats().Events; {
		before = r.Stats()
		over := false
		r.CallLater(10*time.Millisecond, func() { over = true })
		testworld.Until(w.t, func() bool { return over }, r)
	}
}

// lose tells the protocol that the connection is lost for err, and nothing after it.
func (w *wire) lose(err error) {
	w.proto.ConnectionLost(err)
	w.cut = true
	w.Stream.Abort()
}

// Unwrap is the stream.
func (w *wire) Unwrap() reactor.Transport { return w.Stream }

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Stream.Write(p)
	if err == nil {
		w.wrote = append(w.wrote, string(p))
	}
	return n, err
}

func (w *wire) Close() error {
	if !w.ended {
		w.ended = true
		w.log = append(w.log, "close")
	}
	return w.Stream.Close()
}

func (w *wire) Abort() {
	w.ended = true
	w.log = append(w.log, "abort")
	w.Stream.Abort()
}

func (w *wire) PauseProducing() {
	w.paused = true
	w.log = append(w.log, "pause")
	w.Stream.PauseProducing()
}

func (w *wire) ResumeProducing() {
	w.paused = false
	w.log = append(w.log, "resume")
	w.Stream.ResumeProducing()
}

func (w *wire) StopProducing() { w.Close() }

var (
	_ reactor.Transport = (*wire)(nil)
	_ reactor.Producer  = (*wire)(nil)
)

// tap stands between the stream and the protocol under test.
type tap struct{ w *wire }

var _ reactor.Protocol = tap{}

// Unwrap is the protocol under test.
func (p tap) Unwrap() reactor.Protocol { return p.w.proto }

// ConnectionMade gives the wire to the protocol as its transport.
func (p tap) ConnectionMade(t reactor.Transport) {
	w := p.w
	w.Stream = t.(*reactor.Stream)
	if w.bare {
		w.proto.ConnectionMade(t)
	} else {
		w.proto.ConnectionMade(w)
	}
}

// DataReceived passes on what came, and, behind what made the protocol end the connection,
// what is late.
func (p tap) DataReceived(lent []byte) {
	w := p.w
	w.proto.DataReceived(lent)
	for i := range lent { // whoever still looks at it sees this
		lent[i] = '#'
	}
	if w.ended && w.late != "" {
		w.proto.DataReceived([]byte(w.late))
		w.late = ""
	}
}

func (p tap) ConnectionLost(err error) {
	if !p.w.cut {
		p.w.proto.ConnectionLost(err)
	}
}

// other is the peer's protocol.
type other struct {
	reactor.Base
	w *wire
}

func (o *other) ConnectionMade(t reactor.Transport) { o.w.peer = t.(*reactor.Stream) }
func (o *other) DataReceived([]byte)                {}

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
