package whorl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Connect connects to place, gives the connection a protocol from f, and runs the loop
// until the connection has ended. The calling goroutine becomes the loop's.
//
// If place is one of datagrams, such as "udp:localhost:5353", Datagrams makes the protocol, and f may be nil. A client of
// datagrams ends when its protocol stops the port, or when it is told to; what was written is sent then, for at most the
// grace. Its result is nil, or a [*PlaceError] with why there is no port or why the socket has failed.
//
// When ctx ends, a signal arrives or [reactor.Reactor.Stop] is called, an attempt to connect
// is given up. A connection is drained: a protocol that is a [Drainer] ends it, any other is
// closed, which still sends what was written. What has not ended after the grace is aborted.
//
// The result is nil if the connection has ended cleanly: the peer ended it (io.EOF), or we
// closed it (reactor.ErrClosed). All other results are errors:
//
//   - a [*ConfigError] for a mistake in c or f;
//   - a [*PlaceError] with why place is malformed, why there is no connection
//     (reactor.ErrConnect), or why it was lost. If ctx had ended by then, errors.Is
//     finds its cause as well;
//   - the error of a kernel that cannot be opened or that fails.
//
// If the body of a coroutine, see coro.Factory, has failed and so ended the connection, its error is the reason, and errors.Is finds it.
//
// The end is heard by a wrapper around f's protocol. If the protocol is exchanged for one
// that does not call its predecessor, the reason is not known, and the result is nil.
func (c Config) Connect(ctx context.Context, f reactor.Factory, place string) error {
	if err := c.check(f); err != nil {
		return err
	}
	if c.Loops > 1 {
		return &ConfigError{"Loops", "must be 0 or 1 for a client: it has one connection"}
	}
	finish := program.QueueLogs(&c.Logger, &c.Reactor.Logger)
	defer finish()
	known := c.schemes()
	var packets endpoint.PacketClient
	to, err := known.Client(place)
	if errors.Is(err, endpoint.ErrKind) {
		packets, err = packetPlace(&c, place, err, known.PacketClient)
	} else if err == nil && f == nil {
		err = errNoFactory
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return &PlaceError{place, err}
	}
	l, err := c.open(1)
	if err != nil {
		return err
	}
	defer l.close(finish)
	x := &client{loop: l}
	if packets != nil {
		x.connectPacket(packets, &c)
	} else {
		x.connect(to, f, c.Started)
	}
	if err := x.run(ctx); err != nil {
		return err
	}
	return x.result(ctx, place)
}

// client is a loop and its one connection.
type client struct {
	*loop
	state  clientState
	cancel func()              // gives the attempt up
	port   *reactor.PacketPort // of a client of datagrams, once connected
	err    error               // why it failed
}

type clientState uint8

const (
	clientConnecting clientState = iota
	clientConnected
	clientOver // the reactor was told to stop
)

// connect begins to connect. The loop has still to be run.
func (x *client) connect(to endpoint.Client, f reactor.Factory, started func(*reactor.Reactor, []endpoint.Listener)) {
	if started != nil {
		x.r.CallWhenRunning(func() { started(x.r, nil) })
	}
	x.drain.rest = func(t reactor.Transport) { t.Close() }
	x.r.AddWaitTrigger(reactor.Shutdown, x.end)
	x.cancel = to.Connect(x.r, &heardFactory{f, x}, x.connected)
}

// connected hears how connecting has ended. The connection may have been lost before.
func (x *client) connected(_ reactor.Protocol, err error) {
	switch {
	case err != nil:
		x.over(err)
	case x.state == clientConnecting:
		x.state = clientConnected
	}
}

// lost hears why the connection has ended.
func (x *client) lost(reason error) {
	if reason == io.EOF || reason == reactor.ErrClosed {
		reason = nil
	}
	x.over(reason)
}

// over stops the reactor, the first time.
func (x *client) over(err error) {
	if x.state == clientOver {
		return
	}
	x.state, x.err = clientOver, err
	_ = x.r.Stop() // it may be stopping because it was told to
}

// end gives the attempt up, or drains the connection.
func (x *client) end(done func()) {
	switch x.state {
	case clientConnecting:
		x.cancel()
	case clientConnected:
		if x.port != nil {
			x.endPacket(done)
			return
		}
		x.log.Info("stopping: ending the connection", slog.Duration("grace", x.drain.grace))
	}
	x.drain.begin(x.drained(done))
}

// result is what Connect returns after an orderly run.
func (x *client) result(ctx context.Context, place string) error {
	err := x.err
	if x.state == clientConnecting {
		err = reactor.ErrCancelled // the place did not call back
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return &PlaceError{place, err}
}

// heardFactory wraps the factory of a client, so that the end of the connection is heard.
type heardFactory struct {
	reactor.Factory
	x *client
}

// Unwrap is the factory inside, which the reactor starts and stops.
func (f *heardFactory) Unwrap() reactor.Factory { return f.Factory }

// LogPrefix keeps the name of the factory in the log.
func (f *heardFactory) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// BuildProtocol wraps the protocol.
func (f *heardFactory) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.Factory.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	return &heardProtocol{p, f.x}
}

// StartFactory does nothing.
func (f *heardFactory) StartFactory() error { return nil }

// StopFactory is called after the loss of the connection, also if its protocol was
// exchanged and the wrapper heard nothing.
func (f *heardFactory) StopFactory() error {
	if f.x.state == clientConnected {
		f.x.over(nil)
	}
	return nil
}

// heardProtocol wraps the protocol of a client.
type heardProtocol struct {
	reactor.Protocol
	x *client
}

// Unwrap is the protocol inside.
func (p *heardProtocol) Unwrap() reactor.Protocol { return p.Protocol }

// LogPrefix keeps the name of the protocol in the log.
func (p *heardProtocol) LogPrefix() string { return reactor.LogPrefixOf(p.Protocol) }

// ConnectionLost passes the end on. The client hears of it first, because the protocol may
// panic.
func (p *heardProtocol) ConnectionLost(err error) {
	p.x.lost(program.WithFailure(p.Protocol, err))
	p.Protocol.ConnectionLost(err)
}
