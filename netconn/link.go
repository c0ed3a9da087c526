package netconn

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/whorl-go/whorl/reactor"
)

// link is a Conn as the protocol of its transport. It is for the loop's goroutine.
type link Conn

var (
	_ reactor.Protocol          = (*link)(nil)
	_ reactor.HalfCloseListener = (*link)(nil)
)

// ConnectionMade takes the transport.
func (l *link) ConnectionMade(t reactor.Transport) {
	c := (*Conn)(l)
	switch r := t.Reactor(); {
	case c.hub == nil:
		c.join(hubOf(r))
	case c.hub.r != r:
		panic("netconn: the transport belongs to another reactor than the one that New was given")
	case c.t != nil || c.over:
		panic("netconn: Conn.Protocol was given to two transports")
	}
	c.connect(reactor.ConnectionOf(t))
	c.hub.add(c) // for what was asked for before
	if _, ok := reactor.As[stater](t); !ok {
		l.ready(c, nil)
	}
}

// connect gives c its transport.
func (c *Conn) connect(t reactor.Connection) {
	local, remote := t.Local(), t.Remote()
	c.local.Store(&local)
	c.remote.Store(&remote)
	c.t = t
	_ = t.RegisterProducer((*spout)(c)) // a transport without it takes all that comes
}

// HandshakeCompleted follows ConnectionMade of a transport that is TLS.
func (l *link) HandshakeCompleted(s tls.ConnectionState) {
	l.ready(&secured{Conn: (*Conn)(l), state: s}, nil)
}

// ready tells who waits for the connection.
func (l *link) ready(c net.Conn, err error) {
	if made := l.made; made != nil {
		l.made = nil
		made(c, err)
	}
}

// stater is a transport that is TLS.
type stater interface{ ConnectionState() tls.ConnectionState }

// secured is a Conn whose transport is TLS. net/http takes Request.TLS from it.
type secured struct {
	*Conn
	state tls.ConnectionState
}

// ConnectionState is what the handshake has agreed on.
func (s *secured) ConnectionState() tls.ConnectionState { return s.state }

// DataReceived hands p to Read.
func (l *link) DataReceived(p []byte) { l.in.receive((*Conn)(l), p) }

// ReadConnectionLost is the end of the peer's direction. Ours stays open until Close or CloseWrite.
func (l *link) ReadConnectionLost() { l.woke(l.in.lost(io.EOF)) }

// WriteConnectionLost follows our own CloseWrite.
func (l *link) WriteConnectionLost() {}

// ConnectionLost ends both directions.
func (l *link) ConnectionLost(err error) {
	(*Conn)(l).leave()
	l.woke(l.in.lost(err))
	l.woke(l.out.lost(err))
	l.ready(nil, err)
}

func (l *link) woke(somebody bool) {
	if somebody {
		l.hub.wakes()
	}
}

// LogPrefix is the name in logs.
func (l *link) LogPrefix() string { return "netconn.Conn" }

// spout is a Conn as the producer of its transport.
type spout Conn

// PauseProducing is called by the transport inside its Write, when it holds enough.
func (s *spout) PauseProducing() { s.out.full = true }

// ResumeProducing is called by the transport when it has sent that.
func (s *spout) ResumeProducing() {
	s.out.full = false
	s.out.settle((*Conn)(s))
}

// StopProducing precedes the loss.
func (s *spout) StopProducing() { s.out.full = true }
