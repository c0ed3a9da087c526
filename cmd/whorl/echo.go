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
	return g.serve(t, g.schemes(t, kernel.StreamOptions{}), c.handoverFlags, c.Endpoints, g.watched(t, echoes{}), newPacketEcho)
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
	_ = e.T.RegisterProducer(e.T) // there is none yet, and a transport that takes none is not slowed down
}

// DataReceived sends p back.
func (e *Echo) DataReceived(p []byte) { e.T.Write(p) }

// ReadConnectionLost unregisters the producer and closes.
func (e *Echo) ReadConnectionLost() {
	e.T.UnregisterProducer()
	e.T.Close()
}

// WriteConnectionLost does nothing: only Close ends our direction.
func (e *Echo) WriteConnectionLost() {}

// Handover returns nothing, and no error.
func (e *Echo) Handover() ([]byte, error) { return nil, nil }
