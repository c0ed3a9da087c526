package std

import (
	"context"
	"errors"
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// guests is the factory between TLS and that of the application. Its protocols
// stand between a tlsio.Conn and the application's, to say what went wrong in words.
type guests struct {
	reactor.Factory
	host  string       // that was asked for; empty on a server
	log   *slog.Logger // hears of handshakes that failed; nil: nobody
	quota quota        // of lines there
	r     *reactor.Reactor
	begin func() // at the first use
	end   func() // after the last
}

// BuildProtocol builds a protocol of the application.
func (f *guests) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.Factory.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	return &guest{Protocol: p, of: f}
}

// Unwrap is the application's factory, which the reactor starts and stops.
func (f *guests) Unwrap() reactor.Factory { return f.Factory }

// StartFactory begins what goes on while there is a port.
func (f *guests) StartFactory() error {
	if f.begin != nil {
		f.begin()
	}
	return nil
}

// StopFactory ends it.
func (f *guests) StopFactory() error {
	if f.end != nil {
		f.end()
	}
	return nil
}

// LogPrefix keeps the name of the application's factory in the log.
func (f *guests) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// guest is the application's protocol, but for the words of an error.
type guest struct {
	reactor.Protocol
	of *guests
}

// Unwrap is the application's protocol.
func (g *guest) Unwrap() reactor.Protocol { return g.Protocol }

// LogPrefix keeps the name of the application's protocol in the log.
func (g *guest) LogPrefix() string { return reactor.LogPrefixOf(g.Protocol) }

// ConnectionLost says which certificate, which name and which rule, if TLS has
// failed because of them, to the log and to the protocol.
func (g *guest) ConnectionLost(err error) {
	if e, ok := err.(*tlsio.Error); ok {
		said := *e
		said.Err = tlsio.Explain(e.Err, g.of.host)
		err = &said
		if errors.Is(err, tlsio.ErrHandshake) {
			g.of.tell(&said)
		}
	}
	g.Protocol.ConnectionLost(err)
}

// tell writes to the log that a handshake has failed, unless many have of late.
func (f *guests) tell(e *tlsio.Error) {
	if f.log == nil {
		return
	}
	missing, ok := f.quota.take(f.r.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("on", e.Local.String()), slog.String("peer", e.Remote.String()), slog.Any("err", e.Err)}
	if missing > 0 {
		attrs = append(attrs, slog.Int("notLogged", missing))
	}
	f.log.LogAttrs(context.Background(), slog.LevelWarn, "TLS handshake failed", attrs...)
}

// unguest is the application's protocol in what a connector gives.
func unguest(p reactor.Protocol) reactor.Protocol {
	if g, ok := reactor.ProtocolAs[*guest](p); ok {
		return g.Protocol
	}
	return p
}
