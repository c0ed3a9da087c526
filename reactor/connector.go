package reactor

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// Connector makes one outgoing connection at a time, and can make it again with Connect.
// It is for the loop's goroutine only.
type Connector struct {
	r              *Reactor
	dest           kernel.Addr
	factory        Factory
	cfg            DialConfig   // complete
	params         streamParams // of its streams
	done           func(Protocol, error)
	state          connState
	factoryStarted bool   // this connector counts as a use of the factory
	token          uint32 // of the look-up in progress; later, of the address tried last
	connecting     *connecting
	stream         *Stream
	failure        error
	listener       ConnectorListener
}

type connState uint8

const (
	connDisconnected connState = iota
	connWaiting                // Dial or Connect was called; the attempt begins in the next turn
	connResolving
	connConnecting
	connFailing // the attempt has failed; the listener and done are told in the next turn
	connConnected
)

// Dial connects a stream to a and gives the connection a protocol from f. a may be a name,
// which Dial resolves. The look-up and the connecting begin in the next turn (TCP-31). Nil
// and the zero value of o are the defaults.
//
// done, if not nil, is called once for each attempt, on the loop's goroutine, and never
// before Dial returns, unless the reactor has stopped: then it gets ErrStopped inside Dial (THR-32). After a success it gets the protocol, whose ConnectionMade has
// been called. After a failure it gets an error that is ErrConnect and its cause:
// kernel.ErrRefused, kernel.ErrNoRoute, ErrConnectTimeout, ErrUnknownHost, ErrCancelled,
// ErrNoProtocol ... (TCP-35, TCP-36, ERR-3).
//
// The addresses of a name are tried as RFC 8305 (Happy Eyeballs) says. IPv4 and IPv6
// alternate, beginning with the family of the resolver's first address. Each address is
// tried at the latest DialConfig.AttemptDelay after the one before, and at once when an
// attempt fails. The first connection wins, and the other attempts are given up (HOST-4,
// HOST-5, HOST-7). If all fail, the error is an [*AttemptsError] inside an OpError that has
// the name (HOST-6).
func (r *Reactor) Dial(a kernel.Addr, f Factory, o *DialConfig, done func(Protocol, error)) *Connector {
	c := &Connector{r: r, dest: a, factory: f, done: done}
	c.listener, _ = FactoryAs[ConnectorListener](f)
	var err error
	c.cfg, err = o.complete()
	c.params = streamParams{StreamConfig: c.cfg.StreamConfig, owner: c}
	c.start()
	if err != nil && c.state != connDisconnected { // after the end, done has been told that
		c.fail(err)
	}
	return c
}

// Connect starts another attempt. The last attempt, and its connection, must have ended;
// otherwise Connect fails with ErrNotDisconnected, and with ErrStopped if the reactor has stopped. It may be called inside
// ConnectionFailed and ConnectionEnded (TCP-43).
func (c *Connector) Connect() error {
	if c.state != connDisconnected {
		return ErrNotDisconnected
	}
	if c.r.is(lifeStopped) {
		return ErrStopped
	}
	c.start()
	return nil
}

// start does what must happen before Dial or Connect returns (TCP-30).
func (c *Connector) start() {
	c.state = connWaiting
	c.failure = nil
	if !c.factoryStarted {
		if err := c.r.startFactory(c.factory, useLoop); err != nil {
			c.fail(err)
			return
		}
		c.factoryStarted = true
		if c.state != connWaiting {
			return // StartFactory has given it up
		}
	}
	c.connecting = newConnecting(c)
	stopped := !c.r.Post(c.begin)
	if c.listener != nil {
		c.note(probe.NoteStarted, nil)
		c.callback(func() { c.listener.StartedConnecting(c) })
	}
	if stopped {
		c.begin()
	}
}

func (c *Connector) callback(fn func()) {
	_ = c.r.guard(c.factory, fn)
}

// begin looks the name up. If the destination is an address, it connects at once.
func (c *Connector) begin() {
	if c.state != connWaiting {
		return
	}
	if l := life(c.r.life.Load()); l == lifeEnding || l == lifeStopped {
		c.fail(ErrStopped)
		return
	}
	c.connecting.begin()
}

// connected gives a connection its protocol. The dialer has given up the other addresses.
func (c *Connector) connected(a *addressAttempt) {
	proto, err := c.r.build(c.factory, a.conn)
	if err != nil {
		c.fail(err) // TCP-45
		return
	}
	if c.state != connConnecting {
		return // the factory called StopConnecting
	}
	if proto == nil {
		c.refused(a.conn)
		return
	}
	c.state = connConnected
	s := &Stream{r: c.r, conn: a.conn, proto: proto, cfg: &c.params}
	s.token, s.armed = a.token, kernel.Writable // the stream takes over the attempt's registration
	c.r.slots.Set(int(s.token), s)
	c.connecting, c.stream = nil, s
	if err := s.connect(nil); err != nil {
		c.finish(nil, err) // TCP-46
	} else {
		c.finish(proto, nil)
	}
	c.r.settleOne(s)
}

