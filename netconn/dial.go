package netconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Dialer connects through a reactor. Its methods have the types that http.Transport, database drivers and gRPC ask for. It may be
// used from any goroutine but the loop's, where it panics, and must not be changed meanwhile.
type Dialer struct {
	// Reactor is the loop of the connections. It must be set.
	Reactor *reactor.Reactor
	// Config has the options of sockets and the limits of time.
	Config reactor.DialConfig
	// Conn is for each connection.
	Conn Config
	// Over, unless nil, puts a layer on each connection: it wraps the factory, as tlsio.Client does. The connection
	// is returned when its handshake is over.
	Over func(reactor.Factory) reactor.Factory
}

// Dial connects to an address by r: it is DialContext of a Dialer with defaults.
func Dial(ctx context.Context, r *reactor.Reactor, network, address string) (net.Conn, error) {
	return (&Dialer{Reactor: r}).DialContext(ctx, network, address)
}

// Dial is DialContext without an end of ctx. Config.Timeout limits the connecting; what a layer does then has its own limits.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to address, "host:port" with a number, or the path of a UNIX socket. network is "tcp", "tcp4", "tcp6" or "unix". It
// gives up when ctx ends.
//
// The connection is a *Conn, or with a layer of TLS one that also has ConnectionState. An error is a
// *reactor.OpError that is reactor.ErrConnect and its cause: what Reactor.Dial says, the cause of ctx, what ended the
// connection before its handshake was over, or reactor.ErrStopped (NETCONN-9).
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	cfg := d.Config
	a, err := destination(network, address, &cfg)
	if err == nil && d.Reactor == nil {
		err = ErrReactorNil
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, &reactor.OpError{Op: "dial", Remote: a, Err: err}
	}
	if d.Reactor.OnLoop() {
		panic("netconn: Dial on the goroutine of the loop, which could then never connect; use Reactor.Dial")
	}
	x := &attempt{d: d, dest: a, cfg: cfg, done: make(chan struct{})}
	d.Reactor.Post(x.begin)
	select {
	case <-x.done:
	case <-ctx.Done():
		if x.finish(nil, context.Cause(ctx)) {
			d.Reactor.Post(x.cancel)
		}
	case <-d.Reactor.Done():
		x.finish(nil, reactor.ErrStopped)
	}
	return x.conn, x.err
}

// destination parses what Dial was given.
func destination(network, address string, cfg *reactor.DialConfig) (kernel.Addr, error) {
	switch network {
	case "unix":
		return kernel.UNIXAddr(address), nil
	case "tcp":
	case "tcp4":
		cfg.Family = reactor.IPv4
	case "tcp6":
		cfg.Family = reactor.IPv6
	default:
		return kernel.Addr{}, net.UnknownNetworkError(network)
	}
	a, err := hostPort(address)
	if ip := a.IP.Addr(); err == nil && network != "tcp" && ip.IsValid() && a.Name == "" && !cfg.Family.Has(ip.Unmap()) {
		err = fmt.Errorf("%w: %v is no %v address", kernel.ErrInvalidAddr, ip, cfg.Family) // the reactor looks at the family of names alone
	}
	return a, err
}

// hostPort parses the address of a TCP connection. package net splits it, because kernel.ParseAddr takes some texts for other things: "8007" after a network for
// a port of a host with the name of that network.
func hostPort(address string) (kernel.Addr, error) {
	host, port, err := net.SplitHostPort(address)
	if e, ok := errors.AsType[*net.AddrError](err); ok {
		return kernel.Addr{}, &kernel.ParseError{Text: address, Reason: e.Err}
	}
	if host == "" {
		host = "localhost" // package net connects to this host too
	}
	a, err := kernel.ParseAddr("tcp:" + net.JoinHostPort(host, port))
	if e, ok := errors.AsType[*kernel.ParseError](err); ok {
		e.Text = address // as the user has written it
	}
	return a, err
}

// attempt is one call of Dial.
type attempt struct {
	d         *Dialer
	dest      kernel.Addr
	cfg       reactor.DialConfig
	connector *reactor.Connector // for the loop
	c         *Conn              // for the loop

	mu   sync.Mutex
	conn net.Conn
	err  error
	over bool // conn or err is the result
	done chan struct{}
}

// begin connects, on the loop.
func (x *attempt) begin() {
	r := x.d.Reactor
	cfg := x.d.Conn.complete()
	x.c = newConn(hubOf(r), &cfg)
	x.c.made = func(c net.Conn, err error) { _ = x.finish(c, err) }
	f := reactor.Factory(&dialling{x})
	if x.d.Over != nil {
		if e := r.Guard("Dialer.Over", func() { f = x.d.Over(f) }); e != nil {
			x.c.leave()
			_ = x.finish(nil, e)
			return
		}
	}
	x.connector = r.Dial(x.dest, f, &x.cfg, func(_ reactor.Protocol, err error) {
		if err != nil {
			x.c.leave()
			x.finish(nil, err)
		}
	})
}

// dialling is the factory of an attempt.
type dialling struct{ x *attempt }

var _ reactor.ConnectorListener = (*dialling)(nil)

// BuildProtocol returns the end of the Conn on the loop.
func (f *dialling) BuildProtocol(kernel.Addr) reactor.Protocol { return f.x.c.Protocol() }

// StartedConnecting does nothing.
func (f *dialling) StartedConnecting(*reactor.Connector) {}

// ConnectionFailed does nothing, because Dial's function is told too.
func (f *dialling) ConnectionFailed(*reactor.Connector, error) {}

// ConnectionEnded follows the end of a connection, also if a layer has never told the Conn of it.
func (f *dialling) ConnectionEnded(_ *reactor.Connector, err error) {
	if f.x.finish(nil, err) {
		f.x.c.leave()
	}
}

// LogPrefix is the name in logs.
func (f *dialling) LogPrefix() string { return "netconn.Dialer" }

// cancel gives the attempt up, on the loop.
func (x *attempt) cancel() {
	if x.connector == nil {
		return // Over has failed
	}
	if x.connector.StopConnecting() != nil && x.c.t != nil {
		x.c.t.Abort() // it waits for a handshake, or is connected and nobody wants it
	}
}

// finish has Dial return. Only the first result counts, and finish tells whether this is it. A connection that comes too late is reset.
func (x *attempt) finish(c net.Conn, err error) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		if c != nil {
			abort(c)
		}
		return false
	}
	if err != nil {
		var o *reactor.OpError
		if !errors.As(err, &o) || !errors.Is(err, reactor.ErrConnect) {
			err = &reactor.OpError{Op: "dial", Remote: x.dest, Err: err}
		}
	}
	x.conn, x.err, x.over = c, err, true
	close(x.done)
	return true
}
