package netconn

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"

	"github.com/whorl-go/whorl/kernel"
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
	case !c.hub.live.Has(c): // it was closed before
		c.hub.live.Add(c)
	}
	c.whole.Store(isWhole(t))
	c.connect(connectionOf(t))
	c.hub.add(c) // for what was asked for before
	switch s, ok := reactor.As[stater](t); {
	case !ok:
		l.ready(c, nil)
	case s.ConnectionState().HandshakeComplete: // the protocol was chosen after the handshake
		l.HandshakeCompleted(s.ConnectionState())
	}
}

// connectionOf is t with what a Conn needs of it. It panics if that is not there.
func connectionOf(t reactor.Transport) reactor.Connection {
	_, pauses := reactor.As[reactor.Producer](t)
	_, consumes := reactor.As[reactor.Consumer](t)
	if !pauses || !consumes {
		panic(fmt.Sprintf("netconn: a %T hides that its transport can be paused or takes a producer, so nothing would be bounded; it needs Unwrap", t))
	}
	return reactor.ConnectionOf(t)
}

// halves is a method by which a transport with a CloseWrite says whether that works.
type halves interface{ HalfCloses() bool }

// isWhole tells whether no direction of t can end alone.
func isWhole(t reactor.Transport) bool {
	if h, ok := reactor.As[halves](t); ok {
		return !h.HalfCloses()
	}
	_, ok := reactor.As[reactor.HalfCloser](t)
	return !ok
}

// connect gives c its transport.
func (c *Conn) connect(t reactor.Connection) {
	local, remote := t.Local(), t.Remote()
	c.local.Store(&local)
	c.remote.Store(&remote)
	c.t = t
	if err := t.RegisterProducer((*spout)(c)); err != nil {
		panic(fmt.Sprintf("netconn: the transport cannot be written by a Conn: %v", err))
	}
}

// HandshakeCompleted follows ConnectionMade of a transport that is TLS. A layer between that makes us wait for ConnectionMade does not keep TLS
// from calling it earlier. Then ConnectionMade finds that the handshake is over.
func (l *link) HandshakeCompleted(s tls.ConnectionState) {
	if l.t == nil {
		return
	}
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

// ReadInput reads for a Read that waits.
func (l *link) ReadInput(src io.Reader) (n int, err error, ok bool) {
	if l.t == nil {
		return 0, nil, false
	}
	return l.in.readFrom((*Conn)(l), src)
}

// DataReceived hands p to Read.
func (l *link) DataReceived(p []byte) {
	if l.t == nil {
		panic("netconn: the protocol of a Conn was given data before ConnectionMade, which SwitchProtocol does not call")
	}
	l.in.receive((*Conn)(l), p)
}

// ReadConnectionLost is the end of the peer's direction. Ours stays open until Close or CloseWrite.
func (l *link) ReadConnectionLost() { l.woke(l.in.lost(io.EOF)) }

// WriteConnectionLost follows our own CloseWrite, or the loss of the output alone, as of a pipe.
func (l *link) WriteConnectionLost() {
	if !l.shut {
		l.woke(l.out.lost(kernel.ErrBroken))
	}
}

// ConnectionLost ends both directions.
func (l *link) ConnectionLost(err error) {
	if l.hub == nil {
		return // of a Listener: a layer has failed before ConnectionMade, and nobody waits
	}
	(*Conn)(l).leave()
	if reactor.PeerEnded(err) {
		err = io.EOF
	}
	l.woke(l.out.lost(err)) // first: whom Read tells of the loss finds that writing fails too
	l.woke(l.in.lost(err))
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

// StopProducing is called when nothing more can be written. It may be called inside Write of the transport, so the goroutines hear of it
// later: by ConnectionLost, which has the reason, or if the transport has input left, by serve.
func (s *spout) StopProducing() {
	s.out.full, s.out.broken = true, true
	s.hub.add((*Conn)(s))
}

// Producing tells whether a Close or CloseWrite that is not ours has to wait for more.
func (s *spout) Producing() bool { return s.out.busy }

// Unfinished tells whether a Write, or what it has left to the loop, is in progress: its reader must not take the part that was sent for the whole (PROD-24).
func (s *spout) Unfinished() bool { return s.out.busy }
