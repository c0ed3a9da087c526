package websocket

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Message is a message of a WebSocket.
type Message struct {
	Data   []byte
	Binary bool // otherwise it is text, and Data is valid UTF-8
}

// Receiver is implemented by a protocol that wants messages as they are: with their kind, and also empty ones. It is found behind wrappers, by reactor.ProtocolAs.
type Receiver interface {
	// MessageReceived is called in the place of DataReceived. m.Data belongs to the transport again when it returns.
	MessageReceived(m Message)
}

// taker is a protocol around a Receiver that takes input itself: a policy of package flow, which passes it on, or what reactor.Join has put in the place of
// the Receiver, which does not. p may be empty.
type taker interface {
	TakeInput(p []byte, pass func(p []byte))
}

// hand gives a message to the Receiver at or behind to, by way of the takers around that.
func hand(to reactor.Protocol, m Message) {
	for p := to; p != nil; p = behind(p) {
		switch p := p.(type) {
		case Receiver:
			p.MessageReceived(m)
			return
		case taker:
			p.TakeInput(m.Data, func(data []byte) { hand(behind(p.(reactor.Protocol)), Message{data, m.Binary}) })
			return
		}
	}
	if to != nil && len(m.Data) > 0 { // a taker was given another protocol
		to.DataReceived(m.Data)
	}
}

// behind is the protocol that p wraps, or nil.
func behind(p reactor.Protocol) reactor.Protocol {
	if u, ok := p.(interface{ Unwrap() reactor.Protocol }); ok {
		return u.Unwrap()
	}
	return nil
}

// wire is a Conn as the protocol of the transport below.
type wire Conn

var (
	_ reactor.Protocol          = (*wire)(nil)
	_ reactor.HalfCloseListener = (*wire)(nil)
	_ reactor.Layer             = (*wire)(nil)
	_ reactor.LogPrefixer       = (*wire)(nil)
)

// Above is the WebSocket.
func (w *wire) Above() reactor.Transport { return (*Conn)(w) }

// Unwrap is the protocol above, nil before the request was accepted and after the loss.
func (w *wire) Unwrap() reactor.Protocol { return w.inner }

// LogPrefix is the name of the protocol above, with " (WebSocket)".
func (w *wire) LogPrefix() string {
	if w.inner == nil {
		return w.s.LogPrefix()
	}
	return reactor.LogPrefixOf(w.inner) + suffix
}

// ConnectionMade waits for a request.
func (w *wire) ConnectionMade(t reactor.Transport) {
	c := (*Conn)(w)
	c.connect(reactor.ConnectionOf(t))
	c.asking.begin(c)
}

// connect gives c its transport.
func (c *Conn) connect(t reactor.Connection) { c.t, c.l = t, loopOf(t.Reactor(), c.s) }

// begin answers the request with the acceptance, and connects the protocol. early is what has come behind the request.
func (c *Conn) begin(answer string, early []byte) {
	_, _ = c.t.Write([]byte(answer))
	c.state = open
	c.l.add(c)
	if c.inner = c.s.inner.BuildProtocol(c.t.Remote()); c.inner == nil {
		_ = c.CloseWith(CodeTryLater, "")
	} else {
		c.inner.ConnectionMade(c)
	}
	if len(early) > 0 {
		c.received(early)
	}
}

// DataReceived takes frames.
func (w *wire) DataReceived(p []byte) {
	c := (*Conn)(w)
	if c.asking != nil {
		c.asking.received(c, p)
		return
	}
	c.received(p)
}

// KeepsInput tells whether frames wait until the protocol above is resumed. The transport below, if it has failed, then waits for that too.
func (w *wire) KeepsInput() bool {
	return w.state == open && (w.paused || w.late) && len(w.in.kept()) > 0
}

// ReadConnectionLost is the end of the connection. A WebSocket has no directions that end one by one, so the protocol above is not told, even if it is
// a HalfCloseListener. If no close frame was sent, an unfinished producer makes it a reset (PROD-24).
func (w *wire) ReadConnectionLost() {
	c := (*Conn)(w)
	if c.state == over {
		return
	}
	if !c.speaks() { // the request has not come whole, or our close frame was sent
		c.end()
		return
	}
	c.reason = c.opError("read", ErrNoClose)
	if reactor.Unfinished(c.producer) {
		c.Abort()
		return
	}
	c.end()
}

// WriteConnectionLost follows the loss of the output alone, as of a pipe: nothing here calls CloseWrite below.
func (w *wire) WriteConnectionLost() {
	if c := (*Conn)(w); c.state < over {
		c.abort("write", kernel.ErrBroken)
	}
}

// ConnectionLost tells the protocol above.
func (w *wire) ConnectionLost(err error) {
	c := (*Conn)(w)
	if c.l == nil {
		return // ConnectionMade has failed
	}
	c.state = over
	c.leave()
	if inner := c.inner; inner != nil {
		err = c.reasonFor(err)
		c.inner = nil
		inner.ConnectionLost(err)
	}
}

// guest is a Conn as the protocol of the WebSocket, for who looks for it from below.
type guest Conn

var (
	_ reactor.Protocol = (*guest)(nil)
	_ reactor.Drainer  = (*guest)(nil)
)

// Unwrap is the protocol above.
func (g *guest) Unwrap() reactor.Protocol { return g.inner }

// Drain is that of the protocol above, if it is a Drainer. Otherwise it says to the peer that the server goes away.
func (g *guest) Drain() {
	if g.inner != nil {
		if d, ok := reactor.ProtocolAs[reactor.Drainer](g.inner); ok {
			d.Drain()
			return
		}
	}
	_ = (*Conn)(g).CloseWith(CodeGoingAway, "")
}

// ConnectionMade, DataReceived and ConnectionLost are those of the protocol above.
func (g *guest) ConnectionMade(t reactor.Transport) { g.inner.ConnectionMade(t) }
func (g *guest) DataReceived(p []byte)              { g.inner.DataReceived(p) }
func (g *guest) ConnectionLost(err error)           { g.inner.ConnectionLost(err) }
