package websocket_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/websocket"
)

// listening is an app that listens to the ends of directions.
type listening struct {
	app
	ends int
}

func (l *listening) ReadConnectionLost()  { l.ends++ }
func (l *listening) WriteConnectionLost() { l.ends++ }

// NETCONN-19: a peer that ends without a close frame ends the WebSocket, also if the protocol above listens to the ends of directions: those of a
// WebSocket do not end one by one.
func TestNETCONN19HalfCloseListener(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		g, a := &rig{t: t, r: r}, new(listening)
		g.listen(reactor.One(a), nil)
		p := g.dial(request())
		g.head(p)
		_, _ = p.T.Write(append(text("whole"), text("not whole")[:5]...))
		_ = p.T.CloseWrite()
		testworld.Until(t, func() bool { return a.err != nil || a.ends > 0 }, r)
		wants(t, a.messages, "whole")
		if !errors.Is(a.err, websocket.ErrNoClose) || a.ends > 0 {
			t.Errorf("lost for %v, told of %d ends", a.err, a.ends)
		}
	})
}

// CORO-4, NETCONN-6: an end in order, by a close frame, is the end of what is read, and that without one is not.
func TestEndsRead(t *testing.T) {
	for what, c := range map[string]struct {
		end  []byte
		want error
	}{
		"1000":     {closing(ws.StatusNormalClosure, ""), io.EOF},
		"no code":  {masked(ws.OpClose, true, ""), io.EOF},
		"1011":     {closing(ws.StatusInternalServerError, ""), reactor.ErrLost},
		"no frame": {nil, websocket.ErrNoClose},
	} {
		check := func(t *testing.T, got []byte, err error) {
			t.Helper()
			if string(got) != "abc" || c.want == io.EOF && err != nil || c.want != io.EOF && !errors.Is(err, c.want) {
				t.Errorf("%s: read %q, %v", what, got, err)
			}
		}
		t.Run("coro", func(t *testing.T) {
			all(t, false, func(t *testing.T, r *reactor.Reactor) {
				over := false
				g := (&rig{t: t, r: r}).listen(coro.Factory(func(s *coro.Session) error {
					p, err := io.ReadAll(s)
					check(t, p, err)
					over = true
					return nil
				}), nil)
				g.send(c.end)
				g.until(what, func() bool { return over })
			})
		})
		t.Run("netconn", func(t *testing.T) {
			for name, w := range testworld.Native() {
				t.Run(name, func(t *testing.T) {
					r := w.New(t, reactor.Config{})
					defer testworld.Beside(t, r)()
					conns := make(chan *netconn.Conn, 1)
					f := websocket.NewServer(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
						n := netconn.New(r, nil)
						conns <- n
						return n.Protocol()
					}), nil)
					port, err := reactor.Ask(r, func() (*reactor.Port, error) { return r.Listen(loopback(), f, nil) })
					if err != nil {
						t.Fatal(err)
					}
					p, err := net.Dial("tcp", port.Addr().String())
					if err != nil {
						t.Fatal(err)
					}
					defer p.Close()
					_, _ = p.Write(append(append([]byte(request()), fragments...), c.end...))
					_ = p.(*net.TCPConn).CloseWrite()
					got, err := io.ReadAll(<-conns)
					check(t, got, err)
				})
			}
		})
	}
}

// fragments are a message in two frames.
var fragments = string(append(masked(ws.OpText, false, "a"), masked(ws.OpContinuation, true, "bc")...))

// send connects, sends a message in two frames, then end, and ends its direction.
func (g *rig) send(end []byte) {
	p := g.dial(request())
	g.head(p)
	_, _ = p.T.Write(append([]byte(fragments), end...))
	_ = p.T.CloseWrite()
}

// POL-8, NETCONN-15: a policy inside a WebSocket sees what a Receiver gets, and the Receiver gets its kind.
func TestPolicyInside(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		got := new(receiver)
		var seen []string
		f := flow.LimitTime(reactor.One(got), flow.TimeoutOptions{Idle: time.Hour})
		l := flow.LogTraffic(f, func(int, reactor.Transport) flow.TrafficLog {
			return watch(func(p []byte) { seen = append(seen, string(p)) })
		})
		g := (&rig{t: t, r: r}).listen(l, nil)
		p := g.dial(request())
		g.head(p)
		_, _ = p.T.Write(append(text("a"), masked(ws.OpBinary, true, "b")...))
		g.until("no messages", func() bool { return len(got.messages) == 2 })
		wants(t, seen, "a", "b")
		wants(t, got.messages, "a false", "b true")
	})
}

// watch is a traffic log of what is received.
type watch func(p []byte)

func (w watch) Received(p []byte) { w(p) }
func (w watch) Sent([]byte)       {}
func (w watch) Lost(error)        {}

// POL-8: a CloseWrite that fails, because a WebSocket has no such end, does not begin the time for connections of which one direction has ended.
func TestPolicyHalfClosed(t *testing.T) {
	r := testworld.Simulation().New(t, reactor.Config{})
	var upper reactor.Connection
	var lost error
	f := flow.LimitTime(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		return &ends{made: func(t reactor.Transport) { upper = reactor.ConnectionOf(t) }, lost: &lost}
	}), flow.TimeoutOptions{Idle: time.Hour, HalfClosed: time.Millisecond})
	g := (&rig{t: t, r: r}).listen(f, &websocket.Options{Ping: -1, CloseTimeout: time.Millisecond})
	g.head(g.dial(request()))
	if err := upper.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite: %v", err)
	}
	over := false
	r.CallLater(100*time.Millisecond, func() { over = true })
	testworld.Until(t, func() bool { return over || lost != nil }, r)
	if lost != nil {
		t.Errorf("it is lost for %v", lost)
	}
}

// ends is a protocol that tells of its transport and its end.
type ends struct {
	made func(reactor.Transport)
	lost *error
}

func (e *ends) ConnectionMade(t reactor.Transport) { e.made(t) }
func (e *ends) DataReceived([]byte)                {}
func (e *ends) ConnectionLost(err error)           { *e.lost = err }

// NETCONN-6: CloseWrite of a net.Conn above a WebSocket does nothing and says so, because no direction of a WebSocket ends alone: Write goes on.
func TestNETCONN6CloseWrite(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		for name, wrap := range map[string]func(reactor.Factory) reactor.Factory{
			"bare": func(f reactor.Factory) reactor.Factory { return f },
			"behind a policy": func(f reactor.Factory) reactor.Factory {
				return flow.LimitTime(f, flow.TimeoutOptions{Idle: time.Hour})
			},
		} {
			c := netconn.New(r, nil)
			g := &rig{t: t, r: r}
			g.listen(wrap(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return c.Protocol() })), nil)
			p := g.dial(request())
			g.head(p)
			if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: CloseWrite: %v", name, err)
			}
			if _, err := c.Write([]byte("more")); err != nil {
				t.Errorf("%s: Write: %v", name, err)
			}
			g.wantFrame(p, ws.OpText, "more")
			_ = c.Close()
			if err := c.CloseWrite(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: CloseWrite after Close: %v", name, err)
			}
			p.T.Abort()
		}
	})
}
