package reactor_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// TCP-8: clients that connect and write while the loop does not turn are all served by a port
// that is stopped then, and none sees a reset.
func TestStopListeningServesTheQueue(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.build = func(kernel.Addr) reactor.Protocol {
			e := new(end)
			e.onData = func(p []byte) { e.s.Write(p); e.s.Close() }
			g.ends = append(g.ends, e)
			return e
		}
		clients := g.crowd(t, 150) // more than one allowance
		for i, c := range clients {
			fmt.Fprintf(c, "hello %d", i)
		}
		stopped(t, g.port)
		if s := g.port.Stats(); s.Accepted != 150 || s.Failed != 0 || len(g.ends) != 150 || g.port.Listening() {
			t.Errorf("%d built, %+v", len(g.ends), s)
		}
		until(t, g.r, func() bool { return g.port.Stats().Open == 0 })
		for i, c := range clients {
			if got, err := c.Rest(); string(got) != fmt.Sprintf("hello %d", i) || err != io.EOF {
				t.Errorf("client %d got %q and %v", i, got, err)
			}
		}
	})
}

// TCP-8: a failure that is about one client does not end the accepting of the last ones; any
// other does, and is logged.
func TestStopListeningFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for fault, want := range map[error]int{
			kernel.ErrAccept:     4,
			kernel.ErrPermission: 4,
			syscall.EINVAL:       1,
		} {
			g := newGate(t, w)
			clients := g.crowd(t, 4)
			g.faults.Accept = func() error {
				if g.faults.Calls["Accept"] == 2 {
					return fmt.Errorf("accept: %w", fault)
				}
				return nil
			}
			stopped(t, g.port)
			if len(g.ends) != want || g.port.Stats().Failed != 1 {
				t.Errorf("%v: %d built, %+v", fault, len(g.ends), g.port.Stats())
			}
			logged := 0
			if want == 1 {
				logged = 1
				if err := ended(clients[3]); !errors.Is(err, kernel.ErrReset) {
					t.Errorf("%v: the last client sees %v", fault, err)
				}
			}
			if n := len(g.log.with("could not accept new connection", fault.Error())); n != logged {
				t.Errorf("%v: %d records", fault, n)
			}
			g.r.Close()
		}
	})
}

// endless is a kernel whose listeners always have one more client.
type endless struct {
	kernel.Kernel
	accepts int
}

func (k *endless) Unwrap() kernel.Kernel { return k.Kernel }

func (k *endless) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	l, err := k.Kernel.Listen(a, o)
	return &endlessListener{l, k}, err
}

func (k *endless) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	if l, ok := h.(*endlessListener); ok {
		h = l.Listener
	}
	return k.Kernel.Arm(h, token, r)
}

type endlessListener struct {
	kernel.Listener
	k *endless
}

func (l *endlessListener) Unwrap() kernel.Listener { return l.Listener }

func (l *endlessListener) Accept() (kernel.Conn, error) {
	l.k.accepts++
	return goneConn{}, nil
}

// goneConn is a connection whose peer has gone.
type goneConn struct{ kernel.Conn }

func (goneConn) Read([]byte) (int, error) { return 0, io.EOF }
func (goneConn) Close() error             { return nil }
func (goneConn) Remote() kernel.Addr      { return kernel.Addr{} }

// TCP-8: a port that is stopped takes 4096 connections off its queue at most, however fast
// others come.
func TestStopListeningIsBounded(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		k := &endless{Kernel: w.Open(t)}
		r := testworld.New(t, k, reactor.Config{})
		p := listen(t, r, &service{build: func(kernel.Addr) reactor.Protocol { return nil }}, nil)
		stopped(t, p)
		if s := p.Stats(); k.accepts != 4096 || s.Refused != 4096 {
			t.Errorf("%d accepts, %+v", k.accepts, s)
		}
	})
}

// TCP-8, TCP-12: at the reactor's end nobody is accepted, whether the port was told to stop just
// before or not.
func TestReactorsEndAcceptsNobody(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, told := range []bool{true, false} {
			g := newGate(t, w)
			g.crowd(t, 3)
			if told {
				g.port.StopListening(nil)
			}
			g.r.Close()
			sameEvents(t, g.events, "start", "stop")
		}
	})
}

// TCP-9: a protocol of the last connections may stop the port once more.
func TestStopListeningInTheLastConnections(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.crowd(t, 2)
		g.build = func(kernel.Addr) reactor.Protocol {
			g.port.StopListening(func(error) { g.events = append(g.events, "again") })
			return new(end)
		}
		g.port.StopListening(func(error) { g.events = append(g.events, "done") })
		testworld.Turns(t, g.r, 2)
		sameEvents(t, g.events, "start", "build", "build", "stop", "done", "again", "again")
	})
}
