package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/reactor"
)

// Clients of package net, and redis-cli if it is there, are served, and the end of the server
// closes them in order.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	addr, result := make(chan string, 1), make(chan error, 1)
	c := whorl.Config{Started: func(_ *reactor.Reactor, open []endpoint.Listener) { addr <- open[0].Addr().String() }}
	go func() { result <- c.Serve(ctx, new(kv.Server), "tcp:0:interface=127.0.0.1:keepalive=yes") }()
	var place string
	select {
	case place = <-addr:
	case err := <-result:
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", place)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	answers := bufio.NewReader(conn)
	fmt.Fprint(conn, "SET k v\r\nINCR n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
	for _, want := range []string{"+OK\r\n", ":1\r\n", "$1\r\n", "v\r\n"} {
		if got, err := answers.ReadString('\n'); got != want || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if cli, err := exec.LookPath("redis-cli"); err == nil {
		_, port, _ := net.SplitHostPort(place)
		if out, err := exec.Command(cli, "-p", port, "INCR", "n").Output(); string(out) != "2\n" {
			t.Errorf("redis-cli got %q, %v", out, err)
		}
	}
	cancel()
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Error(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}
