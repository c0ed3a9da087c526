package netconn

import (
	"net"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// IdleConfig configures an IdleListener. Nil and the zero value are the defaults.
type IdleConfig struct {
	ListenConfig
	// Linger is how long a connection between two requests keeps its goroutine, because the next request may follow
	// at once. It is looked at once in that time, so that it may take twice as long. Zero or negative: 500 ms.
	Linger time.Duration
	// IdleTimeout is how long a connection may wait for a request on the loop. Then it is closed. The IdleTimeout of the server does
	// not apply there. Zero: 3 minutes; negative: no limit.
	IdleTimeout time.Duration
}

const (
	defaultLinger      = 500 * time.Millisecond
	defaultIdleTimeout = 3 * time.Minute
)

// IdleListener is a Listener for servers of HTTP/1.1 whose connections have no goroutine while they wait for a request.
// net/http is used as it is:
//
//	srv.ConnState = func(c net.Conn, s http.ConnState) { l.SetIdle(c, s == http.StateIdle) }
//	err := srv.Serve(l)
//
// A connection waits on the loop. Accept returns it with the first bytes of a request. When it has then
// been idle for Linger, its Read returns io.EOF. The server takes this for the end and calls Close. But the connection
// does not end: it waits on the loop again. So to the server each busy time is a connection of its own: ConnContext and ConnState are
// called anew (NETCONN-11).
//
// Without SetIdle no connection ever goes back. HTTP/2 does not: its connections have state in the server. TLS must stand below, by
// ListenConfig.Over: a tls.Conn above a Conn would be lost with its goroutine.
type IdleListener struct {
	l       *Listener
	linger  time.Duration
	timeout time.Duration // negative: none

	// For the loop alone.
	waiting, served ring
	expire          reactor.DelayedCall // closes the first of waiting when its time is over
	look            reactor.DelayedCall // looks at the first of served
}

var _ net.Listener = (*IdleListener)(nil)

// ListenIdle listens at a. In everything else it is like Listen.
func ListenIdle(r *reactor.Reactor, a kernel.Addr, o *IdleConfig) (*IdleListener, error) {
	if o == nil {
		o = new(IdleConfig)
	}
	return ListenIdleAt(r, o, func(f reactor.Factory) (Place, error) { return r.Listen(a, f, &o.Port) })
}

// ListenIdleAt is to ListenIdle what ListenAt is to Listen.
func ListenIdleAt(r *reactor.Reactor, o *IdleConfig, open func(reactor.Factory) (Place, error)) (*IdleListener, error) {
	if o == nil {
		o = new(IdleConfig)
	}
	l := &IdleListener{l: newListener(r, &o.ListenConfig), linger: o.Linger, timeout: o.IdleTimeout}
	if l.linger <= 0 {
		l.linger = defaultLinger
	}
	if l.timeout == 0 {
		l.timeout = defaultIdleTimeout
	}
	l.expire.Init(r, l.expireFirst)
	l.look.Init(r, l.lookAround)
	if err := l.l.open(&o.ListenConfig, &idleFactory{l}, open); err != nil {
		return nil, err
	}
	return l, nil
}

// Accept returns a connection on which a request begins. In everything else it is that of a Listener.
func (l *IdleListener) Accept() (net.Conn, error) { return l.l.Accept() }

// Addr is where it listens.
func (l *IdleListener) Addr() net.Addr { return l.l.Addr() }

// Place is that of a Listener.
func (l *IdleListener) Place() Place { return l.l.Place() }

// Close stops listening, and closes the connections that wait on the loop. So Shutdown and Close of an http.Server end them too. In
// everything else it is that of a Listener.
func (l *IdleListener) Close() error {
	if !l.l.end(net.ErrClosed) {
		return l.l.opError("close", net.ErrClosed)
	}
	return l.l.stop(l.closeWaiting)
}

// SetIdle tells that c, which Accept has returned, waits for a request, or does no longer. It does nothing for any other c. It may be
// called from any goroutine.
func (l *IdleListener) SetIdle(c net.Conn, idle bool) {
	if s, ok := c.(*secured); ok {
		c = s.Conn
	}
	if c, ok := c.(*Conn); ok && c.idle != nil {
		c.idle.set(c, idle)
	}
}

// Waiting is how many connections wait on the loop. It is for the loop's goroutine.
func (l *IdleListener) Waiting() int { return l.waiting.n }

// closeWaiting closes the connections that wait.
func (l *IdleListener) closeWaiting() {
	for x := l.waiting.first; x != nil; x = x.next {
		_ = x.t.Close()
	}
}

// wait has x wait on the loop for a request.
func (l *IdleListener) wait(x *idleLink) {
	x.since = l.l.r.Now()
	l.waiting.add(x)
	if l.timeout > 0 && !l.expire.Active() {
		l.expire.Reset(l.timeout)
	}
}

// expireFirst closes the connections that have waited for too long. The first has waited longest.
func (l *IdleListener) expireFirst() {
	now := l.l.r.Now()
	for x := l.waiting.first; x != nil; x = x.next {
		if left := x.since + l.timeout - now; left > 0 {
			l.expire.Reset(left)
			return
		}
		_ = x.t.Close()
	}
}

// serve has x stand among those that a goroutine has.
func (l *IdleListener) serve(x *idleLink) {
	l.served.add(x)
	if !l.look.Active() {
		l.look.Reset(l.linger)
	}
}

// atOnce is how many connections one call of lookAround looks at.
const atOnce = 1024

// lookAround looks at the connections that a goroutine has, each once in Linger.
func (l *IdleListener) lookAround() {
	n := l.served.n
	for range min(n, atOnce) {
		x := l.served.first
		l.served.remove(x)
		l.served.add(x)
		x.c.idle.look(x.c)
	}
	if n > 0 {
		l.look.Reset(l.linger / time.Duration((n+atOnce-1)/atOnce))
	}
}

// ring is a list of connections.
type ring struct {
	first, last *idleLink
	n           int
}

func (g *ring) add(x *idleLink) {
	x.prev = g.last
	if g.last != nil {
		g.last.next = x
	} else {
		g.first = x
	}
	g.last = x
	g.n++
}

func (g *ring) remove(x *idleLink) {
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		g.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	} else {
		g.last = x.prev
	}
	x.prev, x.next = nil, nil
	g.n--
}

// idleFactory is the factory of an IdleListener.
type idleFactory struct{ l *IdleListener }

// BuildProtocol makes the end of a connection on the loop.
func (f *idleFactory) BuildProtocol(kernel.Addr) reactor.Protocol {
	if f.l.l.failure() != nil {
		return nil
	}
	return &idleLink{l: f.l}
}

// StartFactory does nothing.
func (f *idleFactory) StartFactory() error { return nil }

// StopFactory is called when the port has ended.
func (f *idleFactory) StopFactory() error {
	f.l.l.placeEnded()
	f.l.closeWaiting()
	return nil
}

// LogPrefix is the name in logs.
func (f *idleFactory) LogPrefix() string { return "netconn.IdleListener" }
