package service

import (
	"errors"
	"log/slog"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Connection connects once, when it starts, and disconnects when it stops (SVC-13). A failure is logged. [Client] connects again. A Connection is a [Member], and for the
// goroutine of its reactor's loop. [NewConnection] makes one.
type Connection struct {
	r      *reactor.Reactor
	at     endpoint.Client
	f      reactor.Factory
	now    *dialled // the last attempt that was not stopped; nil: there is none
	cancel func()
}

// dialled is one attempt, which may have been stopped meanwhile.
type dialled struct{ t reactor.Transport }

// NewConnection makes a service that connects to at with a protocol of f.
func NewConnection(r *reactor.Reactor, at endpoint.Client, f reactor.Factory) *Connection {
	if r == nil || at == nil || f == nil {
		panic("service: a Connection needs a Reactor, a place and a Factory")
	}
	return &Connection{r: r, at: at, f: f}
}

// Start begins to connect, and does not wait for it.
func (c *Connection) Start() *deferred.Deferred[None] {
	d := new(dialled)
	c.now, c.cancel = d, nil
	cancel := c.at.Connect(c.r, &dialledFactory{c.f, d}, func(_ reactor.Protocol, err error) {
		if c.now != d && d.t != nil { // stopped when it was too late to give up the attempt
			reactor.Top(d.t).Close()
		}
		if err != nil && !errors.Is(err, reactor.ErrCancelled) {
			c.r.Logger().Error("cannot connect", slog.String("endpoint", c.at.String()), slog.Any("err", err))
		}
	})
	if c.now != d {
		cancel() // stopped in StartFactory
		return nil
	}
	c.cancel = cancel
	return nil
}

// Stop gives up the attempt, or closes the connection, and does not wait for its end (SVC-13).
func (c *Connection) Stop() *deferred.Deferred[None] {
	d := c.now
	if d == nil {
		return nil
	}
	c.now = nil
	if c.cancel != nil {
		c.cancel()
	}
	if d.t != nil {
		reactor.Top(d.t).Close()
	}
	return nil
}

// dialledFactory wraps the program's factory, to keep the transport.
type dialledFactory struct {
	reactor.Factory
	d *dialled
}

// BuildProtocol makes the wrapper of a protocol.
func (f *dialledFactory) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.Factory.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	return &dialledProtocol{p, f.d}
}

// Unwrap is the program's factory.
func (f *dialledFactory) Unwrap() reactor.Factory { return f.Factory }

// LogPrefix keeps the name of the factory in the log.
func (f *dialledFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

type dialledProtocol struct {
	reactor.Protocol
	d *dialled
}

// ConnectionMade keeps the transport.
func (p *dialledProtocol) ConnectionMade(t reactor.Transport) {
	p.d.t = t
	p.Protocol.ConnectionMade(t)
}

// ConnectionLost forgets it.
func (p *dialledProtocol) ConnectionLost(err error) {
	p.d.t = nil
	p.Protocol.ConnectionLost(err)
}

// Unwrap is the program's protocol.
func (p *dialledProtocol) Unwrap() reactor.Protocol { return p.Protocol }

// LogPrefix keeps the name of the protocol in the log.
func (p *dialledProtocol) LogPrefix() string { return reactor.LogPrefixOf(p.Protocol) }
