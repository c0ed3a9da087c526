package tlsio

import (
	"crypto/tls"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

type tlsState = tls.ConnectionState

// Protocols is implemented by a Factory, given to Server or Client, that knows which
// application protocols its connections speak. It is found behind wrappers. NextProtos
// returns the protocols, best first, and they replace the tls.Config's NextProtos
// (TLS-51). If a name has not 1 to 255 bytes, Listen and Dial fail with ErrConfig.
type Protocols interface{ NextProtos() []string }

// Server returns a factory for Reactor.Listen. Its connections are TLS servers, and
// inner makes the protocols above them. If no connection can be made with cfg, Listen
// fails with ErrConfig (TLS-2). cfg is the caller's, and is not changed.
func Server(cfg *tls.Config, inner reactor.Factory, o *Options) reactor.Factory {
	return newFactory(cfg, inner, o, false)
}

// Client returns a factory for Reactor.Dial. Its connections are TLS clients, and inner
// makes the protocols above them. The done function of Dial gets a protocol from which
// reactor.ProtocolAs finds inner's. cfg must have ServerName, the name that the peer must
// prove, or InsecureSkipVerify; else the attempt fails with ErrConfig (TLS-2).
// Renegotiation is always refused.
func Client(cfg *tls.Config, inner reactor.Factory, o *Options) reactor.Factory {
	return newFactory(cfg, inner, o, true)
}

// factory makes TLS connections.
type factory struct {
	cfg    *tls.Config
	inner  reactor.Factory
	o      Options
	client bool
	err    error
}

var (
	_ reactor.StartStopper = (*factory)(nil)
	_ reactor.LogPrefixer  = (*factory)(nil)
)

func newFactory(cfg *tls.Config, inner reactor.Factory, o *Options, client bool) *factory {
	f := &factory{inner: inner, o: o.orDefault(), client: client}
	if f.cfg, f.err = checkConfig(cfg, client); f.err != nil {
		return f
	}
	if p, ok := reactor.FactoryAs[Protocols](inner); ok {
		f.cfg = withTickets(f.cfg.Clone(), cfg)
		f.cfg.NextProtos = slices.Clone(p.NextProtos())
		for _, name := range f.cfg.NextProtos {
			if len(name) == 0 || len(name) > 255 {
				f.err = fmt.Errorf("%w: the factory's NextProtos holds a name of %d bytes: names have 1 to 255", ErrConfig, len(name))
			}
		}
	}
	return f
}

// withTickets makes copied, a copy of cfg, use the keys of tickets that cfg has at the time of each handshake: SetSessionTicketKeys may change
// them at any time. Only servers have such keys.
func withTickets(copied, cfg *tls.Config) *tls.Config {
	if cfg.WrapSession == nil && cfg.UnwrapSession == nil {
		copied.WrapSession, copied.UnwrapSession = cfg.EncryptTicket, cfg.DecryptTicket
	}
	return copied
}

// checkConfig returns cfg without renegotiation. It fails if no connection can be made
// with cfg (TLS-2).
func checkConfig(cfg *tls.Config, client bool) (*tls.Config, error) {
	switch {
	case cfg == nil:
		return nil, fmt.Errorf("%w: it is nil", ErrConfig)
	case client && cfg.ServerName == "" && !cfg.InsecureSkipVerify:
		return nil, fmt.Errorf("%w: a client needs ServerName, the name that the peer must prove", ErrConfig)
	case !client && len(cfg.Certificates) == 0 && cfg.GetCertificate == nil && cfg.GetConfigForClient == nil:
		return nil, fmt.Errorf("%w: a server needs one of Certificates, GetCertificate and GetConfigForClient", ErrConfig)
	}
	if cfg.Renegotiation != tls.RenegotiateNever {
		// Renegotiation would be a handshake within Read, on the loop.
		cfg = withTickets(cfg.Clone(), cfg)
		cfg.Renegotiation = tls.RenegotiateNever
	}
	return cfg, nil
}

// BuildProtocol puts TLS below a protocol of the inner factory. If inner makes none, the
// connection is closed (TLS-52).
func (f *factory) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.inner.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	c := newConn(f.cfg, f.client, f.o)
	c.proto = p
	return (*below)(c)
}

// Unwrap is the inner factory, which the reactor starts and stops.
func (f *factory) Unwrap() reactor.Factory { return f.inner }

// StartFactory fails if no connection could be made.
func (f *factory) StartFactory() error { return f.err }

// StopFactory does nothing.
func (f *factory) StopFactory() error { return nil }

// LogPrefix is the inner factory's, with " (TLS)" (TLS-8).
func (f *factory) LogPrefix() string { return reactor.LogPrefixOf(f.inner) + " (TLS)" }

// newConn makes a connection whose transport is not known yet.
func newConn(cfg *tls.Config, client bool, o Options) *Conn {
	c := new(Conn)
	c.handshake = &handshake{c: c, o: o, step: step{cfg: cfg, client: client, conn: (*wire)(c)}}
	return c
}

