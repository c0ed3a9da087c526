package main

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

type caller struct {
	reactor.Base
	heard string
}

func (c *caller) DataReceived(p []byte) { c.heard += string(p) }

func TestEcho(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.Each[echo](), nil)
			if err != nil {
				t.Fatal(err)
			}
			c := new(caller)
			r.Dial(port.Addr(), reactor.One(c), nil, nil)
			testworld.Until(t, func() bool { return c.T != nil }, r)
			c.T.Write([]byte("hello"))
			testworld.Until(t, func() bool { return c.heard == "hello" }, r)
		})
	}
}
