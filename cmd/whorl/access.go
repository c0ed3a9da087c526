package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// accessLog writes a line at the end of each connection. Nil writes nothing. Its rate has no
// limit, because the user has asked for every line; the queue of the terminal bounds what waits.
type accessLog struct {
	to    *slog.Logger // nil: only last is told
	level slog.Level
	last  *lastClient
}

// access returns the log of connections, nil if the level of the log is higher.
func (g *globals) access(t terminal) *accessLog {
	log, _ := g.logger(t)
	a := &accessLog{to: log, level: slog.LevelDebug}
	if g.AccessLog {
		a.level = slog.LevelInfo
	}
	if !log.Enabled(context.Background(), a.level) {
		return nil
	}
	return a
}

// visits is the log of the connections of a server at the places that texts name. It tells of their ends too if the server ends with them.
func (g *globals) visits(t terminal, known *endpoint.Schemes, texts ...string) *accessLog {
	a, last := g.access(t), lastClientOf(known, texts)
	if a == nil && last != nil {
		a = new(accessLog)
	}
	if a != nil {
		a.last = last
	}
	return a
}

// lastClient is what is told when a connection ends, or nil.
func (a *accessLog) lastClient() *lastClient {
	if a == nil {
		return nil
	}
	return a.last
}

// visit is a connection from its ConnectionMade to its ConnectionLost.
type visit struct {
	t     reactor.Transport
	began time.Duration
}

func begin(t reactor.Transport) visit { return visit{t, t.Reactor().Now()} }

// ended writes the line of v. The bytes are those on the connection of v, TLS's own included.
// backend is "" for a service that has none. reason is nil if both sides have ended.
func (a *accessLog) ended(v visit, backend string, reason error) {
	if a == nil {
		return
	}
	defer a.last.ended(reason)
	if a.to == nil {
		return
	}
	attrs := []slog.Attr{slog.String("peer", v.t.Remote().String())}
	if backend != "" {
		attrs = append(attrs, slog.String("backend", backend))
	}
	if s, ok := reactor.As[interface{ Stats() reactor.StreamStats }](v.t); ok {
		st := s.Stats()
		attrs = append(attrs, slog.Uint64("in", st.In), slog.Uint64("out", st.Sent))
	}
	attrs = append(attrs, slog.Duration("duration", v.t.Reactor().Now()-v.began), slog.String("reason", reasonText(reason)))
	a.to.LogAttrs(context.Background(), a.level, "connection ended", attrs...)
}

// sessionEnded writes the line of a session of datagrams. The bytes are those of the client, and those for it.
func (a *accessLog) sessionEnded(s *session, backend string, reason error) {
	if a == nil {
		return
	}
	a.to.LogAttrs(context.Background(), a.level, "session ended", slog.String("peer", s.client.String()), slog.String("backend", backend),
		slog.Uint64("in", s.in), slog.Uint64("out", s.out),
		slog.Duration("duration", s.f.t.Reactor().Now()-s.began), slog.String("reason", reasonText(reason)))
}

func reasonText(reason error) string {
	switch reason {
	case nil:
		return "both sides have ended"
	case io.EOF:
		return "the peer has ended"
	}
	return reason.Error()
}

// watched returns f, whose connections have their lines in the access log, if there is one.
func (a *accessLog) watched(f reactor.Factory) reactor.Factory {
	if a != nil {
		return &watchedFactory{f, a}
	}
	return f
}

// watchedFactory wraps the factory of a service for the access log.
type watchedFactory struct {
	reactor.Factory
	a *accessLog
}

// Unwrap is the factory of the service, which the reactor starts and stops.
func (f *watchedFactory) Unwrap() reactor.Factory { return f.Factory }

// LogPrefix keeps the name of the factory in the log.
func (f *watchedFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// AnyLoop is that of the factory of the service: the wrapper has no state.
func (f *watchedFactory) AnyLoop() bool {
	a, ok := f.Factory.(reactor.AnyLoop)
	return ok && a.AnyLoop()
}

// BuildProtocol wraps the protocol.
func (f *watchedFactory) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.Factory.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	return &watchedProtocol{Protocol: p, a: f.a}
}

// Resume wraps the protocol of a predecessor's connection.
func (f *watchedFactory) Resume(state []byte, peer kernel.Addr) (reactor.Protocol, error) {
	r, ok := reactor.FactoryAs[handover.Resumer](f.Factory)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	p, err := r.Resume(state, peer)
	if err != nil || p == nil {
		return nil, err
	}
	return &watchedProtocol{Protocol: p, a: f.a}, nil
}

// watchedProtocol wraps a protocol of a service.
type watchedProtocol struct {
	reactor.Protocol
	a     *accessLog
	visit visit
}

// Unwrap is the protocol of the service.
func (p *watchedProtocol) Unwrap() reactor.Protocol { return p.Protocol }

// LogPrefix keeps the name of the protocol in the log.
func (p *watchedProtocol) LogPrefix() string { return reactor.LogPrefixOf(p.Protocol) }

// ConnectionMade begins to count the time.
func (p *watchedProtocol) ConnectionMade(t reactor.Transport) {
	p.visit = begin(t)
	p.Protocol.ConnectionMade(t)
}

// ConnectionLost writes the line.
func (p *watchedProtocol) ConnectionLost(err error) {
	p.a.ended(p.visit, "", err)
	p.Protocol.ConnectionLost(err)
}
