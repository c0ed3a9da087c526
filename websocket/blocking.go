package websocket

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Blocking returns an inner factory for a Server, whose protocols have handle called with each message, off the loop, where it may block: on one of at most size
// goroutines for each loop (NETCONN-20). A connection has one only while one of its messages is handled. Messages of one connection are handled one at a time, in order; meanwhile nothing is read from it, so the peer has to wait.
//
// m.Data belongs to handle. What it returns is sent to the peer; nil sends nothing. An error or a panic is logged, and ends the connection with code 1011.
// Messages that wait for a goroutine count for Options.MaxPartial. A Drain closes with code 1001, when the message that is being handled was answered.
//
// Of c, handle may call Reactor, Local and Remote only. It reaches the rest by Reactor.Post, such as to send other messages. In a simulation it is called on the loop, after a virtual time.
// size must be above 0: otherwise the first connection panics.
func Blocking(size int, handle func(c *Conn, m Message) (answer *Message, err error)) reactor.Factory {
	return &blocking{size, handle}
}

// blocking is the factory of Blocking.
type blocking struct {
	size   int
	handle func(*Conn, Message) (*Message, error)
}

// BuildProtocol makes the end of a connection.
func (f *blocking) BuildProtocol(kernel.Addr) reactor.Protocol { return &handled{f: f} }

// LogPrefix is the name in logs.
func (f *blocking) LogPrefix() string { return "websocket.Blocking" }

// handled is a protocol whose messages are handled off the loop.
type handled struct {
	f      *blocking
	c      *Conn
	busy   bool // a message is being handled
	drains bool // then the connection ends
	lost   bool
}

var _ reactor.Drainer = (*handled)(nil)

// Drain says that the server goes away, when the message that is being handled was answered.
func (h *handled) Drain() {
	if h.drains = true; !h.busy {
		_ = h.c.CloseWith(CodeGoingAway, "")
	}
}

// ConnectionMade takes the WebSocket.
func (h *handled) ConnectionMade(t reactor.Transport) {
	c, ok := reactor.As[*Conn](t)
	if !ok {
		panic("websocket: Blocking is for the factory of a Server")
	}
	h.c = c
	if c.l.workers == nil {
		c.l.workers = reactor.NewWorkers(c.Reactor(), h.f.size)
	}
}

// DataReceived is not called: a handled is a Receiver.
func (h *handled) DataReceived([]byte) {}

// MessageReceived has m handled.
func (h *handled) MessageReceived(m Message) {
	c, l := h.c, h.c.l
	n := len(m.Data)
	if l.held+n > c.s.o.MaxPartial {
		c.fail(CodeTryLater, fmt.Errorf("%w: too many messages wait to be handled", ErrTooBig))
		return
	}
	l.held += n
	h.busy = true
	c.PauseProducing()
	m.Data = append([]byte(nil), m.Data...)
	reactor.Work(l.workers, func() (*Message, error) { return h.f.handle(c, m) }, func(answer *Message, err error) {
		l.held -= n
		h.done(answer, err)
	})
}

// done sends the answer, and goes on.
func (h *handled) done(answer *Message, err error) {
	c := h.c
	h.busy = false
	if h.lost || c.state != open {
		return
	}
	if err != nil {
		level := slog.LevelWarn
		if _, panicked := errors.AsType[*reactor.PanicError](err); panicked {
			level = slog.LevelError
		}
		c.l.failures.Log(c.l.r, c.l.r.Logger(), level, "handling a message of a WebSocket failed", slog.String("peer", c.Remote().String()), slog.Any("err", err))
		c.fail(CodeInternal, ErrHandler)
		return
	}
	if answer != nil {
		_ = c.Send(*answer) // ConnectionLost has the error
	}
	if h.drains {
		h.Drain()
	}
	c.ResumeProducing()
}

// ConnectionLost ends it. A message that is being handled is handled to the end.
func (h *handled) ConnectionLost(error) { h.lost = true }
