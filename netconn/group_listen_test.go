package netconn_test

import (
	"net"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-21: what would wait for the loops of a group panics on each of them, not on the first alone.
func TestListenGroupOnLoop(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			g := w.RunGroup(t, reactor.GroupConfig{Loops: 3, StopTimeout: time.Second})
			l, err := netconn.Listen(g, loopback(), nil)
			if err != nil {
				t.Fatal(err)
			}
			calls := map[string]func(){
				"Accept": func() { _, _ = l.Accept() },
				"Close":  func() { _ = l.Close() },
			}
			for what, call := range calls {
				for i := range g.Len() {
					panicked := make(chan bool, 1)
					g.PostTo(i, func(*reactor.Reactor) {
						defer func() { panicked <- recover() != nil }()
						call()
					})
					select {
					case did := <-panicked:
						if !did {
							t.Errorf("%s on loop %d returns", what, i)
						}
					case <-time.After(testworld.Limit):
						t.Fatalf("%s on loop %d waits for ever", what, i)
					}
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// NETCONN-8: clients beyond the Backlog wait, also those that several loops have accepted before they hear of the pause.
func TestPauseGroupTogether(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			g := w.RunGroup(t, reactor.GroupConfig{Loops: 3})
			l, err := netconn.Listen(g, loopback(), &netconn.ListenConfig{Backlog: 2})
			if err != nil {
				t.Fatal(err)
			}
			gate := make(chan bool)
			g.PostAll(func(*reactor.Reactor) { <-gate })
			var clients []net.Conn
			for range 60 { // all wait when the loops look
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				clients = append(clients, c)
			}
			close(gate)
			if err := g.Each(func(*reactor.Reactor) error { return nil }); err != nil {
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
				}
			}()
			closed := 0
			for _, c := range clients {
				_ = c.SetReadDeadline(time.Now().Add(testworld.Limit))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					closed++
				}
			}
			if closed > 0 {
				t.Errorf("NETCONN-8: %d of %d clients were turned away", closed, len(clients))
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			<-accepted
		})
	}
}
