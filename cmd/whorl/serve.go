package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// serve runs a server at the places texts name until a signal ends it, or a has its last client. datagrams makes the protocols of those of datagrams.
func (g *globals) serve(t terminal, known *endpoint.Schemes, h handoverFlags, texts []string, f reactor.Factory, a *accessLog, datagrams func() reactor.PacketProtocol) error {
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
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	last := a.lastClient()
	if last != nil {
		last.stop = stop
		if c.Loops == 0 {
			c.Loops = 1 // more would have nothing to do
		}
	}
	c.Started = func(r *reactor.Reactor, _ []endpoint.Listener) {
		spareP(r)
		last.watch(r)
	}
	if err := c.Serve(ctx, f, texts...); err != nil {
		return unread(err)
	}
	return last.result()
}

// spareP raises GOMAXPROCS to one more than r's group has loops. While they wait, loops then keep the Ps that they have. Otherwise they take them from
// each other, which at some rates of messages takes nearly as much processor time as the messages do.
//
// A single loop with a single P gets no other: TLS handshakes on a thread of their own, on the same processor, took a tenth more of its time.
func spareP(r *reactor.Reactor) {
	if g := r.Group(); g != nil && g.Len() >= runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(g.Len() + 1)
	}
}
