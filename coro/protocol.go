package coro

import (
	"errors"
	"log/slog"
	"net"
	"reflect"
	"runtime"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Protocol returns a protocol whose conversation is body, which runs as a coroutine for as long as the connection lasts. It serves one
// connection.
//
//	what happens                    to the body                                to the connection
//	body returns nil                                                           Close: what was written is sent
//	body returns an error           the log has it, unless the peer caused it  Abort
//	body panics                     as in a callback: reported                 Abort
//	the connection is lost          every wait fails, now and later            its reason is the error
//	our side has closed it itself   Read and Write fail, other waits go on;    its end in order goes on
//	                                an error that body returns is only logged
//	the reactor stops               every wait fails with reactor.ErrStopped
//
// So the body always ends, and its deferred functions run (CORO-2).
func Protocol(body func(*Session) error) reactor.Protocol {
	if body == nil {
		panic("coro: Protocol without a function")
	}
	s := &Session{body: body}
	s.own.session = s
	return (*end)(s)
}

// Factory returns a factory that makes a [Protocol] of body for every connection. Several loops of a reactor.Group may use it at a
// time if body may run on several at a time; then wrap it in a factory that says so, see reactor.AnyLoop.
func Factory(body func(*Session) error) reactor.Factory {
	if body == nil {
		panic("coro: Factory without a function")
	}
	return factory(body)
}

type factory func(*Session) error

// BuildProtocol makes a Protocol.
func (f factory) BuildProtocol(kernel.Addr) reactor.Protocol { return Protocol(f) }

// LogPrefix is the name of the body.
func (f factory) LogPrefix() string { return nameOf(f) }

// nameOf is the name of a body, as a function of its package.
func nameOf(body func(*Session) error) string {
	f := runtime.FuncForPC(reflect.ValueOf(body).Pointer())
	if f == nil {
		return "coro.Session"
	}
	name := f.Name()
	return name[strings.LastIndexByte(name, '/')+1:]
}

// end is a Session as its transport sees it.
type end Session

var (
	_ reactor.Protocol          = (*end)(nil)
	_ reactor.HalfCloseListener = (*end)(nil)
	_ reactor.Drainer           = (*end)(nil)
	_ reactor.LogPrefixer       = (*end)(nil)
)

// ConnectionMade begins the body.
func (e *end) ConnectionMade(t reactor.Transport) {
	s := (*Session)(e)
	if s.t != nil {
		panic("coro: a Protocol serves one connection; use a Factory for several")
	}
	s.t, s.own.l = reactor.ConnectionOf(t), loopOf(t.Reactor())
	s.register()
	if s.served() {
		s.own.begin()
	} else {
		made := s.body
		s.body = nil
		_ = made(s)
	}
}

// DataReceived lends p to who reads. What is left over is kept, and the transport paused until it was read.
func (e *end) DataReceived(p []byte) {
	s := (*Session)(e)
	if s.closed {
		return
	}
	if len(s.in) > 0 { // the transport cannot be paused
		if len(s.in)+len(p) > maxKept {
			s.Abort()
			return
		}
		s.in = append(s.in, p...)
		return
	}
	s.in = p
	s.wakeReader()
	if len(s.in) == 0 {
		s.in = nil
		return
	}
	s.in = append([]byte(nil), s.in...)
	if !s.paused {
		s.paused = true
		s.t.PauseProducing()
	}
}

// maxKept is how much is kept of a transport that cannot be paused. No transport of Whorl is like that.
const maxKept = 1 << 20

// ReadConnectionLost tells who reads.
func (e *end) ReadConnectionLost() {
	s := (*Session)(e)
	s.eof = true
	s.wakeReader()
}

// WriteConnectionLost does nothing.
func (e *end) WriteConnectionLost() {}

// Drain has Read return io.EOF where it would wait, as if the peer had ended, so that the body finishes what it is about.
func (e *end) Drain() {
	s := (*Session)(e)
	s.draining = true
	s.wakeReader()
}

// ConnectionLost ends all waits. If our side has closed the connection, those for other things go on.
func (e *end) ConnectionLost(err error) {
	s := (*Session)(e)
	if s.t == nil {
		return // a layer below has failed before it connected us
	}
	s.lost, s.rest().reason = true, err
	s.full = false
	if s.served() && !s.closed {
		s.own.giveUp(s.lostError("wait"))
	}
	s.wake()
}

// Failure is the error that the body has returned, or its panic, unless the end of the connection is the cause of it. It is nil while the body
// runs. Connect of package whorl asks for it.
func (e *end) Failure() error {
	c := &e.own
	if c.state != over || c.givenUp || ofConnection(c.reason()) {
		return nil
	}
	return c.reason()
}

// ofConnection tells whether the end of a connection has caused err.
func ofConnection(err error) bool {
	return errors.Is(err, reactor.ErrLost) || errors.Is(err, net.ErrClosed)
}

// LogPrefix is the name of the body.
func (e *end) LogPrefix() string {
	if e.own.session == nil {
		return "coro.Session"
	}
	return nameOf(e.body)
}

// bodyEnded ends the connection as the body says.
func (s *Session) bodyEnded(err error) {
	switch {
	case err == nil:
		s.Close()
	case s.closed && !s.own.panicked:
		s.logError("a coroutine has failed after it closed its connection", err)
	default:
		s.logError("a coroutine has aborted its connection", err)
		s.abort()
	}
}

// logError logs an error that the connection has not caused.
func (s *Session) logError(what string, err error) {
	if s.own.reported() || ofConnection(err) {
		return
	}
	l := s.loop()
	l.errors.Log(l.r, l.r.Logger(), slog.LevelInfo, what,
		slog.String("peer", s.t.Remote().String()), slog.Any("err", err))
}

// output is a Session as a producer for its transport.
type output Session

var _ reactor.Producer = (*output)(nil)

// PauseProducing has Write wait.
func (o *output) PauseProducing() { o.full = true }

// ResumeProducing has it go on. The next piece is written without a registered producer, because otherwise the transport would take it even if
// somebody else has closed it, and a body that writes without end would keep it open.
func (o *output) ResumeProducing() {
	o.full, o.registered = false, false
	o.t.UnregisterProducer()
	(*Session)(o).wakeWriter()
}

// StopProducing has it fail. If the connection is lost, ConnectionLost follows before the next turn, and has the reason. Otherwise there is input left, and Write does not wait for that.
func (o *output) StopProducing() {
	o.full, o.broken = false, true
	if s := (*Session)(o); s.seldom != nil && s.seldom.writer != nil {
		s.loop().r.Post(s.wakeWriter)
	}
}

// Producing is always false: a Close that others ask for, such as a Connector's Disconnect, sends what is buffered and does not wait for
// the body, whose Write then fails.
func (o *output) Producing() bool { return false }

// Unfinished tells whether a Write is in progress: its reader must not take the part that was sent for the whole (PROD-24).
func (o *output) Unfinished() bool { return o.seldom != nil && o.seldom.writer != nil }
