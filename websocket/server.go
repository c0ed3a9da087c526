package websocket

import (
	"bufio"
	"net"
	"net/http"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
)

// Server makes WebSockets of connections, and protocols of an inner factory for them. It is a reactor.Factory, for a port of its own,
// whose requests it reads on the loop, and an http.Handler, for a server of net/http. Both may be used at a time.
//
//	                       a port of its own          a handler of net/http
//	for                    WebSockets alone           WebSockets beside pages, on one port
//	the request costs      a buffer of at most 8 KiB  a goroutine, until it is answered
//	paths                  all alike; Check sees it   those of the mux
//	in a simulation        a seed repeats it          a seed does not
//	TLS                    tlsio.Server around it     ListenConfig.Over
//
// The transport of the protocols is a [*Conn].
type Server struct {
	inner reactor.Factory
	o     Options
}

var (
	_ reactor.Factory = (*Server)(nil)
	_ http.Handler    = (*Server)(nil)
)

// NewServer makes a Server for protocols of inner. BuildProtocol of inner is called when a request was accepted, on the loop of its connection. If it returns
// nil, the WebSocket ends at once, with code 1013. Nil and the zero value of o are the defaults.
func NewServer(inner reactor.Factory, o *Options) *Server { return &Server{inner, o.complete()} }

// Unwrap is the inner factory, which the reactor starts and stops, if it uses s as a factory.
func (s *Server) Unwrap() reactor.Factory { return s.inner }

// LogPrefix is the inner factory's, with " (WebSocket)".
func (s *Server) LogPrefix() string { return reactor.LogPrefixOf(s.inner) + suffix }

const suffix = " (WebSocket)"

// AnyLoop is what the inner factory says: s itself does not change.
func (s *Server) AnyLoop() bool {
	a, ok := s.inner.(reactor.AnyLoop)
	return ok && a.AnyLoop()
}

// BuildProtocol makes the end of a connection that begins with a request.
func (s *Server) BuildProtocol(kernel.Addr) reactor.Protocol {
	return (*wire)(&Conn{s: s, asking: &asking{}})
}

// ServeHTTP makes a WebSocket of a request, and returns: its goroutine, its buffers and all of net/http that has to do with the connection are free then. A request that is none is answered with an error.
//
// The server must listen by package netconn: by Listen, ListenAt, ListenIdle or ListenIdleAt, and with TLS by Over. With any other listener it panics, which net/http logs.
// HTTP/2 is refused with status 505: its streams cannot be taken from the server. Browsers then use HTTP/1.1, if they may.
func (s *Server) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	answer, refused := s.handshake(q)
	if refused != nil {
		h := w.Header()
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
		http.Error(w, refused.text, refused.status)
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "websocket: the connection cannot be taken from the server: "+err.Error(), http.StatusInternalServerError)
		return
	}
	r := netconn.LoopOf(c)
	if r == nil {
		_ = c.Close()
		panic("websocket: the connection is none of package netconn: the server must listen by netconn.Listen or ListenIdle, and with TLS by Over")
	}
	_ = c.SetDeadline(time.Time{}) // those of the server
	early := unread(buffered.Reader)
	if !r.Post(func() { s.take(c, early, answer) }) {
		_ = c.Close()
	}
}

// unread is what in has read from its connection and nobody has read from in.
func unread(in *bufio.Reader) []byte {
	p, _ := in.Peek(in.Buffered())
	return append([]byte(nil), p...)
}

// take makes a WebSocket of a connection of a server of net/http, on its loop.
func (s *Server) take(c net.Conn, early []byte, answer string) {
	t, later, err := netconn.Release(c)
	if err != nil {
		_ = c.Close() // it is lost already, or the server has been closed
		return
	}
	switcher, ok := reactor.As[reactor.Switcher](t)
	if !ok {
		panic("websocket: the transport of the listener cannot be given another protocol")
	}
	x := &Conn{s: s}
	if _, err := switcher.SwitchProtocol((*wire)(x)); err != nil {
		_ = t.Close() // the peer has ended its direction, or it is lost
		return
	}
	if e := t.Reactor().Guard((*wire)(x), func() {
		x.connect(t)
		x.begin(answer, append(early, later...))
	}); e != nil {
		x.reason = e
		t.Abort()
	}
}
