package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// serve runs a server at the places texts name until a signal ends it. datagrams makes the protocols of those of datagrams.
func (g *globals) serve(t terminal, known *endpoint.Schemes, h handoverFlags, texts []string, f reactor.Factory, datagrams func() reactor.PacketProtocol) error {
	outliveReaders()
	log, engine := g.logger(t)
	c := whorl.Config{Kernel: g.Kernel, Logger: log, Grace: g.Grace, Loops: g.Loops, Schemes: known, Datagrams: datagrams, Notify: t.manager, Reactor: reactor.Config{Logger: engine}}
	if g.Grace == 0 {
		c.Grace = -1 // no time at all; zero would be the default
	}
	if c.Handover = h.Handover; c.Handover != "" {
		if g.Loops > 1 {
			return usage(fmt.Errorf("--loops=%d and --handover: a server that hands its sockets over has one loop", g.Loops))
		}
		c.Hangup = newReplacer(log, t.manager).hangup
	}
	before := 0
	c.Started = func(r *reactor.Reactor, _ []endpoint.Listener) { before = spareP(r) }
	err := c.Serve(context.Background(), f, texts...)
	if before > 0 {
		runtime.GOMAXPROCS(before)
	}
	return unread(err)
}

// spareP raises GOMAXPROCS to one more than r's group has loops. While they wait, loops then keep the Ps that they have. Otherwise they take them from
// each other, which at some rates of messages takes more processor time than the messages do. It returns what GOMAXPROCS was, or 0 if that was enough.
//
// A single loop with a single P gets no other: TLS handshakes on a thread of their own, on the same processor, took a tenth more of its time.
func spareP(r *reactor.Reactor) int {
	g := r.Group()
	if g == nil || g.Len() < runtime.GOMAXPROCS(0) {
		return 0
	}
	return runtime.GOMAXPROCS(g.Len() + 1)
}
