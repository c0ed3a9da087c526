package websocket_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/websocket"
)

func loopback() kernel.Addr { return kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0) }

// app is a protocol above a WebSocket that keeps what it hears.
type app struct {
	c        *websocket.Conn
	messages []string
	got      func(a *app, p []byte) // unless nil
	err      error
}

func (a *app) ConnectionMade(t reactor.Transport) { a.c = t.(*websocket.Conn) }
func (a *app) DataReceived(p []byte) {
	a.messages = append(a.messages, string(p))
	if a.got != nil {
		a.got(a, p)
	}
}
func (a *app) ConnectionLost(err error) { a.err = err }

// peer is a client, by bytes.
type peer struct {
	reactor.Base
	in   []byte
	lost error
}

func (p *peer) DataReceived(b []byte)    { p.in = append(p.in, b...) }
func (p *peer) ConnectionLost(err error) { p.lost = err }

// rig is a Server on a port of its own, and what its factory has made.
type rig struct {
	t    testing.TB
	r    *reactor.Reactor
	addr kernel.Addr
	apps []*app
	got  func(*app, []byte) // of each
}

// serve opens a port on r. Each app gets got.
func serve(t testing.TB, r *reactor.Reactor, o *websocket.Options, got func(*app, []byte)) *rig {
	t.Helper()
	g := &rig{t: t, r: r, got: got}
	return g.listen(reactor.FactoryFunc(g.app), o)
}

// app makes an app.
func (g *rig) app(kernel.Addr) reactor.Protocol {
	a := &app{got: g.got}
	g.apps = append(g.apps, a)
	return a
}

func (g *rig) listen(inner reactor.Factory, o *websocket.Options) *rig {
	g.t.Helper()
	port, err := g.r.Listen(loopback(), websocket.NewServer(inner, o), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	g.addr = port.Addr()
	return g
}

// until turns the loop until cond holds.
func (g *rig) until(what string, cond func() bool) {
	g.t.Helper()
	held := false
	defer func() {
		if !held {
			g.t.Log(what)
		}
	}()
	testworld.Until(g.t, func() bool { held = cond(); return held }, g.r)
}

// dial connects, and sends text.
func (g *rig) dial(text string) *peer {
	g.t.Helper()
	p := new(peer)
	g.r.Dial(g.addr, reactor.One(p), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			g.t.Error(err)
		}
	})
	g.until("it does not connect", func() bool { return p.T != nil })
	_, _ = p.T.Write([]byte(text))
	return p
}

// key and accept are the example of RFC 6455.
const (
	key    = "dGhlIHNhbXBsZSBub25jZQ=="
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// request is a good one, with more headers.
func request(headers ...string) string {
	return "GET /chat HTTP/1.1\r\nHost: h.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n" +
		strings.Join(append(headers, "\r\n"), "\r\n")
}

// head waits for an answer of HTTP, and returns its head.
func (g *rig) head(p *peer) string {
	g.t.Helper()
	g.until("no answer", func() bool { return bytes.Contains(p.in, []byte("\r\n\r\n")) })
	head, rest, _ := strings.Cut(string(p.in), "\r\n\r\n")
	p.in = []byte(rest)
	return head
}

// connect opens a WebSocket, and returns both ends.
func (g *rig) connect() (*peer, *app) {
	g.t.Helper()
	p := g.dial(request())
	if head := g.head(p); !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, accept) {
		g.t.Fatalf("the answer is %q", head)
	}
	return p, g.apps[len(g.apps)-1]
}

// masked is a frame of a client.
func masked(op ws.OpCode, fin bool, text string) []byte {
	return frame(ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(text)), [4]byte{1, 2, 3, 4}))
}

func frame(f ws.Frame) []byte {
	var b bytes.Buffer
	ws.MustWriteFrame(&b, f)
	return b.Bytes()
}

func text(s string) []byte { return masked(ws.OpText, true, s) }

func closing(code ws.StatusCode, reason string) []byte {
	return masked(ws.OpClose, true, string(ws.NewCloseFrameBody(code, reason)))
}

// next waits for a frame of the server.
func (g *rig) next(p *peer) ws.Frame {
	g.t.Helper()
	var f ws.Frame
	g.until("no frame", func() bool {
		in := bytes.NewReader(p.in)
		var err error
		if f, err = ws.ReadFrame(in); err != nil {
			return p.lost != nil
		}
		p.in = p.in[len(p.in)-in.Len():]
		return true
	})
	if f.Header.Masked {
		g.t.Error("a frame of the server is masked")
	}
	return f
}

// wantFrame checks the next frame.
func (g *rig) wantFrame(p *peer, op ws.OpCode, payload string) {
	g.t.Helper()
	if f := g.next(p); f.Header.OpCode != op || string(f.Payload) != payload || !f.Header.Fin {
		g.t.Fatalf("the frame is %v %.50q, not %v %.50q", f.Header.OpCode, f.Payload, op, payload)
	}
}

// wantClose checks that the next frame closes, and that the connection then ends.
func (g *rig) wantClose(p *peer, code ws.StatusCode) {
	g.t.Helper()
	f := g.next(p)
	if got, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || got != code {
		g.t.Fatalf("the frame is %v %q, not a close with %d", f.Header.OpCode, f.Payload, code)
	}
}

// all are the names of what is in every world: in every cut, if chunked.
func all(t *testing.T, chunked bool, test func(t *testing.T, r *reactor.Reactor)) {
	t.Helper()
	worlds := testworld.Worlds()
	if chunked {
		worlds = testworld.Chunked()
	}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) { test(t, w.Alone().New(t, reactor.Config{})) })
	}
}

func wants(t testing.TB, got []string, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("the messages are %.200q, not %.200q", got, want)
	}
}

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
