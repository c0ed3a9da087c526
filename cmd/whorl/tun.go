package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/tlsio"
)

type tunCommand struct {
	Side     string `arg:"" enum:"listen,connect" help:"listen or connect: which side of the connection this host is."`
	Endpoint string `arg:"" help:"Where to listen, or where to connect."`
	Name     string `placeholder:"NAME" help:"Name of the network device, or a pattern such as vpn%d; without it, the system chooses."`
	Tap      bool   `help:"Carry Ethernet frames, by a tap device, and not IP packets. Both sides must say so."`
	MTU      int    `name:"mtu" placeholder:"BYTES" help:"MTU of the device; without it, 1500."`
}

// Help is shown by --help.
func (*tunCommand) Help() string {
	return `A network device is made on each of two hosts, and what one host sends through its device comes out of the other's. In between is a
connection to any place for connections, on which each packet follows its length, two bytes. Give the devices addresses, and routes if you
like, by "ip"; that takes the privileges of an administrator, and so does making a device. Linux has it.

The listening side takes one connection at a time, refuses others meanwhile, and waits for the next when that is lost. A client of TLS takes
the place when its handshake is over, so when it has shown the certificate that clientCAs asks for; 16 may be at theirs at a time. The connecting
side ends with status 1 when the connection is lost, and so does the listening side at serial: or stdio:, where no other one can come. The devices go with the program, which ends at SIGINT or SIGTERM.

A peer that has gone without a word is noticed by keepalive, which is on at places of TCP and TLS, unless they say keepalive=no.

The packets are neither encrypted nor is the other side asked who it is, unless the place does so. Over a network you do not own use tls on
both sides, with clientCAs to listen and a certificate to connect.

A connection that is slow holds the device back: the system queues some hundreds of packets and drops the rest, as any network does.

Examples, the first two on one host each:

    whorl tun listen tcp:7000:interface=0.0.0.0 --name=vpn0 & ip addr add 10.9.0.1/24 dev vpn0
    whorl tun connect tcp:192.0.2.1:7000 --name=vpn0 & ip addr add 10.9.0.2/24 dev vpn0
    whorl tun listen tls:7000:/etc/vpn.pem:clientCAs=/etc/ca.pem:interface=0.0.0.0
    whorl tun connect serial:/dev/ttyUSB0:baudrate=115200 --mtu=576`
}

// Run opens the device, and carries packets until a signal.
func (c *tunCommand) Run(g *globals, t terminal) error {
	known := g.schemes(t, kernel.StreamOptions{KeepAlive: true}) // a peer that has gone would keep the place
	var from endpoint.Server
	var to endpoint.Client
	var err error
	if c.Side == "listen" {
		from, err = known.Server(c.Endpoint)
	} else {
		to, err = known.Client(c.Endpoint)
	}
	if err != nil {
		return misplaced(c.Endpoint, err)
	}
	if err := c.checkDevice(); err != nil {
		return usage(err)
	}
	r, err := g.open(t, reactor.StopSignals()...)
	if err != nil {
		return err
	}
	defer r.Close()
	log, _ := g.logger(t)
	x := &carrier{r: r, log: log, once: to != nil || singleClient(from)}
	if _, err := device.OpenTunnel(r, x.protocol(c.Tap), device.TunnelConfig{Name: c.Name, MTU: c.MTU, Up: true, MaxPacketSize: maxCarried}); err != nil {
		return err
	}
	log.Info("network device", slog.String("kind", x.device.Addr().Kind), slog.String("name", x.device.Addr().Name))
	if from != nil {
		l, err := from.Listen(r, x)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Endpoint, err)
		}
		for _, a := range endpoint.Addrs(l) {
			log.Info(fmt.Sprintf("listening on %s %v", a.Network(), a))
		}
	} else {
		to.Connect(r, x, func(_ reactor.Protocol, err error) {
			if err != nil {
				x.fail(fmt.Errorf("%s: %w", c.Endpoint, err))
			}
		})
	}
	n := program.NewNotify(r, t.manager, log)
	r.CallWhenRunning(func() {
		n.Begin()
		n.Ready("network device " + x.device.Addr().Name)
	})
	r.AddTrigger(reactor.Before, reactor.Shutdown, func() { n.Stopping("stopping", nil) })
	if err := r.Run(context.Background()); err != nil {
		return err
	}
	return x.err
}

// The limits of Linux: the length of the name of a device, and the least MTU, which is that of IPv4.
const (
	maxDeviceName = 15
	minMTU        = 68
)

// checkDevice finds the settings that no device can have, of which the system says no more than that an argument is invalid.
func (c *tunCommand) checkDevice() error {
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxCarried) {
		return fmt.Errorf("--mtu=%d: must be from %d to %d, or 0 for 1500", c.MTU, minMTU, maxCarried)
	}
	if len(c.Name) > maxDeviceName || c.Name == "." || c.Name == ".." || strings.ContainsAny(c.Name, "/: \t\n") {
		return fmt.Errorf("--name=%s: the name of a network device has at most %d bytes, and no '/', ':' or space", c.Name, maxDeviceName)
	}
	return nil
}

// maxCarried is the length of the longest packet: what two bytes can say.
const maxCarried = 1<<16 - 1

// maxCandidates is how many clients may be at their handshake at a time.
const maxCandidates = 16

// tunnelsPerSecond is how many beginnings and ends of tunnels are logged in a second: without TLS, everybody can cause as many as he likes.
const tunnelsPerSecond = 10

