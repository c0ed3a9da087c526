package std

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// explainFactory wraps the application's factory. Its protocols turn the errors of TLS
// into messages that name the certificate, the name and the rule.
type explainFactory struct {
	reactor.Factory
	host  string            // that the client asked for; empty on a server
	log   *slog.Logger      // for handshakes that failed; may be nil
	limit *reactor.LogLimit // of r
	r     atomic.Pointer[reactor.Reactor]
	start func(r *reactor.Reactor) // called before the first use; may be nil
	moved func(r *reactor.Reactor) // called when the use belongs to another loop, because r is lost; set if start is
	stop  func()                   // called after the last use; may be nil
	// due is when the handshake of a client must be over, on the clock of r. Zero: only
	// Options.HandshakeTimeout limits it.
	due time.Duration
}

// BuildProtocol wraps a protocol of the application's factory.
func (f *explainFactory) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.Factory.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	return &explainProtocol{Protocol: p, of: f}
}

// Unwrap returns the application's factory, which the reactor starts and stops.
func (f *explainFactory) Unwrap() reactor.Factory { return f.Factory }

// UsedOn notes the loop, and calls moved if it is another one than before.
func (f *explainFactory) UsedOn(r *reactor.Reactor) {
	f.limit = &reactor.LogLimit{PerSecond: failuresPerSecond}
	if before := f.r.Swap(r); before != nil && before != r && f.moved != nil {
		f.moved(r)
	}
}

// StartFactory calls start.
func (f *explainFactory) StartFactory() error {
	if f.start != nil {
		f.start(f.r.Load())
	}
	return nil
}

// StopFactory calls stop.
func (f *explainFactory) StopFactory() error {
	if f.stop != nil {
		f.stop()
	}
	return nil
}

// LogPrefix keeps the name of the application's factory in the log.
func (f *explainFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// explainProtocol wraps the application's protocol.
type explainProtocol struct {
	reactor.Protocol
	of *explainFactory
}

// Unwrap returns the application's protocol.
func (g *explainProtocol) Unwrap() reactor.Protocol { return g.Protocol }

// LogPrefix keeps the name of the application's protocol in the log.
func (g *explainProtocol) LogPrefix() string { return reactor.LogPrefixOf(g.Protocol) }

// ConnectionMade limits the handshake of a client to what connecting has left of its time.
func (g *explainProtocol) ConnectionMade(t reactor.Transport) {
	if c, ok := reactor.As[*tlsio.Conn](t); ok && g.of.due > 0 {
		c.LimitHandshake(g.of.due - g.of.r.Load().Now())
	}
	g.Protocol.ConnectionMade(t)
}

// ConnectionLost passes the end on. An error of TLS is explained first, and logged if
// the handshake has failed.
func (g *explainProtocol) ConnectionLost(err error) {
	if e, ok := err.(*tlsio.Error); ok {
		said := *e
		said.Err = tlsio.Explain(e.Err, g.of.host)
		err = &said
		if errors.Is(err, tlsio.ErrHandshake) {
			if r := g.of.r.Load(); r.Group() == nil {
				g.of.tell(r, &said)
			} else { // the limit is for all loops, and belongs to one
				r.Post(func() { g.of.tell(r, &said) })
			}
		}
	}
	g.Protocol.ConnectionLost(err)
}

// tell logs a failed handshake, at a limited rate.
func (f *explainFactory) tell(r *reactor.Reactor, e *tlsio.Error) {
	f.limit.Log(r, f.log, slog.LevelWarn, "TLS handshake failed",
		slog.String("on", e.Local.String()), slog.String("peer", e.Remote.String()), slog.Any("err", e.Err))
}

// failuresPerSecond is how many failed handshakes a port logs in a second.
const failuresPerSecond = 10

// application returns the application's protocol among those that wrap it.
func application(p reactor.Protocol) reactor.Protocol {
	if g, ok := reactor.ProtocolAs[*explainProtocol](p); ok {
		return g.Protocol
	}
	return p
}
