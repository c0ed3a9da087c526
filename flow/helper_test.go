package flow_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

func loopback() kernel.Addr { return kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0) }

// chunked runs a test in every world, with streams cut in every way.
func chunked(t *testing.T, test func(t *testing.T, w testworld.World)) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
}

// worlds runs a test on every kernel.
func worlds(t *testing.T, test func(t *testing.T, w testworld.World)) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
}

// app is a protocol that notes what it is told.
type app struct {
	reactor.Base
	made     func(t reactor.Transport)
	received func(p []byte)
	events   []string
	got      string
	err      error
	remote   kernel.Addr // at the first input
	local    kernel.Addr
	first    kernel.Addr // Remote at ConnectionMade
}

func (a *app) ConnectionMade(t reactor.Transport) {
	a.Base.ConnectionMade(t)
	a.events = append(a.events, "made")
	a.first = t.Remote()
	if a.made != nil {
		a.made(t)
	}
}

func (a *app) DataReceived(p []byte) {
	if a.got == "" {
		a.remote, a.local = a.T.Remote(), a.T.Local()
	}
	a.got += string(p)
	if a.received != nil {
		a.received(p)
	}
}

func (a *app) ConnectionLost(err error) {
	a.events = append(a.events, "lost")
	a.err = err
}

func (a *app) lost() bool { return a.err != nil }

// listening is app, and listens to the ends of directions.
type listening struct {
	*app
}

func (l listening) ReadConnectionLost()  { l.events = append(l.events, "read lost, after "+l.got) }
func (l listening) WriteConnectionLost() { l.events = append(l.events, "write lost") }

// Unwrap is the protocol.
func (l listening) Unwrap() reactor.Protocol { return l.app }

// listen serves f.
func listen(t *testing.T, r *reactor.Reactor, f reactor.Factory) *reactor.Port {
	t.Helper()
	p, err := r.Listen(loopback(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// virtual makes a reactor on a simulated network, whose time is virtual.
func virtual(t *testing.T, c reactor.Config) *reactor.Reactor {
	t.Helper()
	n := sim.New(1)
	n.Config.ReadBuffer = 1 << 10 // of the host's own reactor, which has nothing to do
	r := testworld.New(t, n.Kernel(), c)
	t.Cleanup(func() {
		if err := n.Err(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// pass lets a time of r pass.
func pass(t *testing.T, r *reactor.Reactor, d time.Duration) {
	t.Helper()
	over := false
	r.CallLater(d, func() { over = true })
	until(t, r, func() bool { return over })
}

// until turns r until done, for no longer than two days of its time.
func until(t *testing.T, r *reactor.Reactor, done func() bool) {
	t.Helper()
	for end := r.Now() + 48*time.Hour; !done(); {
		left := end - r.Now()
		if left <= 0 {
			t.Fatal("nothing came of it in two days")
		}
		if err := r.Turn(left); err != nil {
			t.Fatal(err)
		}
	}
}

// pair connects two protocols of r.
func pair(t *testing.T, r *reactor.Reactor, srv, cli reactor.Factory) {
	t.Helper()
	port := listen(t, r, srv)
	connected := false
	r.Dial(port.Addr(), cli, nil, func(_ reactor.Protocol, err error) {
		if connected = true; err != nil {
			t.Fatal(err)
		}
	})
	until(t, r, func() bool { return connected && port.Stats().Accepted == 1 })
	port.StopListening(nil)
}
