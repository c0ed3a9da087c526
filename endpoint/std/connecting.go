package std

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// connecting is one Connect, which a connector of the reactor carries out.
type connecting struct {
	dest      kernel.Addr
	cfg       *reactor.DialConfig
	done      func(reactor.Protocol, error)
	connector *reactor.Connector // nil if it is refused
	state     connectState
}

type connectState uint8

const (
	connectGoing connectState = iota
	connectCancelled
	connectOver // done was called
)

// start begins a Connect. The factory hears nothing of the connector (EP-3).
func start(r *reactor.Reactor, dest kernel.Addr, cfg *reactor.DialConfig, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	c := &connecting{dest: dest, cfg: cfg, done: done}
	if _, ok := reactor.FactoryAs[reactor.ConnectorListener](f); ok {
		f = plainFactory{f}
	}
	c.connector = r.Dial(dest, f, cfg, c.ended)
	return c.cancel
}

// refuse is a Connect that fails with err, later.
func refuse(r *reactor.Reactor, dest kernel.Addr, cfg *reactor.DialConfig, done func(reactor.Protocol, error), err error) (cancel func()) {
	c := &connecting{dest: dest, cfg: cfg, done: done}
	r.Tell(func(error) { c.ended(nil, c.failure(err)) })
	return c.cancel
}

func (c *connecting) failure(err error) error {
	return &reactor.OpError{Op: "dial", Local: c.cfg.Bind, Remote: c.dest, Err: err}
}

// ended is called once, with the result. A cancel before it counts, whatever the result is
// (EP-6).
func (c *connecting) ended(p reactor.Protocol, err error) {
	if c.state == connectCancelled {
		if err == nil { // cancelled while its protocol was being connected
			c.connector.Disconnect()
		}
		p, err = nil, c.failure(reactor.ErrCancelled)
	}
	c.state = connectOver
	c.done(p, err)
}

func (c *connecting) cancel() {
	if c.state != connectGoing {
		return
	}
	c.state = connectCancelled
	if c.connector != nil {
		// If it is over, or connected, there is nothing to stop.
		_ = c.connector.StopConnecting()
	}
}

// plainFactory hides that a factory is a ConnectorListener: whoever connects by an
// endpoint has no connector (EP-3).
type plainFactory struct{ reactor.Factory }

// Unwrap returns the factory itself, which the reactor starts and stops.
func (f plainFactory) Unwrap() reactor.Factory { return f.Factory }

// LogPrefix keeps the name of the factory in the log.
func (f plainFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// StartedConnecting does nothing.
func (plainFactory) StartedConnecting(*reactor.Connector) {}

// ConnectionFailed does nothing.
func (plainFactory) ConnectionFailed(*reactor.Connector, error) {}

// ConnectionEnded does nothing.
func (plainFactory) ConnectionEnded(*reactor.Connector, error) {}
