package service

import (
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// attempt is one attempt to connect, and its connection. Its callbacks count only while it is the client's now.
type attempt struct {
	c        *Client
	proto    *clientProtocol // the last that the factory has built; nil: none
	rejected error           // of the preparation
}

// connected tells whether there is a connection, perhaps before done is called.
func (a *attempt) connected() bool { return a.proto != nil && a.proto.t != nil && a.proto.lost == nil }

// done is called with the outcome of the attempt.
func (a *attempt) done(p reactor.Protocol, err error) {
	c := a.c
	if err == nil {
		a.proto, _ = reactor.ProtocolAs[*clientProtocol](p)
	}
	if c.now != a {
		if err == nil { // stopped when it was too late to give up the attempt
			a.proto.transport().Abort()
		}
		return
	}
	if c.state != ClientConnecting {
		return // closing
	}
	if err == nil {
		err = a.proto.lost // it may have been lost in its ConnectionMade
	}
	if err != nil {
		c.failed(err, true)
		return
	}
	c.become(ClientPreparing, nil)
	if c.now != a || c.state != ClientPreparing {
		return
	}
	d := c.prepare(a.proto.Protocol)
	if c.now == a && c.state == ClientPreparing {
		c.prepares = d
	} else { // stopped in Prepare
		d.Cancel()
	}
	d.Done(func(_ None, err error) { c.prepared(a, err) })
}

// prepare calls Prepare.
func (c *Client) prepare(p reactor.Protocol) (d *deferred.Deferred[None]) {
	if c.config.Prepare != nil {
		if e := c.r.Guard("preparation of a connection", func() { d = c.config.Prepare(p) }); e != nil {
			return deferred.Failed[None](c.r, e)
		}
	}
	if d == nil {
		return deferred.Of(c.r, None{})
	}
	return d
}

// clientFactory wraps the program's factory. Its protocols tell the client of the loss.
type clientFactory struct {
	reactor.Factory
	a *attempt
}

// BuildProtocol makes the wrapper of a protocol.
func (f *clientFactory) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.Factory.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	f.a.proto = &clientProtocol{Protocol: p, a: f.a}
	return f.a.proto
}

// Unwrap is the program's factory, which the reactor starts and stops (SVC-25).
func (f *clientFactory) Unwrap() reactor.Factory { return f.Factory }

// LogPrefix keeps the name of the factory in the log.
func (f *clientFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// StartFactory does nothing.
func (f *clientFactory) StartFactory() error { return nil }

// StopFactory is called after the loss of the connection, also if its protocol was exchanged and the wrapper heard nothing.
func (f *clientFactory) StopFactory() error {
	f.a.c.lost(f.a, reactor.ErrLost)
	return nil
}

// clientProtocol stands around the program's protocol (SVC-25).
type clientProtocol struct {
	reactor.Protocol
	a    *attempt
	t    reactor.Transport
	lost error // nil: the connection is not lost
}

// ConnectionMade keeps the transport, by which Stop closes.
func (p *clientProtocol) ConnectionMade(t reactor.Transport) {
	p.t = t
	p.Protocol.ConnectionMade(t)
}

// ConnectionLost tells the client, with why a coroutine has failed.
func (p *clientProtocol) ConnectionLost(err error) {
	p.lost = program.WithFailure(p.Protocol, err)
	defer p.a.c.lost(p.a, p.lost) // also if the protocol panics
	p.Protocol.ConnectionLost(err)
}

// LogPrefix keeps the name of the protocol in the log.
func (p *clientProtocol) LogPrefix() string { return reactor.LogPrefixOf(p.Protocol) }

// Unwrap is the program's protocol, with its optional methods (SVC-25).
func (p *clientProtocol) Unwrap() reactor.Protocol { return p.Protocol }

// transport is the one at the top: a layer such as TLS may have come between.
func (p *clientProtocol) transport() reactor.Transport { return reactor.Top(p.t) }
