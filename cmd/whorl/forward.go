package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/alecthomas/kong"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

type forwardCommand struct {
	Listen     string         `arg:"" help:"Where to listen."`
	Connect    string         `arg:"" help:"Where to pass connections on to."`
	Idle       *time.Duration `placeholder:"DURATION" help:"Reset a pair, or end a session of datagrams, on which nothing passes for so long; 0 means never (1h; datagrams: 2m)."`
	Sessions   int            `default:"1024" placeholder:"N" help:"Of datagrams: how many clients may have a session at a time (${default})."`
	HalfClosed time.Duration  `default:"5m" placeholder:"DURATION" help:"The same when one direction has ended, if it is shorter; 0 means that --idle goes on (${default})."`
	Proxy      int            `name:"proxy-protocol" placeholder:"1|2" help:"Begin each connection to CONNECT with a header of the PROXY protocol of this version, which says who the client is."`
	handoverFlags
}

// Help is shown by --help.
func (*forwardCommand) Help() string {
	return `Each connection to LISTEN is joined with a new one to CONNECT. A side that does not read holds the other back; the end
of one direction is passed on as such; a side that breaks off is passed on as a reset. A client for whom there is no
connection to CONNECT is reset. A client of TLS gets a connection when its handshake is over, so when it has shown the
certificate that clientCAs asks for; one behind a proxy, at haproxy:, when the header of that has come. A pair on which nothing passes for --idle is reset. The header of --proxy-protocol goes within TLS if CONNECT is
a place of TLS.

If LISTEN is a place of datagrams, CONNECT must be one too. Each client address gets a session, which has a socket of its own to CONNECT:
answers that come there are sent to that client. A session on which nothing passes for --idle ends. If there are --sessions of them, the one
that has been silent longest gives way to a new client, if that was for 10 s at least; otherwise the new client is not served. To get
answers from a unixgram socket, say bindAddress=PATH: session 1 binds PATH.1, and so on; a path that exists is left out.

Examples, the second of which ends TLS and the third begins it:

    whorl forward tcp:8080 tcp:example.com:80
    whorl forward tls:8443:/etc/ssl/site.pem tcp:localhost:80
    whorl forward tcp:8080 tls:example.com:443
    whorl forward --proxy-protocol=2 haproxy:[tcp:8080] tcp:example.com:80
    whorl forward udp:5353 udp:192.0.2.1:53
    whorl forward udp:5140 unixgram:/run/systemd/journal/syslog`
}

// Run serves the forwarder.
func (c *forwardCommand) Run(g *globals, t terminal, line *kong.Context) error {
	known := g.schemes(t, kernel.StreamOptions{})
	if c.Proxy < 0 || c.Proxy > 2 {
		return usage(fmt.Errorf("--proxy-protocol=%d: must be 1 or 2", c.Proxy))
	}
	idle := time.Hour
	if c.Idle != nil {
		idle = *c.Idle
	}
	if idle < 0 || c.HalfClosed < 0 {
		return usage(fmt.Errorf("--idle=%v, --half-closed=%v: must not be negative", idle, c.HalfClosed))
	}
	_, listen := known.Server(c.Listen)
	to, err := known.Client(c.Connect)
	switch listens, connects := errors.Is(listen, endpoint.ErrKind), errors.Is(err, endpoint.ErrKind); {
	case listens && connects:
		if err := misplacedFlag(line, onlyConnections(c.Listen), "half-closed", "proxy-protocol"); err != nil {
			return err
		}
		return c.runPackets(g, t, known)
	case listens && err == nil:
		return usage(fmt.Errorf("%s takes datagrams and %s connections: both must be of one kind", c.Listen, c.Connect))
	case connects && listen == nil:
		return usage(fmt.Errorf("%s takes connections and %s datagrams: both must be of one kind", c.Listen, c.Connect))
	case err != nil:
		return misplaced(c.Connect, err)
	}
	if listen == nil {
		if err := misplacedFlag(line, onlyDatagrams(c.Listen), "sessions"); err != nil {
			return err
		}
	}
	log, _ := g.logger(t)
	f := &Forwarder{To: to, Name: c.Connect, Log: log, Idle: limit(idle), HalfClosed: limit(c.HalfClosed), Access: g.visits(t, known, c.Listen), Proxy: c.Proxy}
	return g.serve(t, known, c.handoverFlags, []string{c.Listen}, f, f.Access, nil)
}

// runPackets serves the forwarder of datagrams.
func (c *forwardCommand) runPackets(g *globals, t terminal, known *endpoint.Schemes) error {
	to, err := known.PacketClient(c.Connect)
	if err != nil {
		return misplaced(c.Connect, err)
	}
	if c.Sessions < 1 {
		return usage(fmt.Errorf("--sessions=%d: must be 1 or more", c.Sessions))
	}
	idle := sessionIdle
	if c.Idle != nil {
		idle = *c.Idle
	}
	log, _ := g.logger(t)
	f := &PacketForwarder{To: to, Name: c.Connect, Log: log, Idle: idle, Most: c.Sessions, Quiet: sessionQuiet, Access: g.access(t)}
	return g.serve(t, known, c.handoverFlags, []string{c.Listen}, nil, nil, func() reactor.PacketProtocol { return f })
}

