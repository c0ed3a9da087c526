// Package socks is a SOCKS5 proxy: CONNECT of RFC 1928, without authentication or with the
// names and passwords of RFC 1929. The reactor's resolver looks names up.
package socks

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// DefaultHandshake is how long a client may take to say where it wants to go.
const DefaultHandshake = 10 * time.Second

// drainHandshake is the same when the proxy ends.
const drainHandshake = time.Second

// Proxy is the factory of a proxy's connections. Its fields are set before it is in use.
type Proxy struct {
	// Check tells whether a name and a password are right. It is called on the loop's
	// goroutine and must not block. Nil: no authentication.
	Check func(user, password string) bool
	// Handshake is how long a client may take until its request is complete. Zero:
	// DefaultHandshake.
	Handshake time.Duration
	// Dial configures the connections to destinations. Its Timeout includes the look-up.
	Dial reactor.DialConfig
	// Idle is how long a tunnel may be silent, and HalfClosed how long one whose one
	// direction has ended. Zero: the defaults of reactor.JoinConfig.
	Idle, HalfClosed time.Duration
	// Logger gets a record at the end of each connection. Its Handler must not block. Nil:
	// none is written.
	Logger *slog.Logger
}

// BuildProtocol makes the protocol of a client.
func (p *Proxy) BuildProtocol(kernel.Addr) reactor.Protocol { return &client{proxy: p} }

// client is the connection of a client, until it is joined to its destination.
type client struct {
	receiver.Stateful
	proxy   *Proxy
	since   time.Duration
	limit   reactor.DelayedCall // of the handshake
	dialing *reactor.Connector
	joined  bool
	user    string
	to      kernel.Addr
	why     error // the failure that the client was told
}

// target is the connection to a destination, until it is joined.
type target struct{ reactor.Base }

func (*target) DataReceived([]byte) {}

// ConnectionMade begins the handshake.
func (c *client) ConnectionMade(t reactor.Transport) {
	c.since = t.Reactor().Now()
	c.limit.Init(t.Reactor(), t.Abort)
	limit := c.proxy.Handshake
	if limit == 0 {
		limit = DefaultHandshake
	}
	c.limit.Reset(limit)
	c.First = receiver.Step{Size: 2, Received: c.greeting}
	c.Stateful.ConnectionMade(t)
}

// ConnectionLost gives up the attempt in progress. A client that was joined is logged by done.
func (c *client) ConnectionLost(err error) {
	c.limit.Cancel()
	if c.dialing != nil {
		c.dialing.StopConnecting()
	}
	c.Stateful.ConnectionLost(err)
	if !c.joined {
		if c.why != nil {
			err = c.why
		}
		c.log(reactor.JoinStats{}, err)
	}
}

// Drain gives a client little time for the rest of its handshake. A request in progress goes
// on. In a tunnel it is not called: the pair that was joined ends by itself, or with the grace.
func (c *client) Drain() {
	if c.limit.Active() {
		c.limit.Reset(drainHandshake)
	}
}

// connect connects to the destination. What the client sends meanwhile waits.
func (c *client) connect(to kernel.Addr) {
	c.limit.Cancel()
	c.to = to
	rest := slices.Clone(c.Rest())
	c.T.PauseProducing()
	c.dialing = c.T.Reactor().Dial(to, reactor.Each[target](), &c.proxy.Dial, func(p reactor.Protocol, err error) {
		c.dialing = nil
		if err != nil {
			c.fail(replyOf(err), err)
			c.T.Close()
			return
		}
		c.join(p.(*target), rest)
	})
}

// join tells the client of its success, and leaves it to reactor.Join.
func (c *client) join(to *target, rest []byte) {
	c.reply(succeeded, to.T.Local().IP)
	_, err := reactor.Join(c.T, to.T, &reactor.JoinConfig{
		RestA: rest, Idle: c.proxy.Idle, HalfClosed: c.proxy.HalfClosed,
		Done: func(r reactor.JoinResult) { c.log(r.JoinStats, r.Err) },
	})
	c.joined = err == nil
	c.why = err
}

// fail tells the client that its request has failed.
func (c *client) fail(code byte, why error) {
	c.why = why
	c.reply(code, netip.AddrPort{})
}

// log writes the record at the end of a connection.
func (c *client) log(s reactor.JoinStats, err error) {
	if c.proxy.Logger == nil {
		return
	}
	c.proxy.Logger.Info("socks", "peer", c.T.Remote(), "user", c.user, "to", c.to,
		"up", s.AToB, "down", s.BToA, "took", c.T.Reactor().Now()-c.since, "err", err)
}
