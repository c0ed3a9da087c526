package main

import (
	"errors"
	"log/slog"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

type forwardCommand struct {
	Listen  string `arg:"" help:"Where to listen."`
	Connect string `arg:"" help:"Where to pass connections on to."`
}

// Help is shown by --help.
func (*forwardCommand) Help() string {
	return `Each connection to LISTEN is joined with a new one to CONNECT. A side that does not read holds the other back; the end
of one direction is passed on as such; a side that breaks off is passed on as a reset. Nodelay is yes on both unless a
description says nodelay=no.

Examples, the second of which ends TLS and the third begins it:

    whorl forward tcp:8080 tcp:example.com:80
    whorl forward tls:8443:/etc/ssl/site.pem tcp:localhost:80
    whorl forward tcp:8080:interface=127.0.0.1 tls:example.com:443`
}

// Run serves the forwarder.
func (c *forwardCommand) Run(g *globals, t terminal) error {
	known := g.schemes(t, kernel.StreamOptions{NoDelay: true})
	to, err := known.Client(c.Connect)
	if err != nil {
		return misplaced(c.Connect, err)
	}
	log, _ := g.logger(t)
	return g.serve(t, known, []string{c.Listen}, &Forwarder{To: to, Name: c.Connect, Log: log})
}

// Forwarder is the factory that passes each connection on to another place.
//
// The accepted side is paused until the outgoing side is connected. If connecting
// fails, the accepted side is closed (RECON-9). After that each side is the other's
// producer, so each direction holds at most the high-water mark and one read in
// memory (PROD-13).
//
// The end of one direction is passed on as the end of that direction. When both
// directions have ended, both sides send what they still hold and close. A side
// that is lost before its peer has ended aborts the other side, so that nobody
// takes a cut stream for a whole one. An outgoing side whose TLS handshake fails
// does the same.
type Forwarder struct {
	To   endpoint.Client
	Name string // of To, for the log
	Log  *slog.Logger

	unables, losses reactor.LogLimit // clients can cause as many as they like
}

// BuildProtocol makes the accepted side of a pair.
func (f *Forwarder) BuildProtocol(kernel.Addr) reactor.Protocol {
	p := &pair{f: f}
	p.in.pair, p.out.pair = p, p
	p.in.other, p.out.other = &p.out, &p.in
	return &p.in
}

// pair is an accepted connection and the outgoing one that it is passed on to.
type pair struct {
	f       *Forwarder
	in, out side
	cancel  func() // while connecting
}

// side is one of the two connections.
type side struct {
	pair   *pair
	other  *side
	t      reactor.Transport // nil before it is made
	source reactor.Producer
	sink   reactor.Consumer
	half   reactor.HalfCloser
	ended  bool // the peer sends no more
	gone   bool
}

// ConnectionMade connects the outgoing side, or couples the two sides.
func (s *side) ConnectionMade(t reactor.Transport) {
	s.t = t
	s.source, _ = reactor.As[reactor.Producer](t)
	s.sink, _ = reactor.As[reactor.Consumer](t)
	s.half, _ = reactor.As[reactor.HalfCloser](t)
	p := s.pair
	if s == &p.in {
		s.source.PauseProducing()
		p.cancel = endpoint.ConnectProtocol(p.f.To, t.Reactor(), &p.out, p.connected)
		return
	}
	// Neither side has a producer yet, so both are accepted.
	_ = s.sink.RegisterProducer(s.other.source)
	_ = s.other.sink.RegisterProducer(s.source)
	s.other.source.ResumeProducing()
}

// connected takes the result of connecting the outgoing side.
func (p *pair) connected(_ reactor.Protocol, err error) {
	p.cancel = nil
	if err == nil || p.in.gone {
		return
	}
	p.unable(err)
	p.in.t.Close()
}

func (p *pair) unable(err error) {
	p.f.unables.Log(p.in.t.Reactor(), p.f.Log, slog.LevelWarn, "cannot pass a connection on", slog.String("to", p.f.Name),
		slog.String("peer", p.in.t.Remote().String()), slog.Any("err", err))
}

// DataReceived passes p on.
func (s *side) DataReceived(b []byte) { s.other.t.Write(b) }

// ReadConnectionLost passes the end of this direction on. When both directions
// have ended, it closes both sides.
func (s *side) ReadConnectionLost() {
	s.ended = true
	s.other.sink.UnregisterProducer()
	if !s.other.ended {
		s.other.half.CloseWrite()
		return
	}
	s.t.Close()
	s.other.t.Close()
}

// WriteConnectionLost does nothing: the other direction goes on.
func (s *side) WriteConnectionLost() {}

// ConnectionLost ends the other side, unless the other side is ending already.
func (s *side) ConnectionLost(err error) {
	s.gone = true
	p, o := s.pair, s.other
	if cancel := p.cancel; cancel != nil {
		p.cancel = nil
		cancel()
	}
	if o.t == nil || o.gone {
		return
	}
	o.sink.UnregisterProducer()
	if s.ended || err == reactor.ErrClosed || err == reactor.ErrStopped {
		o.t.Close() // it has all that there was, or will have
		return
	}
	if s == &p.out && errors.Is(err, tlsio.ErrHandshake) {
		p.unable(err)
	}
	p.f.losses.Log(s.t.Reactor(), p.f.Log, slog.LevelDebug, "a connection was lost", slog.String("to", p.f.Name), slog.Any("err", err))
	o.t.Abort()
}
