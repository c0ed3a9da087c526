package reactor_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// addressed is a kernel whose accepted conns come from the addresses of next, in this order;
// then from where they really come.
type addressed struct {
	kernel.Kernel
	next []string
}

func (k *addressed) Unwrap() kernel.Kernel { return k.Kernel }

func (k *addressed) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	l, err := k.Kernel.Listen(a, o)
	if err != nil {
		return nil, err
	}
	return &addressedListener{l, k}, nil
}

func (k *addressed) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	switch x := h.(type) {
	case *addressedListener:
		h = x.Listener
	case *addressedConn:
		h = x.Conn
	}
	return k.Kernel.Arm(h, token, r)
}

type addressedListener struct {
	kernel.Listener
	k *addressed
}

func (l *addressedListener) Unwrap() kernel.Listener { return l.Listener }

func (l *addressedListener) Accept() (kernel.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || len(l.k.next) == 0 {
		return c, err
	}
	from := kernel.TCPAddr(netip.MustParseAddr(l.k.next[0]), 5000)
	l.k.next = l.k.next[1:]
	return &addressedConn{c, from}, nil
}

type addressedConn struct {
	kernel.Conn
	from kernel.Addr
}

func (c *addressedConn) Unwrap() kernel.Conn { return c.Conn }
func (c *addressedConn) Remote() kernel.Addr { return c.from }

// limited is a gate whose port has limits, and whose factory hears of refusals.
type limited struct {
	*gate
	k        *addressed
	refusals []error
	onRefuse func()
}

func newLimited(t *testing.T, w testworld.World, o reactor.PortLimits) *limited {
	t.Helper()
	g := &limited{gate: &gate{service: &service{}, w: w, faults: &testworld.Faults{}, log: &journal{}}}
	g.k = &addressed{Kernel: w.Open(t)}
	g.r = testworld.New(t, g.faults.Wrap(g.k), reactor.Config{
		Logger: slog.New(g.log), Panicked: func(*reactor.PanicError) { g.panics++ },
	})
	g.port = listen(t, g.r, g, &reactor.ListenConfig{PortLimits: o})
	return g
}

func (g *limited) ConnectionRefused(p *reactor.Port, err error) {
	if p != g.port {
		err = errors.New("another port")
	}
	g.refusals = append(g.refusals, err)
	if g.onRefuse != nil {
		g.onRefuse()
	}
}

// comes makes turns until n connections were built altogether.
func (g *limited) comes(t *testing.T, n int) {
	t.Helper()
	until(t, g.r, func() bool { return len(g.ends) >= n })
	if len(g.ends) != n {
		t.Fatalf("%d connections were built, want %d", len(g.ends), n)
	}
}

// stays makes some turns, and fails the test if they accept somebody, or if the kernel goes on
// reporting those who wait (TCP-99).
func (g *limited) stays(t *testing.T) {
	t.Helper()
	accepts := g.faults.Calls["Accept"]
	testworld.Turns(t, g.r, 3)
	events := g.r.Stats().Events
	testworld.Turns(t, g.r, 5)
	if n := g.faults.Calls["Accept"] - accepts; n != 0 {
		t.Errorf("%d accepts, want none", n)
	}
	if n := g.r.Stats().Events - events; n != 0 {
		t.Errorf("the loop spins: %d events in 5 turns", n)
	}
}

// end closes the i-th connection that was built.
func (g *limited) end(t *testing.T, i int) {
	t.Helper()
	g.ends[i].s.Abort()
	until(t, g.r, func() bool { return g.ends[i].err != nil })
}

// seesReset fails the test unless the client sees a reset.
func seesReset(t *testing.T, c *testworld.Peer) {
	t.Helper()
	if err := ended(c); !errors.Is(err, kernel.ErrReset) {
		t.Errorf("a client sees %v, want a reset", err)
	}
}