// refused closes a connection for which the factory built no protocol. This counts as the
// end of the connection, not as a failure to connect (TCP-44).
func (c *Connector) refused(conn kernel.Conn) {
	c.r.discard(conn, nil) // otherwise the close is a reset
	c.stopTrying()
	c.state = connDisconnected
	c.finish(nil, &OpError{Op: "dial", Remote: c.dest, Err: ErrNoProtocol})
	if c.listener != nil {
		c.note(probe.NoteEnded, ErrNoProtocol)
		c.callback(func() { c.listener.ConnectionEnded(c, ErrNoProtocol) })
	}
	c.releaseFactory()
}

// finish tells the caller of Dial how the attempt ended.
func (c *Connector) finish(p Protocol, err error) {
	if c.done != nil {
		c.note(probe.NoteDialed, err)
		c.callback(func() { c.done(p, err) })
	}
}

// fail ends the attempt. The listener and done are told in the next turn.
func (c *Connector) fail(err error) {
	if c.state == connFailing {
		return
	}
	c.stopTrying()
	c.state = connFailing
	if _, ok := errors.AsType[*OpError](err); !ok {
		err = c.opError(err)
	}
	c.failure = err
	if !c.r.Post(c.tellFailure) { // else who dials after the end would wait for ever (THR-32)
		c.tellFailure()
	}
}

func (c *Connector) opError(err error) error {
	return &OpError{Op: "dial", Local: c.cfg.Bind, Remote: c.dest, Err: err}
}

// stopTrying ends the attempt in progress, if there is one.
func (c *Connector) stopTrying() {
	if c.connecting != nil {
		c.connecting.stop()
		c.connecting = nil
	}
}

// tellFailure reports a failed attempt. It changes the state, calls the listener, calls
// done and stops the factory, in this order. The factory is not stopped if the listener
// has connected again (TCP-41).
func (c *Connector) tellFailure() {
	if c.state != connFailing {
		return
	}
	err := c.failure
	c.state = connDisconnected
	if c.listener != nil {
		c.note(probe.NoteFailed, err)
		c.callback(func() { c.listener.ConnectionFailed(c, err) })
	}
	c.finish(nil, err)
	c.releaseFactory()
}

// releaseFactory ends the use of the factory, unless another attempt has begun.
func (c *Connector) releaseFactory() {
	if c.state == connDisconnected && c.factoryStarted {
		c.factoryStarted = false
		// No caller can get this error. A panic was logged already.
		if err := c.r.stopFactory(c.r.factories, c.factory, useLoop); err != nil {
			c.r.limits.stops.Log(c.r, c.r.log, slog.LevelError, "stopping a factory", slog.Any("err", err))
		}
	}
}

// StopConnecting gives up the attempt in progress. The attempt fails with ErrCancelled,
// which is reported later, never inside StopConnecting (TCP-38). If there is no attempt in
// progress, StopConnecting fails with ErrNotConnecting (TCP-39).
func (c *Connector) StopConnecting() error {
	switch c.state {
	case connWaiting, connResolving, connConnecting:
		c.fail(ErrCancelled)
		return nil
	}
	return ErrNotConnecting
}

// Disconnect gives up the attempt in progress, or closes the connection. If its protocol is a
// [Layer], it closes the highest transport. If there is neither, it does nothing (TCP-40).
func (c *Connector) Disconnect() {
	if c.state == connConnected {
		_ = Top(c.stream).Close()
		return
	}
	// An error means that there is no attempt to give up.
	_ = c.StopConnecting()
}

// Destination is the address that Dial was given. A name stays a name (TCP-28).
func (c *Connector) Destination() kernel.Addr { return c.dest }

// Connected tells whether there is a connection.
func (c *Connector) Connected() bool { return c.state == connConnected }

// Connecting tells whether an attempt is in progress.
func (c *Connector) Connecting() bool {
	return c.state == connWaiting || c.state == connResolving || c.state == connConnecting
}

// Reactor is the loop the connector belongs to.
func (c *Connector) Reactor() *Reactor { return c.r }

// String shows the factory and the destination.
func (c *Connector) String() string { return fmt.Sprintf("<%s to %v>", LogPrefixOf(c.factory), c.dest) }

// streamLost is called after the protocol's ConnectionLost. It changes the state, calls the
// listener and stops the factory, in this order. The factory is not stopped if the
// listener has connected again (TCP-42).
func (c *Connector) streamLost(_ *Stream, err error) {
	c.state, c.stream = connDisconnected, nil
	if c.listener != nil {
		c.note(probe.NoteEnded, err)
		c.callback(func() { c.listener.ConnectionEnded(c, err) })
	}
	c.releaseFactory()
}

// ready is never called. The connector arms nothing itself; its addresses and its stream
// do.
func (c *Connector) ready(kernel.Ready) {}

func (c *Connector) logPrefix(s *Stream) string { return LogPrefixOf(s.proto) + ",client" }

func (c *Connector) describe(s *Stream) string { return attached{}.describe(s) }

func (c *Connector) logName() string { return "reactor.Connector" }

func (c *Connector) touched() {} // never touched

func (c *Connector) panicked(e *PanicError) { c.fail(e) }

func (c *Connector) drop() {}

// shutdown ends an attempt in progress (TCP-48).
func (c *Connector) shutdown() { c.fail(ErrStopped) }
