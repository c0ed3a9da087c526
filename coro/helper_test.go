package coro_test

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

func loopback() kernel.Addr { return kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0) }

func listen(t testing.TB, r *reactor.Reactor, f reactor.Factory) *reactor.Port {
	t.Helper()
	p, err := r.Listen(loopback(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// everywhere runs body on every kernel, for every way of cutting the stream.
func everywhere(t *testing.T, body func(t *testing.T, w testworld.World)) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// worlds runs body on every kernel.
func worlds(t *testing.T, body func(t *testing.T, w testworld.World)) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// ending is a body, and how it has ended.
type ending struct {
	over bool
	err  error
}

// note returns body with the note of its end.
func (e *ending) note(body func(*coro.Session) error) func(*coro.Session) error {
	return func(s *coro.Session) error {
		defer func() { e.over = true }()
		e.err = body(s)
		return e.err
	}
}

// talk connects two bodies on one reactor, and returns when both have ended and the connection is lost.
func talk(t *testing.T, r *reactor.Reactor, server, client func(*coro.Session) error) (srv, cli *ending) {
	t.Helper()
	srv, cli = new(ending), new(ending)
	p := listen(t, r, coro.Factory(srv.note(server)))
	r.Dial(p.Addr(), coro.Factory(cli.note(client)), nil, nil)
	testworld.Until(t, func() bool { return srv.over && cli.over && r.Stats().Connections == 0 }, r)
	p.StopListening(nil)
	return srv, cli
}

// peered starts a server with one body, and connects a Peer to it.
func peered(t *testing.T, w testworld.World, r *reactor.Reactor, body func(*coro.Session) error) (*ending, *testworld.Peer) {
	t.Helper()
	e := new(ending)
	p := listen(t, r, coro.Factory(e.note(body)))
	peer := w.Peer(t, p.Addr(), r)
	testworld.Until(t, func() bool { return r.Stats().Accepted == 1 }, r)
	return e, peer
}

// running is a reactor that Start has started.
func running(t testing.TB, w testworld.World, c reactor.Config) *reactor.Reactor {
	t.Helper()
	r := w.New(t, c)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// wants fails the test unless fn panics with a text that has the words.
func wants(t *testing.T, promise, words string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if v := recover(); !contains(v, words) {
			t.Errorf("%s: the panic is %v, want %q", promise, v, words)
		}
	}()
	fn()
}

// sink is a transport that takes everything and sends nothing.
type sink struct {
	reactor.Transport
	r       *reactor.Reactor
	written int
}

func (k *sink) Write(p []byte) (int, error) { k.written += len(p); return len(p), nil }
func (k *sink) Reactor() *reactor.Reactor   { return k.r }
func (k *sink) Close() error                { return nil }
func (k *sink) Abort()                      {}
func (k *sink) Local() kernel.Addr          { return kernel.Addr{} }
func (k *sink) Remote() kernel.Addr         { return kernel.Addr{} }
func (k *sink) Unwrap() reactor.Transport   { return nil }
