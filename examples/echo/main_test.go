package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// The call of main serves, here at a port that the system chooses.
func TestEcho(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	addr, result := make(chan string, 1), make(chan error, 1)
	c := whorl.Config{Started: func(_ *reactor.Reactor, open []endpoint.Listener) { addr <- open[0].Addr().String() }}
	go func() { result <- c.Serve(ctx, reactor.Each[echo](), "tcp:0:interface=127.0.0.1") }()
	var conn net.Conn
	select {
	case a := <-addr:
		var err error
		if conn, err = net.Dial("tcp", a); err != nil {
			t.Fatal(err)
		}
	case err := <-result:
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	got := make([]byte, 5)
	io.WriteString(conn, "hello")
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q and %v, want hello", got, err)
	}
	conn.Close()
	cancel()
	if err := <-result; err != nil {
		t.Error(err)
	}
}
