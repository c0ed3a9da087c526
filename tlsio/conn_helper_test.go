package tlsio_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// stage is where both ends of a connection live.
type stage struct {
	t        *testing.T
	srv, cli *reactor.Reactor
	addr     kernel.Addr // to listen on
	chunk    int         // the most bytes that one read or write moves; 0: no limit
	until    func(cond func() bool)
}

// stages runs body on every kernel, with handshakes in the pool, and in simulation. It
// does so once for each chunk size: the most bytes that one read or write moves. The last
// one is unbounded. The race detector is slow, so it gets one kernel and one size. It can
// find nothing in a simulation, which has one goroutine, and nothing new on another
// kernel, where the pool is the same.
func stages(t *testing.T, chunks []int, body func(s *stage)) {
	t.Helper()
	if raced {
		chunks = chunks[len(chunks)-1:]
	}
	for _, n := range chunks {
		t.Run(fmt.Sprintf("sim/%d", n), func(t *testing.T) { body(simStage(t, uint64(n)+1, n)) })
	}
	for name, w := range testworld.Chunked() {
		if w.Simulated() || !slices.Contains(chunks, w.Chunk()) {
			continue // the simulation has its own, with two hosts
		}
		t.Run(name, func(t *testing.T) { body(realStage(t, w)) })
		if raced {
			break
		}
	}
}

// waitingStages is stages, without cutting streams, for a body that mostly waits. They run at the same time.
func waitingStages(t *testing.T, body func(s *stage)) {
	t.Helper()
	t.Run("simulated", func(t *testing.T) { body(simStage(t, 1, 0)) })
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body(realStage(t, w))
		})
		if raced {
			break
		}
	}
}

// realStage does not let the system wait for more where it is given small pieces: that
// is 40 ms for each answer.
func realStage(t *testing.T, w testworld.World) *stage {
	r := w.New(t, reactor.Config{})
	return &stage{t: t, srv: r, cli: r, addr: loopback(), chunk: w.Chunk(),
		until: func(cond func() bool) { t.Helper(); testworld.Until(t, cond, r) }}
}

func loopback() kernel.Addr { return kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0) }

func simStage(t *testing.T, seed uint64, chunk int) *stage {
	n := sim.New(seed)
	n.Options.Chunk = chunk
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 3 * time.Millisecond}
	srv, cli := n.Host("srv"), n.Host("cli")
	t.Cleanup(func() {
		n.Close()
		if left := srv.Reactor.Stats().Sources + cli.Reactor.Stats().Sources; left != 0 {
			t.Errorf("%d sources left", left)
		}
	})
	return &stage{t: t, srv: srv.Reactor, cli: cli.Reactor, addr: srv.Addr(443), chunk: chunk, until: func(cond func() bool) {
		t.Helper()
		if err := n.RunUntil(cond, time.Hour); err != nil {
			t.Fatal(err)
		}
	}}
}

// trust is an authority and a certificate of it, made once.
type trust struct {
	ca   *tlstest.Authority
	leaf tls.Certificate
}

var trusted = sync.OnceValue(func() trust {
	ca := tlstest.NewAuthority("ca")
	return trust{ca, ca.Leaf("srv.test")}
})

// configs are a server's and a client's that trust each other, at a version. The key
// exchange is the cheap one; where it matters, it is for the test to say.
func configs(version uint16) (srv, cli *tls.Config) {
	o := trusted()
	curves := []tls.CurveID{tls.X25519, tls.CurveP256}
	srv = &tls.Config{Certificates: []tls.Certificate{o.leaf}, Time: tlstest.Time, MaxVersion: version, MinVersion: version, CurvePreferences: curves}
	cli = &tls.Config{RootCAs: o.ca.Pool(), ServerName: "srv.test", Time: tlstest.Time, MaxVersion: version, MinVersion: version, CurvePreferences: curves}
	return srv, cli
}

// versions runs body with TLS 1.2 and 1.3.
func versions(t *testing.T, body func(t *testing.T, version uint16)) {
	t.Helper()
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(v), func(t *testing.T) { body(t, v) })
	}
}

// end is a protocol that notes what happens to it, and does what it is told then.
type end struct {
	c      *tlsio.Conn
	tr     reactor.Transport
	got    []byte
	err    error
	events []string
	state  tls.ConnectionState

	onMade, onShaken, onLost func()
	onData                   func(p []byte)
}

func (e *end) ConnectionMade(t reactor.Transport) {
	e.tr = t
	e.c, _ = t.(*tlsio.Conn)
	e.note("made")
	if e.onMade != nil {
		e.onMade()
	}
}

func (e *end) HandshakeCompleted(s tls.ConnectionState) {
	e.state = s
	e.note("shaken")
	if e.onShaken != nil {
		e.onShaken()
	}
}

func (e *end) DataReceived(p []byte) {
	e.got = append(e.got, p...)
	if e.last() != "data" {
		e.note("data")
	}
	if e.onData != nil {
		e.onData(p)
	}
}

func (e *end) ConnectionLost(err error) {
	e.err = err
	e.note("lost")
	if e.onLost != nil {
		e.onLost()
	}
}

func (e *end) note(what string) { e.events = append(e.events, what) }

func (e *end) last() string {
	if len(e.events) == 0 {
		return ""
	}
	return e.events[len(e.events)-1]
}

func (e *end) saw(what string) bool { return slices.Contains(e.events, what) }
func (e *end) lost() bool           { return e.err != nil }

// halfEnd is an end that listens to half-closes.
type halfEnd struct {
	end
	onReadLost, onWriteLost func()
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

// plain connects two protocols, or factories of TLS around them, without waiting.
func (s *stage) connect(srv, cli reactor.Factory) (*reactor.Port, *reactor.Connector) {
	s.t.Helper()
	p, err := s.srv.Listen(s.addr, srv, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c := s.cli.Dial(p.Addr(), cli, nil, func(_ reactor.Protocol, err error) {
		if err != nil && !errors.Is(err, reactor.ErrNoProtocol) && !is[*reactor.PanicError](err) {
			s.t.Errorf("dial: %v", err)
		}
	})
	return p, c
}

// secure connects two protocols by TLS.
func (s *stage) secure(version uint16, srv, cli reactor.Protocol) {
	s.t.Helper()
	sc, cc := configs(version)
	s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
}

// wants compares what an end noted.
func (e *end) wants(t *testing.T, what string, events ...string) {
	t.Helper()
	if !slices.Equal(e.events, events) {
		t.Errorf("%s: %q, want %q (%v)", what, e.events, events, e.err)
	}
}

// is asserts what an end was lost for.
func (e *end) is(t *testing.T, what string, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(e.err, target) {
			t.Errorf("%s was lost for %v, want %v", what, e.err, target)
		}
	}
	if e.err == io.EOF && !slices.Contains(targets, io.EOF) {
		t.Errorf("%s was lost as if the peer had ended cleanly", what)
	}
}

// pattern is n bytes that tell where they stand.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*i>>3 + i)
	}
	return p
}
