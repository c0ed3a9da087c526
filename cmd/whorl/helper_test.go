package main

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// loopback is a free port of 127.0.0.1.
var loopback = kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0)

// nativeWorlds is worlds without the simulated one.
func nativeWorlds(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// worlds runs body once on every kernel, the simulated one included.
func worlds(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// chunked runs body on every kernel, for every chunk size.
func chunked(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range testworld.Chunked() {
		if raced && w.Chunk() > 0 {
			continue // the race detector is slow, and sees no more in pieces
		}
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

func until(t *testing.T, r *reactor.Reactor, done func() bool) {
	t.Helper()
	testworld.Until(t, done, r)
}

// peer is the end that a test holds. It notes what happens to it.
type peer struct {
	s        *reactor.Stream // from ConnectionMade on
	got      []byte
	err      error // of ConnectionLost
	ended    bool  // the other end sends no more
	deaf     bool  // never reads
	reads    int   // calls of DataReceived
	onLost   func(error)
	onResume func()
}

func (p *peer) ConnectionMade(t reactor.Transport) {
	p.s = t.(*reactor.Stream)
	if p.deaf {
		p.s.PauseProducing()
	}
}

func (p *peer) DataReceived(b []byte) {
	p.reads++
	p.got = append(p.got, b...)
}

func (p *peer) ReadConnectionLost()  { p.ended = true }
func (p *peer) WriteConnectionLost() {}

func (p *peer) ConnectionLost(err error) {
	p.err = err
	if p.onLost != nil {
		p.onLost(err)
	}
}

// PauseProducing, ResumeProducing and StopProducing make it a producer that a
// test drives.
func (p *peer) PauseProducing() {}
func (p *peer) ResumeProducing() {
	if p.onResume != nil {
		p.onResume()
	}
}
func (p *peer) StopProducing() {}

// peers is the factory of peers, in the order they were connected.
type peers struct {
	all  []*peer
	deaf bool
}

func (f *peers) BuildProtocol(kernel.Addr) reactor.Protocol {
	p := &peer{deaf: f.deaf}
	f.all = append(f.all, p)
	return p
}

// listen listens on a free port of the loopback.
func listen(t *testing.T, r *reactor.Reactor, f reactor.Factory) kernel.Addr {
	t.Helper()
	p, err := r.Listen(loopback, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.Addr()
}

// dial connects p to a and turns r until it is made.
func dial(t *testing.T, r *reactor.Reactor, a kernel.Addr, p *peer) *peer {
	t.Helper()
	r.Dial(a, reactor.One(p), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			t.Errorf("dial: %v", err)
		}
	})
	until(t, r, func() bool { return p.s != nil })
	return p
}

// noise is n bytes in which nothing repeats.
func noise(n int) []byte {
	p := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(p)
	return p
}

// same fails unless the two are equal, without printing all of them.
func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %d bytes, want %d, and they differ", what, len(got), len(want))
	}
}

// sum changes whenever a byte has passed through a stream of r.
func sum(r *reactor.Reactor) (moved uint64, buffered int) {
	for s := range r.Streams() {
		st := s.Stats()
		moved += st.In + st.Sent
		buffered += st.Buffered
	}
	return moved, buffered
}

// settle turns r until no byte has moved for a while, which means that everyone is
// held back. There is no event to wait for. If the wait is too short, the test asserts
// its upper bound too early, which cannot make it fail.
func settle(t *testing.T, r *reactor.Reactor) {
	t.Helper()
	last := uint64(0)
	for calm := 0; calm < 50; calm++ {
		if err := r.Turn(time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if moved, _ := sum(r); moved != last {
			calm, last = 0, moved
		}
	}
}
