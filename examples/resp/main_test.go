package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/reactor"
)

// serve starts the server. stop ends it and returns how it ended.
func serve(t *testing.T) (place string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	addr, result := make(chan string, 1), make(chan error, 1)
	c := whorl.Config{Started: func(_ *reactor.Reactor, open []endpoint.Listener) { addr <- open[0].Addr().String() }}
	go func() { result <- c.Serve(ctx, new(kv.Server), "tcp:0:interface=127.0.0.1:keepalive=yes") }()
	select {
	case place = <-addr:
	case err := <-result:
		t.Fatal(err)
	}
	return place, func() error { cancel(); return <-result }
}

// Clients of package net are served, and the end of the server closes them in order.
func TestServe(t *testing.T) {
	place, stop := serve(t)
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
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	if _, err := answers.ReadByte(); err != io.EOF {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// redis-cli and redis-benchmark find what they ask for.
func TestRedisTools(t *testing.T) {
	for _, program := range []string{"redis-cli", "redis-benchmark"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no " + program)
		}
	}
	place, stop := serve(t)
	_, port, _ := net.SplitHostPort(place)
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct{ args, in, want string }{
		{"set k v ex 100", "", "OK\n"},
		{"-x set long", long, "OK\n"},
		{"get long", "", long + "\n"},
		{"-3 mget k none", "", "v\n\n"},
		{"--scan --pattern ?", "", "k\n"},
		{"", "incr n\nincrby n 41\nttl n\ndbsize\nnonsense\n", "1\n42\n-1\n3\nERR unknown command 'nonsense'\n\n"},
		{"config get save", "", "save\n\n"},
		{"quit", "", "OK\n"},
	} {
		cmd := exec.Command("redis-cli", append([]string{"-p", port}, strings.Fields(c.args)...)...)
		cmd.Stdin = strings.NewReader(c.in)
		if out, err := cmd.CombinedOutput(); string(out) != c.want {
			t.Errorf("redis-cli %s: %.200q, %v, want %.200q", c.args, out, err, c.want)
		}
	}
	out, err := exec.Command("redis-benchmark", "-p", port, "-t", "ping,set,get,incr,mset", "-n", "2000", "-P", "16", "--csv").CombinedOutput()
	if n := strings.Count(string(out), "\n"); n != 7 || err != nil || strings.Contains(string(out), "rror") {
		t.Errorf("redis-benchmark: %v\n%s", err, out)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
