package main

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

type discardCommand struct {
	Endpoints []string `arg:"" name:"endpoint" help:"Where to listen."`
	handoverFlags
}

// Help is shown by --help.
func (*discardCommand) Help() string {
	return `Examples:

    whorl discard tcp:8009 tcp6:8010:interface=[::]
    whorl discard udp:8009`
}

// Run serves discard.
func (c *discardCommand) Run(g *globals, t terminal) error {
	known := g.schemes(t, kernel.StreamOptions{})
	a := g.visits(t, known, c.Endpoints...)
	return g.serve(t, known, c.handoverFlags, c.Endpoints, a.watched(discards{}), a, newPacketDiscard)
}

// discards is the factory of [Discard]. It has no state, so its connection can move to a successor.
type discards struct{}

// BuildProtocol makes the protocol of a connection.
func (discards) BuildProtocol(kernel.Addr) reactor.Protocol { return new(Discard) }

// AnyLoop is true.
func (discards) AnyLoop() bool { return true }

// LogPrefix is its name in logs.
func (discards) LogPrefix() string { return "Discard" }

// Resume makes that of a predecessor's connection.
func (discards) Resume([]byte, kernel.Addr) (reactor.Protocol, error) { return new(Discard), nil }

// Discard throws away what arrives (RFC 863), and closes when the peer ends.
type Discard struct{ reactor.Base }

// DataReceived does nothing.
func (*Discard) DataReceived([]byte) {}

// Handover returns nothing, and no error.
func (*Discard) Handover() ([]byte, error) { return nil, nil }
