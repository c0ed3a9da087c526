package std_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-8: at a place on the loopback addresses of both families, clients wait while nobody calls Accept, on one loop and on several.
func TestLoopbackPauses(t *testing.T) {
	e, err := std.Schemes(&std.Options{Loopback: true}).Server("tcp:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { pausesLoopback(t, w.RunGroup(t, reactor.GroupConfig{Loops: 3}), e) })
		t.Run(name+" alone", func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			ended := make(chan error, 1)
			go func() { ended <- r.Run(context.Background()) }()
			defer func() { _ = r.Stop(); <-ended }()
			pausesLoopback(t, r, e)
		})
	}
}

func pausesLoopback(t *testing.T, on reactor.Loops, e endpoint.Server) {
	t.Helper()
	var both endpoint.Listener
	l, err := reactor.Ask(on.Lead(), func() (*netconn.Listener, error) {
		return netconn.ListenAt(on, &netconn.ListenConfig{Backlog: 2}, func(f reactor.Factory) (_ netconn.Place, err error) {
			both, err = e.Listen(on, f)
			return both, err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	at := endpoint.Addrs(both)
	if len(at) != 2 {
		t.Skip("this machine has one family")
	}
	var clients []net.Conn
	for i := range 20 {
		c, err := net.Dial("tcp", at[i%2].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
		if _, err := reactor.Ask(on.Lead(), func() (int, error) { return 0, nil }); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("x"))
		}
	}()
	for i, c := range clients {
		_ = c.SetReadDeadline(time.Now().Add(testworld.Limit))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("NETCONN-8: client %d is not served: %v", i, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
