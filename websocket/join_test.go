package websocket_test

import (
	"fmt"
	"testing"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/websocket"
)

// bridge is a WebSocket that is joined with a connection of TCP.
type bridge struct {
	*rig
	web  *peer                // the browser
	tcp  *peer                // the other end of the connection
	done []reactor.JoinResult // of Join
}

// halfPeer is a peer that goes on writing when nothing more comes.
type halfPeer struct{ *peer }

func (p halfPeer) ReadConnectionLost()  {}
func (p halfPeer) WriteConnectionLost() {}

// joined joins a new WebSocket of g, whose end is inner, with a new connection.
func (g *rig) joined(inner func() reactor.Protocol) *bridge {
	g.t.Helper()
	b := &bridge{rig: g}
	var upper, lower reactor.Transport
	g.listen(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		return &made{inner(), func(t reactor.Transport) { upper = t }}
	}), nil)
	b.web = g.dial(request())
	g.head(b.web)
	port, err := g.r.Listen(loopback(), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		return &made{new(peer), func(t reactor.Transport) { lower = t }}
	}), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	b.tcp = new(peer)
	g.r.Dial(port.Addr(), reactor.One(halfPeer{b.tcp}), nil, nil)
	g.until("it does not connect", func() bool { return lower != nil && b.tcp.T != nil })
	if _, err := reactor.Join(upper, lower, &reactor.JoinConfig{Done: func(x reactor.JoinResult) { b.done = append(b.done, x) }}); err != nil {
		g.t.Fatal(err)
	}
	return b
}

// made is a wrapper that tells of the transport.
type made struct {
	reactor.Protocol
	tell func(reactor.Transport)
}

func (m *made) Unwrap() reactor.Protocol { return m.Protocol }
func (m *made) ConnectionMade(t reactor.Transport) {
	m.Protocol.ConnectionMade(t)
	m.tell(t)
}

// PROD-17: the end of a direction that is joined with a WebSocket, which has no such end, closes the WebSocket, behind what came before.
func TestPROD17JoinEnd(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		b := (&rig{t: t, r: r}).joined(func() reactor.Protocol { return new(app) })
		_, _ = b.tcp.T.Write([]byte("last"))
		_ = b.tcp.T.CloseWrite()
		got := ""
		f := b.next(b.web)
		for ; f.Header.OpCode == ws.OpText; f = b.next(b.web) {
			got += string(f.Payload)
		}
		if code, _ := ws.ParseCloseFrameData(f.Payload); got != "last" || f.Header.OpCode != ws.OpClose || code != ws.StatusNormalClosure {
			t.Errorf("got %q, then %v %q", got, f.Header.OpCode, f.Payload)
		}
		_, _ = b.web.T.Write(closing(ws.StatusNormalClosure, ""))
		b.until("Done is not called", func() bool { return len(b.done) == 1 })
	})
}

// PROD-18: a peer of a WebSocket that ends in order ends the connection that is joined with it in order too, behind what it has sent.
func TestPROD18JoinClosed(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		b := (&rig{t: t, r: r}).joined(func() reactor.Protocol { return new(app) })
		_, _ = b.web.T.Write(append(text("last"), closing(ws.StatusGoingAway, "")...))
		b.until("Done is not called", func() bool { return len(b.done) == 1 && (len(b.tcp.in) == 4 || b.tcp.lost != nil) })
		if x := b.done[0]; !x.EndedA || x.Err != reactor.ErrClosed {
			t.Errorf("the result is %+v", x)
		}
		_ = b.tcp.T.Close()
		b.until("it is not lost", func() bool { return b.tcp.lost != nil })
		if string(b.tcp.in) != "last" || b.tcp.lost != reactor.ErrClosed {
			t.Errorf("got %q, lost for %v", b.tcp.in, b.tcp.lost)
		}
	})
}

// receiver is an app that is a Receiver.
type receiver struct{ app }

func (r *receiver) ConnectionMade(reactor.Transport) {}
func (r *receiver) MessageReceived(m websocket.Message) {
	r.messages = append(r.messages, fmt.Sprintf("%s %v", m.Data, m.Binary))
}

// PROD-16: the former protocol of a WebSocket that is joined gets no message, also if it is a Receiver.
func TestPROD16JoinReceiver(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		former := new(receiver)
		b := (&rig{t: t, r: r}).joined(func() reactor.Protocol { return former })
		_, _ = b.web.T.Write(text("for the other"))
		b.until("nothing is passed on", func() bool { return len(b.tcp.in) > 0 || len(former.messages) > 0 })
		if string(b.tcp.in) != "for the other" || len(former.messages) > 0 {
			t.Errorf("passed on %q, the former protocol got %q", b.tcp.in, former.messages)
		}
	})
}
