package netconn

import (
	"net"
	"slices"
	"sync"
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
// While nobody accepts, the port takes no new connections, as the Backlog says. But those that wait on the loop stay, and each of them
// may wait for Accept too.
//
// Without SetIdle no connection ever goes back. HTTP/2 does not: its connections have state in the server. TLS must stand below, by
// ListenConfig.Over: a tls.Conn above a Conn would be lost with its goroutine.
type IdleListener struct {
	l       *Listener
	linger  time.Duration
	timeout time.Duration // negative: none

	mu    sync.Mutex
	loops []*idleLoop
}

var _ net.Listener = (*IdleListener)(nil)

// ListenIdle listens at a. In everything else it is like Listen.
func ListenIdle(on reactor.Loops, a kernel.Addr, o *IdleConfig) (*IdleListener, error) {
	if o == nil {
		o = new(IdleConfig)
	}
	return ListenIdleAt(on, o, portAt(on, a, &o.ListenConfig))
}

// ListenIdleAt is to ListenIdle what ListenAt is to Listen.
func ListenIdleAt(on reactor.Loops, o *IdleConfig, open func(reactor.Factory) (Place, error)) (*IdleListener, error) {
	if o == nil {
		o = new(IdleConfig)
	}
	l := &IdleListener{l: newListener(on, &o.ListenConfig), linger: o.Linger, timeout: o.IdleTimeout}
	if l.linger <= 0 {
		l.linger = defaultLinger
	}
	if l.timeout == 0 {
		l.timeout = defaultIdleTimeout
	}
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

// Close stops listening, and closes the connections that wait on the loop: the place stops its factory, which does it. So Shutdown and Close of an http.Server end them too. In
// everything else it is that of a Listener.
func (l *IdleListener) Close() error { return l.l.Close() }

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

// Waiting is how many connections wait on the loop. It may be called from any goroutine.
func (l *IdleListener) Waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.loops {
		select {
		case <-x.r.Done(): // it may have died without a word to its connections
		default:
			n += int(x.n.Load())
		}
	}
	return n
}

// closeWaiting closes the connections that wait.
func (l *IdleListener) closeWaiting() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.loops {
		x.r.Post(x.closeWaiting)
	}
}

// of returns what l has on the loop r.
func (l *IdleListener) of(r *reactor.Reactor) *idleLoop {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.loops {
		if x.r == r {
			return x
		}
	}
	x := newIdleLoop(l, r)
	l.loops = append(slices.DeleteFunc(l.loops, func(x *idleLoop) bool { return x.r.Ending() }), x) // a group may have had another loop in its place
	return x
}

// idleFactory is the factory of an IdleListener.
type idleFactory struct{ l *IdleListener }

// BuildProtocol makes the end of a connection on the loop.
func (f *idleFactory) BuildProtocol(kernel.Addr) reactor.Protocol {
	if f.l.l.failure() != nil {
		return nil
	}
	return &idleLink{of: f.l}
}

// AnyLoop is true.
func (f *idleFactory) AnyLoop() bool { return true }

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