// limit is d as reactor.JoinConfig has it, where zero would be the default.
func limit(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// Forwarder is the factory that passes each connection on to another place.
//
// The outgoing side is connected when the accepted side is made, or, with TLS, when its
// handshake is over: who shows no certificate causes no connection. Behind a proxy it waits for the header, to pass on who the client is. The accepted side is
// paused until then. If connecting fails, the accepted side is reset (RECON-9), because
// nothing of what its client has sent was passed on. Otherwise the two are joined, as
// [reactor.Join] says. The outgoing side is joined before its TLS handshake. If that
// fails, the accepted side is reset too.
type Forwarder struct {
	To   endpoint.Client
	Name string // of To, for the log
	Log  *slog.Logger
	// Idle and HalfClosed are the limits of a pair, as in reactor.JoinConfig.
	Idle, HalfClosed time.Duration
	// Access has a line for each client. Nil: nothing is written.
	Access *accessLog
	// Proxy is the version of the PROXY header that connections to To begin with. Zero: none.
	Proxy int
}

// unables is the limit of what is logged of pairs that were not joined: clients can cause as many as they like. Each loop has one.
type unables struct{ reactor.LogLimit }

// AnyLoop is true: each pair is on one loop, and a Forwarder does not change.
func (f *Forwarder) AnyLoop() bool { return true }

// BuildProtocol makes the accepted side of a pair.
func (f *Forwarder) BuildProtocol(kernel.Addr) reactor.Protocol {
	p := &pair{f: f}
	p.in.pair, p.out.pair = p, p
	return &p.in
}

// pair is an accepted connection and the outgoing one that it is passed on to.
type pair struct {
	f      *Forwarder
	in     accepted
	out    outgoing
	joined *reactor.Joined // nil before
	visit  visit           // of the accepted side
	failed error           // why the two were not joined
}

// accepted is the protocol of the accepted side until it is joined.
type accepted struct {
	reactor.Base
	pair   *pair
	cancel func() // while connecting
	gone   bool
}

// ConnectionMade connects the outgoing side, unless there is a handshake first.
func (s *accepted) ConnectionMade(t reactor.Transport) {
	s.Base.ConnectionMade(t)
	s.pair.visit = begin(t)
	source, _ := reactor.As[reactor.Producer](t)
	source.PauseProducing()
	if _, ok := reactor.As[*tlsio.Conn](t); !ok {
		s.identified()
	}
}

// HandshakeCompleted connects the outgoing side: the client is verified.
func (s *accepted) HandshakeCompleted(tls.ConnectionState) { s.identified() }

// identified connects the outgoing side when a proxy before us has said who the client is.
func (s *accepted) identified() {
	if !flow.AwaitProxy(s.T, s.connect) {
		s.connect()
	}
}

func (s *accepted) connect() {
	p := s.pair
	f := reactor.One(&p.out)
	if p.f.Proxy > 0 {
		f = flow.SendProxy(f, &flow.SendProxyOptions{Version: p.f.Proxy, Header: func(reactor.Transport) flow.ProxyHeader { return flow.ProxyOf(s.T) }})
	}
	s.cancel = p.f.To.Connect(s.T.Reactor(), f, s.connected)
}

// connected takes the result of connecting the outgoing side.
func (s *accepted) connected(_ reactor.Protocol, err error) {
	s.cancel = nil
	if err != nil && !s.gone {
		s.pair.unable(err)
		s.T.Abort()
	}
}

// DataReceived gets nothing: the side is paused, and then joined.
func (s *accepted) DataReceived([]byte) {}

// ConnectionLost gives connecting up.
func (s *accepted) ConnectionLost(err error) {
	s.gone = true
	if p := s.pair; p.joined == nil {
		if p.failed != nil {
			err = p.failed
		}
		p.f.Access.ended(p.visit, p.backend(), err)
	}
	if cancel := s.cancel; cancel != nil {
		s.cancel = nil
		cancel()
	}
}

// outgoing is the protocol of the outgoing side until it is joined.
type outgoing struct {
	reactor.Base
	pair *pair
}

// ConnectionMade joins the two sides.
func (s *outgoing) ConnectionMade(t reactor.Transport) {
	s.Base.ConnectionMade(t)
	p := s.pair
	j, err := reactor.Join(p.in.T, t, &reactor.JoinConfig{Idle: p.f.Idle, HalfClosed: p.f.HalfClosed, Done: p.ended})
	if err != nil { // the accepted side is closing; Join has ended this one
		p.failed = err
		return
	}
	p.joined = j
}

// DataReceived gets nothing: the side is joined.
func (s *outgoing) DataReceived([]byte) {}

// ConnectionLost tells about a handshake that failed, which is why it could not connect.
func (s *outgoing) ConnectionLost(err error) {
	if errors.Is(err, tlsio.ErrHandshake) && !s.pair.in.gone {
		s.pair.unable(err)
	}
}

// unable logs why a client cannot be passed on.
func (p *pair) unable(err error) {
	p.failed = err
	r := p.in.T.Reactor()
	reactor.Shared(r, func() *unables { return new(unables) }).Log(r, p.f.Log, slog.LevelWarn, "cannot pass a connection on", slog.String("to", p.f.Name),
		slog.String("peer", p.in.T.Remote().String()), slog.Any("err", err))
}

// ended writes the line of the client. If a handshake has failed, that is the reason, and not the
// reset that followed.
func (p *pair) ended(res reactor.JoinResult) {
	if p.failed != nil {
		res.Err = p.failed
	}
	p.f.Access.ended(p.visit, p.backend(), res.Err)
}

// backend is the address of the outgoing side, or where it should have been.
func (p *pair) backend() string {
	if p.out.T == nil {
		return p.f.Name
	}
	return p.out.T.Remote().String()
}
