package websocket_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
	"github.com/whorl-go/whorl/websocket"
)

// maxHead is how long a request may be.
const maxHead = 8 << 10

// NETCONN-15: a request that is none of a WebSocket, or that Check refuses, is answered with an error, and the connection ends.
func TestRefused(t *testing.T) {
	without := func(name string) string {
		var lines []string
		for line := range strings.SplitSeq(request(), "\r\n") {
			if !strings.HasPrefix(line, name) {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\r\n")
	}
	var o *websocket.Options
	for name, c := range map[string]struct {
		o      *websocket.Options
		sends  string
		status string
	}{
		"a page":             {o, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "426"},
		"no Connection":      {o, without("Connection"), "426"},
		"no Upgrade":         {o, without("Upgrade"), "426"},
		"no version":         {o, without("Sec-WebSocket-Version"), "426"},
		"no key":             {o, without("Sec-WebSocket-Key"), "400"},
		"a short key":        {o, strings.Replace(request(), key, "AAAA", 1), "400"},
		"POST":               {o, strings.Replace(request(), "GET", "POST", 1), "405"},
		"HTTP/1.0":           {o, strings.Replace(request(), "HTTP/1.1", "HTTP/1.0", 1), "505"},
		"a body":             {o, request("Content-Length: 3\r\n") + "abc", "400"},
		"nonsense":           {o, "nonsense\r\n\r\n", "400"},
		"another site":       {o, request("Origin: http://evil.test\r\n"), "403"},
		"no site":            {o, request("Origin: null\r\n"), "403"},
		"too long":           {o, request("X: " + strings.Repeat("x", maxHead)), "431"},
		"too long at a time": {o, request("X: " + strings.Repeat("x", maxHead) + "\r\n"), "431"},
		"too late":           {&websocket.Options{HeadTimeout: 10 * time.Millisecond}, request()[:30], "408"},
		"Check": {&websocket.Options{Check: func(q *http.Request) error {
			if q.URL.Path != "/chat" || q.Host != "h.test" || q.RemoteAddr == "" {
				return errors.New("the request is another one")
			}
			return errors.New("not today")
		}}, request(), "403"},
	} {
		t.Run(name, func(t *testing.T) {
			all(t, len(c.sends) < maxHead, func(t *testing.T, r *reactor.Reactor) {
				g := serve(t, r, c.o, nil)
				p := g.dial(c.sends)
				if head := g.head(p); !strings.HasPrefix(head, "HTTP/1.1 "+c.status+" ") {
					t.Errorf("the answer is %q", head)
				}
				g.until("it does not end", func() bool { return p.lost != nil })
				if name == "Check" && string(p.in) != "not today\n" {
					t.Errorf("the text is %q", p.in)
				}
				if p.lost != io.EOF || len(g.apps) != 0 {
					t.Errorf("the reason is %v, %d protocols were made", p.lost, len(g.apps))
				}
			})
		})
	}
}

// NETCONN-15: pages of the same site are let in, and the best subprotocol that the client offers is chosen.
func TestAccepted(t *testing.T) {
	all(t, true, func(t *testing.T, r *reactor.Reactor) {
		g := serve(t, r, &websocket.Options{Subprotocols: []string{"v3", "v2", "v1"}}, nil)
		for _, c := range [][2]string{
			{"Origin: https://H.test\r\n", ""},
			{"Sec-WebSocket-Protocol: v1, v2\r\n", "Sec-WebSocket-Protocol: v2"},
			{"Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v3\r\n", "Sec-WebSocket-Protocol: v3"},
			{"Sec-WebSocket-Protocol: v4\r\n", ""},
			{"Sec-WebSocket-Protocol: V3\r\n", ""}, // a browser would not find its own name in the answer
		} {
			p := g.dial(request(c[0]))
			head := g.head(p)
			if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.HasSuffix(head, c[1]) || c[1] == "" && strings.Contains(head, "Protocol:") {
				t.Errorf("%q: the answer is %q", c[0], head)
			}
			p.T.Abort()
		}
	})
}

// NETCONN-15: a factory that makes no protocol has the WebSocket closed with code 1013. The factory is started and stopped with the port.
func TestNoProtocol(t *testing.T) {
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		f := new(refusing)
		g := (&rig{t: t, r: r}).listen(f, nil)
		p := g.dial(request())
		g.head(p)
		g.wantClose(p, 1013)
		if !f.started || reactor.LogPrefixOf(websocket.NewServer(f, nil)) != "refusing (WebSocket)" {
			t.Error("the factory was not started, or has another name")
		}
	})
}

type refusing struct{ started bool }

func (f *refusing) BuildProtocol(kernel.Addr) reactor.Protocol { return nil }
func (f *refusing) StartFactory() error                        { f.started = true; return nil }
func (f *refusing) StopFactory() error                         { return nil }

// A Server may be used on several loops if its factory says so of itself.
func TestAnyLoop(t *testing.T) {
	for want, inner := range map[bool]reactor.Factory{true: reactor.Each[app](), false: new(refusing)} {
		if s := websocket.NewServer(inner, nil); s.AnyLoop() != want {
			t.Errorf("with %T it is %v", inner, !want)
		}
	}
	if websocket.NewServer(oneLoop{new(refusing)}, nil).AnyLoop() {
		t.Error("its factory says no")
	}
}

type oneLoop struct{ *refusing }

func (oneLoop) AnyLoop() bool { return false }

// NETCONN-15: over TLS, Check sees the client's certificate on a port of the Server's own, as it does in a handler of net/http. In clear there is no TLS.
func TestCheckTLS(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	sc := tlstest.Server(t, certs.ServerOptions{ClientCAs: certs.Roots{Pool: ca.Pool()}}, ca.Leaf("h.test"))
	cc := tlstest.Client(t, "h.test", ca, certs.ClientOptions{})
	cc.Certificates = []tls.Certificate{ca.Client("alice")}
	all(t, false, func(t *testing.T, r *reactor.Reactor) {
		var seen []string
		o := &websocket.Options{Check: func(q *http.Request) error {
			who := "in clear"
			if q.TLS != nil {
				who = q.TLS.PeerCertificates[0].Subject.CommonName
			}
			seen = append(seen, who)
			return nil
		}}
		g := serve(t, r, o, nil)
		g.connect()
		port, err := r.Listen(loopback(), tlsio.Server(sc, websocket.NewServer(reactor.FactoryFunc(g.app), o), nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		v := new(visitor)
		r.Dial(port.Addr(), tlsio.Client(cc, reactor.One(v), nil), nil, nil)
		g.head(&v.peer)
		wants(t, seen, "in clear", "alice")
	})
}
