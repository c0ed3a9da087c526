package main

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

type echoCommand struct {
	Endpoints []string `arg:"" name:"endpoint" help:"Where to listen."`
	handoverFlags
}

// Help is shown by --help.
func (*echoCommand) Help() string {
	return `Each connection gets back what it sends, and no more is read of it while it does not read. When the peer has ended its
direction, the rest is sent and the connection closed. Each datagram goes back where it came from; what there is no room to send is
dropped.

The sender of a datagram can be forged, and then the echo goes to somebody who has not asked, for instance to another echo. On loopback,
where the server is unless the description says otherwise, nobody from elsewhere can do that.

Examples:

    whorl echo tcp:8007
    whorl echo tcp:8007:interface=127.0.0.1
    whorl echo tcp:8007 udp:8007 unixgram:/tmp/echo.sock
    whorl echo tls:8443:/etc/ssl/site.pem`
}

// Run serves echo.
func (c *echoCommand) Run(g *globals, t terminal) error {
	known := g.schemes(t, kernel.StreamOptions{})
	a := g.visits(t, known, c.Endpoints...)
	return g.serve(t, known, c.handoverFlags, c.Endpoints, a.watched(echoes{}), a, newPacketEcho)
}

// echoes is the factory of [Echo]. An Echo has no state, so its connection can move to a successor.
type echoes struct{}

// BuildProtocol makes the protocol of a connection.
func (echoes) BuildProtocol(kernel.Addr) reactor.Protocol { return new(Echo) }

// AnyLoop is true.
func (echoes) AnyLoop() bool { return true }

// LogPrefix is its name in logs.
func (echoes) LogPrefix() string { return "Echo" }

// Resume makes that of a predecessor's connection.
func (echoes) Resume([]byte, kernel.Addr) (reactor.Protocol, error) { return new(Echo), nil }

// Echo sends back what arrives (RFC 862). It reads no more while the peer does
// not read: the connection is its own producer. When the peer has ended its
// direction, the echo sends the rest and closes.
type Echo struct{ reactor.Base }

// ConnectionMade registers the connection as its own producer.
func (e *Echo) ConnectionMade(t reactor.Transport) {
	e.Base.ConnectionMade(t)
	_ = e.T.RegisterProducer(echoSource{e.T}) // there is none yet, and a transport that takes none is not slowed down
}

// echoSource is a connection as its own producer.
type echoSource struct{ reactor.Connection }

// StopProducing breaks off, because nothing can be sent any more while something may still be read. To close, as a connection does, would look like an end in order.
func (s echoSource) StopProducing() { s.Abort() }

// Producing is that of the connection.
func (s echoSource) Producing() bool { return reactor.Produces(s.Connection) }

// DataReceived sends p back.
func (e *Echo) DataReceived(p []byte) { e.T.Write(p) }

// ReadConnectionLost unregisters the producer and closes.
func (e *Echo) ReadConnectionLost() {
	e.T.UnregisterProducer()
	e.T.Close()
}

// WriteConnectionLost breaks off. We never end our direction alone, so this is standard output that is lost, and what is read from now on could not be sent back.
func (e *Echo) WriteConnectionLost() { e.T.Abort() }

// Handover returns nothing, and no error.
func (e *Echo) Handover() ([]byte, error) { return nil, nil }
