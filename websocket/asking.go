package websocket

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"

	"github.com/whorl-go/whorl/reactor"
)

// asking is the request of a connection on a port of the Server's own, as far as it has come.
type asking struct {
	head  []byte
	limit reactor.DelayedCall
}

// maxHead is how long the head of a request may be.
const maxHead = 8 << 10

// begin limits the time for the request.
func (a *asking) begin(c *Conn) {
	a.limit.Init(c.Reactor(), func() { c.refuse(&refusal{http.StatusRequestTimeout, "the request did not come in time"}) })
	a.limit.Reset(c.s.o.HeadTimeout)
}

// received gathers the head of the request, and answers it when it is whole.
func (a *asking) received(c *Conn, p []byte) {
	if c.state == over {
		return
	}
	end := []byte("\r\n\r\n")
	from := max(0, len(a.head)-len(end)+1)
	a.head = append(a.head, p...)
	n := bytes.Index(a.head[from:], end)
	switch {
	case n >= 0 && from+n+len(end) <= maxHead:
		n += from + len(end)
		a.answer(c, a.head[:n], a.head[n:])
	case len(a.head) > maxHead:
		c.refuse(&refusal{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the request has more than %d bytes", maxHead)})
	}
}

// answer accepts or refuses the request.
func (a *asking) answer(c *Conn, head, early []byte) {
	q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		c.refuse(&refusal{http.StatusBadRequest, err.Error()})
		return
	}
	q.RemoteAddr = c.t.Remote().String()
	if s, ok := reactor.As[stater](c.t); ok {
		state := s.ConnectionState()
		q.TLS = &state
	}
	accepted, refused := c.s.handshake(q)
	if refused != nil {
		c.refuse(refused)
		return
	}
	a.limit.Cancel()
	c.asking = nil
	c.begin(accepted, early)
}

// stater is a transport that is TLS.
type stater interface{ ConnectionState() tls.ConnectionState }

// refuse answers the request with an error, and ends the connection.
func (c *Conn) refuse(e *refusal) {
	fmt.Fprintf(c.t, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n%s\n",
		e.status, http.StatusText(e.status), len(e.text)+1, e.text)
	c.end()
}
