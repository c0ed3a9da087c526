package coro

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Dial connects to a, as Reactor.Dial does, and waits until it has. The Session belongs to the caller, who closes it; the end of the
// coroutine does not. Errors are those of Reactor.Dial. If the coroutine is given up meanwhile, so is the attempt.
func Dial(w Waiter, a kernel.Addr, o *reactor.DialConfig) (*Session, error) {
	r := w.waiting("Dial").l.r
	return Wait(w, func(done func(*Session, error)) func() {
		var made *Session
		f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			return Bare(func(s *Session) { made = s })
		})
		return r.Dial(a, f, o, func(_ reactor.Protocol, err error) { done(made, err) }).Disconnect
	})
}

// Bare returns a protocol without a body. When its connection is made, made gets the Session, on the loop's goroutine, and gives it to
// a coroutine, which closes it. So a coroutine uses connections that something else has made, such as an endpoint, TLS included. It
// serves one connection.
func Bare(made func(*Session)) reactor.Protocol {
	if made == nil {
		panic("coro: Bare without a function")
	}
	return (*end)(&Session{body: func(s *Session) error {
		made(s)
		return nil
	}})
}

// DefaultBacklog is how many connections of a Listener wait for Accept.
const DefaultBacklog = 128

// Listener is a factory for servers that accept in a loop. It is given to Reactor.Listen or an endpoint, and a coroutine calls Accept
// again and again. It is for the loop's goroutine of one reactor. The zero Listener is ready for use.
//
//	for {
//		s, err := l.Accept(c)
//		if err != nil {
//			return err
//		}
//		coro.Go(r, func(*coro.Coroutine) error { defer s.Close(); return serve(s) })
//	}
type Listener struct {
	// Backlog is how many connections may wait for Accept. One more is refused. Zero and less: DefaultBacklog.
	Backlog int

	waiting []*Session
	asking  *waited[*Session]
	closed  bool
}

var (
	_ reactor.Factory      = (*Listener)(nil)
	_ reactor.StartStopper = (*Listener)(nil)
)

// Accept returns the next connection, and waits for it. The caller closes it. When the last port of the Listener has stopped, the error is
// reactor.ErrClosed, which is net.ErrClosed. One coroutine may wait in it at a time; a second one panics.
func (l *Listener) Accept(w Waiter) (*Session, error) {
	c := w.waiting("Accept")
	if l.asking != nil {
		panic("coro: Accept of a Listener in which another coroutine waits")
	}
	if len(l.waiting) > 0 {
		s := l.waiting[0]
		l.waiting[0], l.waiting = nil, l.waiting[1:]
		return s, nil
	}
	if l.closed {
		return nil, c.fail(reactor.ErrClosed)
	}
	s, err := wait(c, func(x *waited[*Session]) func() {
		l.asking = x
		return nil
	})
	l.asking = nil
	return s, err
}

// BuildProtocol makes a Bare protocol, or none if too many connections wait.
func (l *Listener) BuildProtocol(kernel.Addr) reactor.Protocol {
	backlog := l.Backlog
	if backlog <= 0 {
		backlog = DefaultBacklog
	}
	if len(l.waiting) >= backlog {
		return nil
	}
	return Bare(l.made)
}

func (l *Listener) made(s *Session) {
	if l.closed { // a layer has built it, or connected it, after the port had stopped
		s.Abort()
		return
	}
	if x := l.asking; x != nil {
		l.asking = nil
		x.done(s, nil)
		return
	}
	l.waiting = append(l.waiting, s)
}

// StartFactory is called when the first port starts.
func (l *Listener) StartFactory() error {
	l.closed = false
	return nil
}

// StopFactory has Accept fail. Connections that wait for it are reset, and so are those that are made later.
func (l *Listener) StopFactory() error {
	l.closed = true
	waiting := l.waiting
	l.waiting = nil
	for _, s := range waiting {
		s.Abort()
	}
	if x := l.asking; x != nil {
		l.asking = nil
		x.done(nil, reactor.ErrClosed)
	}
	return nil
}
