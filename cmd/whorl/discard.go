package main

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

type discardCommand struct {
	Endpoints []string `arg:"" name:"endpoint" help:"Where to listen."`
}

// Help is shown by --help.
func (*discardCommand) Help() string {
	return `Examples:

    whorl discard tcp:8009 tcp6:8010:interface=[::]
    whorl discard udp:8009`
}

// Run serves discard.
func (c *discardCommand) Run(g *globals, t terminal) error {
	return g.serve(t, g.schemes(t, kernel.StreamOptions{}), c.Endpoints, g.watched(t, reactor.Each[Discard]()), newPacketDiscard)
}

// Discard throws away what arrives (RFC 863), and closes when the peer ends.
type Discard struct{ reactor.Base }

// DataReceived does nothing.
func (*Discard) DataReceived([]byte) {}
