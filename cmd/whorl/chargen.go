package main

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

type chargenCommand struct {
	Endpoints []string `arg:"" name:"endpoint" help:"Where to listen."`
}

// Help is shown by --help.
func (*chargenCommand) Help() string {
	return `Lines of 72 characters are sent as fast as they are read, until the peer closes or is cut off.

Example:

    whorl chargen tcp:8019`
}

// Run serves chargen.
func (c *chargenCommand) Run(g *globals, t terminal) error {
	return g.serve(t, g.schemes(t, kernel.StreamOptions{}), c.Endpoints, NewChargens())
}

// The lines of RFC 864: 72 of the 95 printing characters of ASCII, each line
// beginning one further on.
const (
	firstChar = ' '
	charCount = 95
	lineChars = 72
)

// Chargens is the factory of [Chargen].
type Chargens struct {
	lines []byte // every line once
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
	return f
}

// BuildProtocol makes the protocol of a connection.
func (f *Chargens) BuildProtocol(kernel.Addr) reactor.Protocol { return &Chargen{lines: f.lines} }

// Chargen sends lines of characters for ever and throws away what arrives (RFC
// 864). It is the producer of its connection: it stops while the peer does not
// read. That the peer has ended its own direction means nothing to it.
type Chargen struct {
	reactor.Base
	lines  []byte
	more   func() // produce, stored once
	queued bool   // more was posted
	held   bool   // paused or stopped
}

// burst is how often all the lines are written before others have their turn.
const burst = 8

// ConnectionMade begins.
func (c *Chargen) ConnectionMade(t reactor.Transport) {
	c.Base.ConnectionMade(t)
	c.more = c.produce
	if sink, ok := reactor.As[reactor.Consumer](t); ok {
		// It is the first, so it is not refused.
		_ = sink.RegisterProducer(c)
	}
	c.ResumeProducing()
}

// produce writes some, unless it was paused meanwhile.
func (c *Chargen) produce() {
	c.queued = false
	for i := 0; i < burst && !c.held; i++ {
		c.T.Write(c.lines)
	}
	c.ask()
}

// ask has produce called in the next turn, for as long as nobody holds it.
func (c *Chargen) ask() {
	if !c.held && !c.queued {
		c.queued = true
		c.T.Reactor().Post(c.more)
	}
}

// PauseProducing holds it.
func (c *Chargen) PauseProducing() { c.held = true }

// ResumeProducing lets it go on.
func (c *Chargen) ResumeProducing() {
	c.held = false
	c.ask()
}

// StopProducing holds it for ever: the connection is gone.
func (c *Chargen) StopProducing() { c.held = true }

// DataReceived does nothing.
func (c *Chargen) DataReceived([]byte) {}

// ReadConnectionLost does nothing: who sends no more may still want to read.
func (c *Chargen) ReadConnectionLost() {}

// WriteConnectionLost does nothing.
func (c *Chargen) WriteConnectionLost() {}
