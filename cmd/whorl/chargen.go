package main

import (
	"bytes"
	"math/rand/v2"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

type chargenCommand struct {
	Endpoints []string `arg:"" name:"endpoint" help:"Where to listen."`
	handoverFlags
}

// Help is shown by --help.
func (*chargenCommand) Help() string {
	return `Lines of 72 characters are sent as fast as they are read, until the peer closes or is cut off. A datagram is answered by
one with a random number of characters, 0 to 512.

The sender of a datagram can be forged, and then an answer that may be much longer goes to somebody who has not asked. On loopback, where the
server is unless the description says otherwise, nobody from elsewhere can do that. Do not open it to a network.

Examples:

    whorl chargen tcp:8019
    whorl chargen udp:8019`
}

// Run serves chargen.
func (c *chargenCommand) Run(g *globals, t terminal) error {
	f := NewChargens()
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	known := g.schemes(t, kernel.StreamOptions{})
	a := g.visits(t, known, c.Endpoints...)
	return g.serve(t, known, c.handoverFlags, c.Endpoints, a.watched(f), a, newPacketChargens(f, random))
}

// The lines of RFC 864 have 72 of the 95 printing characters of ASCII. Each line
// begins one character after the beginning of the last.
const (
	firstChar = ' '
	charCount = 95
	lineChars = 72
)

// Chargens is the factory of [Chargen].
type Chargens struct {
	lines []byte // every line, burst times; all connections send this one slice
}

// NewChargens makes the lines.
func NewChargens() *Chargens {
	f := &Chargens{}
	for line := range charCount {
		for i := range lineChars {
			f.lines = append(f.lines, byte(firstChar+(line+i)%charCount))
		}
		f.lines = append(f.lines, '\r', '\n')
	}
	f.lines = bytes.Repeat(f.lines, burst)
	return f
}

// BuildProtocol makes the protocol of a connection.
func (f *Chargens) BuildProtocol(kernel.Addr) reactor.Protocol { return &Chargen{lines: f.lines} }

// AnyLoop is true: the lines never change.
func (f *Chargens) AnyLoop() bool { return true }

// Resume makes that of a predecessor's connection.
func (f *Chargens) Resume([]byte, kernel.Addr) (reactor.Protocol, error) {
	return &Chargen{lines: f.lines}, nil
}

// Chargen sends lines of characters for ever and throws away what arrives (RFC
// 864). It is the producer of its connection: it stops while the peer does not
// read. It goes on when the peer has ended its own direction.
type Chargen struct {
	reactor.Base
	lines  []byte
	more   func() // produce, stored once
	queued bool   // more was posted
	held   bool   // paused or stopped
}

// burst is the number of times that all lines are written in one turn.
const burst = 8

// ConnectionMade registers the producer and begins to write.
func (c *Chargen) ConnectionMade(t reactor.Transport) {
	c.Base.ConnectionMade(t)
	c.more = c.produce
	if sink, ok := reactor.As[reactor.Consumer](t); ok {
		// The connection has no producer yet, so this one is accepted.
		_ = sink.RegisterProducer(c)
	}
	c.ResumeProducing()
}

// produce writes one burst.
func (c *Chargen) produce() {
	c.queued = false
	if !c.held {
		reactor.WriteShared(c.T, c.lines)
	}
	c.ask()
}

// ask schedules produce for the next turn, unless the producer is paused.
func (c *Chargen) ask() {
	if !c.held && !c.queued {
		c.queued = true
		c.T.Reactor().Post(c.more)
	}
}

// PauseProducing stops the writing until ResumeProducing.
func (c *Chargen) PauseProducing() { c.held = true }

// ResumeProducing lets the writing go on.
func (c *Chargen) ResumeProducing() {
	c.held = false
	c.ask()
}

// StopProducing stops the writing for ever: the connection is gone.
func (c *Chargen) StopProducing() { c.held = true }

// DataReceived does nothing.
func (c *Chargen) DataReceived([]byte) {}

// ReadConnectionLost does nothing: the peer may still want to read.
func (c *Chargen) ReadConnectionLost() {}

// WriteConnectionLost does nothing.
func (c *Chargen) WriteConnectionLost() {}

// Handover returns nothing, and no error: a write always ends with the last line.
func (c *Chargen) Handover() ([]byte, error) { return nil, nil }
