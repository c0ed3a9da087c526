package main

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// A peer cannot keep a connection by doing nothing: by a request whose body never comes, by answers that it does not read, or by silence behind an answer.
// Here each limit is a hundredth of what it is. A WebSocket outlives them.
func TestWaitsEnd(t *testing.T) {
	g, err := reactor.NewGroup(reactor.GroupConfig{Loops: 1, Kernel: native.OpenGroup("", native.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(g, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, limit := range map[string]*time.Duration{"read": &s.srv.ReadTimeout, "write": &s.srv.WriteTimeout, "idle": &s.srv.IdleTimeout} {
		if *limit <= 0 || *limit > 5*time.Minute {
			t.Errorf("%s: the limit is %v", name, *limit)
		}
		*limit /= 100
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	u := enter(t, s.l.Addr().String(), "ann")
	for name, request := range map[string]string{
		"silence": "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"body":    "POST /stats HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n",
	} {
		c, err := net.Dial("tcp", s.l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, request)
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.Close()
	}
	u.say("hello") // the limits are over for it too
	u.hears("ann: hello")
	_ = u.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
