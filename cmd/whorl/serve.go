package main

import (
	"context"
	"fmt"

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
	return unread(c.Serve(context.Background(), f, texts...))
}
