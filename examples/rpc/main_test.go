package main

import (
	"context"
	"testing"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/examples/rpc/rpc"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// Another goroutine calls a server that whorl.Serve runs, and the server ends in order.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	addr, served := make(chan kernel.Addr, 1), make(chan error, 1)
	s := whorl.Config{Started: func(_ *reactor.Reactor, open []endpoint.Listener) { addr <- open[0].Addr() }}
	go func() { served <- s.Serve(ctx, server(), "tcp:0:interface=127.0.0.1") }()
	k, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	c := &rpc.Client{Reactor: r, Servers: []kernel.Addr{<-addr}}
	c.Start()
	ended := make(chan error, 1)
	go func() { ended <- r.Run(context.Background()) }()
	if got, err := c.Do("upper", "hello", rpc.Options{}); string(got) != `"HELLO"` || err != nil {
		t.Errorf("%s and %v", got, err)
	}
	if got, err := c.Do("file", "nowhere", rpc.Options{}); err == nil {
		t.Errorf("%s", got)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	r.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
