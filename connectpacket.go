package whorl

import (
	"log/slog"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// connectPacket opens a port of datagrams. The loop has still to be run.
func (x *client) connectPacket(to endpoint.PacketClient, c *Config) {
	if c.Started != nil {
		x.r.CallWhenRunning(func() { c.Started(x.r, nil) })
	}
	x.r.AddWaitTrigger(reactor.Shutdown, x.end)
	p, err := packetProtocol(c.Datagrams)
	if err != nil {
		x.cancel = func() {}
		x.r.CallWhenRunning(func() { x.over(err) })
		return
	}
	x.cancel = to.ConnectPacket(x.r, &heardPacketProtocol{p, x.lost}, x.packetConnected)
}

// packetConnected hears how the opening has ended. The protocol may have stopped the port before.
func (x *client) packetConnected(port *reactor.PacketPort, err error) {
	switch {
	case err != nil:
		x.over(err)
	case x.state == clientConnecting:
		x.state, x.port = clientConnected, port
	}
}

// endPacket stops the port, which sends what is queued, within the grace.
func (x *client) endPacket(done func()) {
	x.log.Info("stopping: sending what is queued", slog.Duration("grace", x.drain.grace))
	var limit reactor.DelayedCall
	over := false
	finish := func() {
		if !over {
			over = true
			limit.Cancel()
			x.drained(done)()
		}
	}
	x.drain.cut = finish
	grace := x.drain.grace
	if x.drain.because != "" { // a signal has cut it short before
		grace = 0
	}
	limit.Init(x.r, finish)
	limit.Reset(grace)
	x.port.StopListening(func(err error) {
		if err != nil {
			x.log.Warn("a place of datagrams has not ended in order", slog.Any("err", err))
		}
		finish()
	})
}

// heardPacketProtocol wraps a protocol, so that the end of its port is heard.
type heardPacketProtocol struct {
	reactor.PacketProtocol
	ended func(reason error)
}

// Unwrap is the protocol inside.
func (p *heardPacketProtocol) Unwrap() reactor.PacketProtocol { return p.PacketProtocol }

// LogPrefix keeps the name of the protocol in the log.
func (p *heardPacketProtocol) LogPrefix() string { return reactor.LogPrefixOf(p.PacketProtocol) }

// StopProtocol passes the end on. The client or server hears of it first, because the protocol may panic.
func (p *heardPacketProtocol) StopProtocol(err error) {
	p.ended(err)
	p.PacketProtocol.StopProtocol(err)
}
