package netconn_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// newGroup is a group of three loops of w.
func newGroup(t *testing.T, w testworld.World) *reactor.Group {
	t.Helper()
	c := reactor.GroupConfig{Loops: 3, Kernel: func(int, int) (kernel.Kernel, error) { return w.Open(t), nil }}
	c.Reactor.Logger = slog.New(slog.DiscardHandler)
	g, err := reactor.NewGroup(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// runningGroup is a group of three loops of w that run beside the test until it ends.
func runningGroup(t *testing.T, w testworld.World) *reactor.Group {
	t.Helper()
	g := newGroup(t, w)
	go func() { _ = g.Run(context.Background()) }()
	t.Cleanup(func() {
		_ = g.Stop()
		<-g.Done()
	})
	until(t, g.Running)
	if err := g.Each(func(*reactor.Reactor) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return g
}

// NETCONN-7: the loops of a group share a Listener.
func TestListenGroup(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			g := runningGroup(t, w)
			l, err := netconn.Listen(g, loopback(), &netconn.ListenConfig{Backlog: 2})
			if err != nil {
				t.Fatal(err)
			}
			loops := map[*reactor.Reactor]bool{}
			for range 50 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				s, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				loops[s.(*netconn.Conn).Reactor()] = true
				_, _ = s.Write([]byte("x"))
				if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
					t.Errorf("%d bytes and %v came", n, err)
				}
				_, _ = s.Close(), c.Close()
			}
			if len(loops) < 2 {
				t.Errorf("%d loops have all connections", len(loops))
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
				t.Error("it listens still")
			}
		})
	}
}

// NETCONN-8: the loops of a group pause and resume a Listener in order, so that nobody waits for ever.
func TestPauseGroup(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			l, err := netconn.Listen(runningGroup(t, w), loopback(), &netconn.ListenConfig{Backlog: 1})
			if err != nil {
				t.Fatal(err)
			}
			accepted := make(chan struct{})
			go func() {
				defer close(accepted)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = c.Write([]byte("x"))
					_ = c.Close()
				}
			}()
			for i := range 300 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetReadDeadline(time.Now().Add(testworld.Limit))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
				_ = c.Close()
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			<-accepted
		})
	}
}

// NETCONN-10, NETCONN-12: the loops of a group share an IdleListener, each with its own connections that wait.
func TestIdleGroup(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			g := runningGroup(t, w)
			l, err := netconn.ListenIdle(g, loopback(), &netconn.IdleConfig{Linger: soon})
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: http.HandlerFunc(hello), ConnState: func(c net.Conn, s http.ConnState) { l.SetIdle(c, s == http.StateIdle) }}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			var clients []*client
			for range 30 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(testworld.Limit))
				clients = append(clients, &client{t, c, bufio.NewReader(c)})
			}
			for range 2 {
				for i, c := range clients {
					if got, want := c.get(fmt.Sprint("/", i)), fmt.Sprint("GET /", i); got != want {
						t.Errorf("the answer is %q, not %q", got, want)
					}
				}
				until(t, func() bool { return l.Waiting() == len(clients) })
			}
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			for _, c := range clients {
				c.ended()
			}
			<-served
		})
	}
}