// carrier joins a network device with one connection at a time. It is the factory of the connections.
type carrier struct {
	r          *reactor.Reactor
	log        *slog.Logger
	device     *device.Tunnel
	peer       *carried // nil: packets are dropped
	candidates int      // connections that are at their handshake
	once       bool     // there is no other connection when this is lost
	err        error
	refused    reactor.LogLimit
	failures   reactor.LogLimit
	opened     reactor.LogLimit
	ended      reactor.LogLimit
}

// carried is the protocol of the connection.
type carried struct {
	receiver.Prefixed
	x         *carrier
	candidate bool // its handshake is not over
}

// BuildProtocol takes a connection, unless there is one.
func (x *carrier) BuildProtocol(from kernel.Addr) reactor.Protocol {
	switch {
	case x.peer != nil:
		x.refuse("the tunnel has its connection", from)
		return nil
	case x.candidates >= maxCandidates:
		x.refuse("too many clients are at their handshake", from)
		return nil
	}
	c := &carried{x: x}
	c.Width, c.MaxLength = frame.Width16, maxCarried
	c.StringReceived, c.Made, c.Lost = x.arrived, c.made, c.lost
	return c
}

// refuse logs that a client is refused. Clients can cause as many refusals as they like.
func (x *carrier) refuse(why string, from kernel.Addr) {
	x.refused.Log(x.r, x.log, slog.LevelWarn, "refused: "+why, slog.String("peer", from.String()))
}

// LogPrefix is its name in logs.
func (*carrier) LogPrefix() string { return "tun" }

// made takes the place, unless there is a handshake first.
func (c *carried) made() {
	if _, ok := reactor.As[*tlsio.Conn](c.T); ok {
		c.candidate = true
		c.x.candidates++
		return
	}
	c.open()
}

// HandshakeCompleted takes the place: the client is verified. If another was faster, the client is refused.
func (c *carried) HandshakeCompleted(tls.ConnectionState) {
	c.decided()
	if c.x.peer != nil {
		c.x.refuse("the tunnel has its connection", c.T.Remote())
		c.T.Abort()
		return
	}
	c.open()
}

// decided ends the candidacy of c.
func (c *carried) decided() {
	if c.candidate {
		c.candidate = false
		c.x.candidates--
	}
}

// open joins the device with c.
func (c *carried) open() {
	x := c.x
	x.peer = c
	x.opened.PerSecond = tunnelsPerSecond
	x.opened.Log(x.r, x.log, slog.LevelInfo, "tunnel open", slog.String("peer", c.T.Remote().String()))
	if sink, ok := reactor.As[reactor.Consumer](c.T); ok {
		_ = sink.RegisterProducer(carriedSource{x.device}) // it has none yet
	}
}

func (c *carried) lost(err error) {
	x := c.x
	switch {
	case x.peer == c:
		x.peer = nil
		x.ended.PerSecond = tunnelsPerSecond
		x.ended.Log(x.r, x.log, slog.LevelInfo, "tunnel lost", slog.Any("err", err))
		x.device.ResumeProducing() // for the next connection
	default:
		c.decided() // TLS has logged why
	}
	if x.once && !errors.Is(err, reactor.ErrStopped) {
		x.fail(fmt.Errorf("the connection is lost: %w", err))
	}
}

// arrived gives a packet of the peer to the system.
func (x *carrier) arrived(p []byte) {
	if err := x.device.Write(p); err != nil {
		x.failures.Log(x.r, x.log, slog.LevelWarn, "a packet of the other side was dropped", slog.Int("length", len(p)), slog.Any("err", err))
	}
}

// send gives a packet of the system to the peer.
func (x *carrier) send(p []byte) {
	if x.peer != nil {
		_ = x.peer.SendString(p) // ConnectionLost tells of it
	}
}

// carriedSource is the device as the producer of a connection, whose end it survives.
type carriedSource struct{ *device.Tunnel }

// StopProducing does nothing: the next connection will want packets.
func (carriedSource) StopProducing() {}

// fail ends the program because of err.
func (x *carrier) fail(err error) {
	if x.err == nil {
		x.err = err
	}
	_ = x.r.Stop() // it may have been told to already
}

// protocol is that of the device.
func (x *carrier) protocol(tap bool) device.TunnelProtocol {
	if tap {
		return carriedFrames{carriedDevice{x}}
	}
	return carriedPackets{carriedDevice{x}}
}

// carriedDevice is what both kinds of devices have.
type carriedDevice struct{ x *carrier }

// StartTunnel keeps the device.
func (d carriedDevice) StartTunnel(t *device.Tunnel) { d.x.device = t }

// StopTunnel ends the program, if the device was lost.
func (d carriedDevice) StopTunnel(err error) {
	if !errors.Is(err, reactor.ErrStopped) && !errors.Is(err, reactor.ErrClosed) {
		d.x.fail(fmt.Errorf("the network device is lost: %w", err))
	}
}

// carriedPackets is for tun.
type carriedPackets struct{ carriedDevice }

// PacketReceived sends a packet.
func (d carriedPackets) PacketReceived(p []byte) { d.x.send(p) }

// carriedFrames is for tap.
type carriedFrames struct{ carriedDevice }

// FrameReceived sends a frame.
func (d carriedFrames) FrameReceived(p []byte) { d.x.send(p) }