// attach begins a connection on t.
func (c *Conn) attach(t reactor.Transport) {
	c.inner, c.l = t, loopOf(t.Reactor(), c.handshake.o)
	c.handshake.begin(c.l)
}

// StartServer puts TLS between a connection in progress and its protocol, as the
// server (TLS-33). Either side may begin (TLS-36). What was written to t before is sent
// first, in clear (TLS-34). From now on the protocol uses the Conn in place of t, which is
// retired: what is written to it fails with reactor.ErrSwitched, and nothing is sent (TLS-63;
// reactor.Retirer says the rest). A wrapper that is no Retirer is not retired.
//
// p is the protocol above. If p is nil, or the protocol of t, or one that this leads to
// by Unwrap, then the protocol of t stays, without a second ConnectionMade (TLS-35). Any
// other p gets its ConnectionMade before StartServer returns. A producer registered with
// t is registered with the Conn (TLS-29), and reading that was paused stays paused.
//
// If a receiver of package receiver stays, the caller calls its ConnectionMade with the Conn,
// as in x.Line.ConnectionMade(conn). Until then it writes to t, which fails with
// reactor.ErrSwitched, and Close does not stop delivery.
//
// rest is input that the protocol has received behind the command that starts TLS, and
// has not used. Nobody has protected it, so it must not be handled as if it had come
// later. Unless it is empty, Options.Pipelined says what to do with it. By default the
// connection ends with ErrPipelined (TLS-38).
//
// The error is ErrConfig, ErrCannotSwitch, or one of SwitchProtocol. Then nothing has
// changed.
func StartServer(t reactor.Transport, cfg *tls.Config, p reactor.Protocol, rest []byte, o *Options) (*Conn, error) {
	return start(t, cfg, p, rest, o, false)
}

// StartClient is StartServer as the client.
func StartClient(t reactor.Transport, cfg *tls.Config, p reactor.Protocol, rest []byte, o *Options) (*Conn, error) {
	return start(t, cfg, p, rest, o, true)
}

func start(t reactor.Transport, cfg *tls.Config, p reactor.Protocol, rest []byte, o *Options, client bool) (*Conn, error) {
	cfg, err := checkConfig(cfg, client)
	if err != nil {
		return nil, err
	}
	s, ok := reactor.As[reactor.Switcher](t)
	if !ok {
		return nil, fmt.Errorf("%w: %T", ErrCannotSwitch, t)
	}
	c := newConn(cfg, client, o.orDefault())
	was, err := s.SwitchProtocol((*below)(c))
	if err != nil {
		return nil, fmt.Errorf("starting TLS: %w", err)
	}
	c.proto = was.Protocol
	fresh := p != nil && !leadsTo(was.Protocol, p)
	if fresh {
		c.proto = p
	}
	if was.Paused {
		c.holds = holdApp
	}
	c.attach(reactor.Retire(t))
	c.checkGuest()
	if was.Producer != nil {
		c.adopt(was.Producer, was.ProducerPaused)
	}
	if fresh {
		p.ConnectionMade(c)
	}
	c.feed(rest)
	return c, nil
}

// feed handles what came behind the command, and makes a client's first step.
func (c *Conn) feed(rest []byte) {
	h := c.handshake
	if c.life != handshaking {
		return
	}
	if h.refused != nil {
		c.end(c.errorf("handshake", h.refused), true)
		return
	}
	switch {
	case len(rest) == 0 || c.l.o.Pipelined == Discard:
	case c.l.o.Pipelined == Feed:
		h.receive(rest)
		return
	default:
		c.end(c.errorf("start", fmt.Errorf("%w: %d bytes", ErrPipelined, len(rest))), true)
		return
	}
	if h.step.client {
		h.schedule()
	}
}

// leadsTo tells whether p is from, or what from leads to by Unwrap.
func leadsTo(from, p reactor.Protocol) bool {
	for l := range kernel.Layers(from) {
		if reflect.TypeOf(l) == reflect.TypeOf(p) && reflect.ValueOf(p).Comparable() && l == p {
			return true
		}
	}
	return false
}

// SwitchProtocol exchanges the protocol, as reactor.Switcher says: for TLS in TLS.
func (c *Conn) SwitchProtocol(p reactor.Protocol) (reactor.Switched, error) {
	if c.retired {
		return reactor.Switched{}, reactor.ErrSwitched
	}
	return c.switchTo(p)
}

func (c *Conn) switchTo(p reactor.Protocol) (reactor.Switched, error) {
	switch {
	case c.life > open || c.reason != nil:
		return reactor.Switched{}, reactor.ErrClosed
	case c.write != on:
		return reactor.Switched{}, reactor.ErrWriteClosed
	case c.read == ended:
		return reactor.Switched{}, io.EOF
	}
	was := reactor.Switched{
		Protocol: c.proto, Producer: c.producer,
		ProducerPaused: c.producer != nil && c.producerHeld(), Paused: c.holds&holdApp != 0,
	}
	c.proto, c.producer = p, nil
	c.resume()
	return was, nil
}
