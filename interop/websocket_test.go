package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/testworld"
)

// webSocket is the end of a WebSocket at a client.
type webSocket interface {
	// echo sends a message and returns the one that comes back.
	echo(text bool, p []byte) (gotText bool, got []byte, err error)
	// end closes it in order. It fails if the server does not.
	end() error
}

// coderSocket is one of github.com/coder/websocket.
type coderSocket struct {
	ctx context.Context
	c   *websocket.Conn
}

func dialCoder(ctx context.Context, d *netconn.Dialer, url string) (webSocket, error) {
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	return &coderSocket{ctx, c}, nil
}

func (x *coderSocket) echo(text bool, p []byte) (bool, []byte, error) {
	kind := websocket.MessageBinary
	if text {
		kind = websocket.MessageText
	}
	if err := x.c.Write(x.ctx, kind, p); err != nil {
		return false, nil, err
	}
	kind, got, err := x.c.Read(x.ctx)
	return kind == websocket.MessageText, got, err
}

func (x *coderSocket) end() error { return x.c.Close(websocket.StatusNormalClosure, "") }

// gobwasSocket is one of github.com/gobwas/ws.
type gobwasSocket struct{ c net.Conn }

func dialGobwas(ctx context.Context, d *netconn.Dialer, url string) (webSocket, error) {
	c, _, _, err := ws.Dialer{NetDial: d.DialContext}.Dial(ctx, url)
	return &gobwasSocket{c}, err
}

func (x *gobwasSocket) echo(text bool, p []byte) (bool, []byte, error) {
	op := ws.OpBinary
	if text {
		op = ws.OpText
	}
	if err := wsutil.WriteClientMessage(x.c, op, p); err != nil {
		return false, nil, err
	}
	got, op, err := wsutil.ReadServerData(x.c)
	return op == ws.OpText, got, err
}

func (x *gobwasSocket) end() error {
	defer x.c.Close()
	if err := wsutil.WriteClientMessage(x.c, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")); err != nil {
		return err
	}
	p, _, err := wsutil.ReadServerData(x.c)
	if err == (wsutil.ClosedError{Code: ws.StatusNormalClosure}) {
		return nil
	}
	return fmt.Errorf("%q and %w came instead of the end", p, err)
}

// echoCoder serves WebSockets with github.com/coder/websocket.
func echoCoder(w http.ResponseWriter, q *http.Request) {
	c, err := websocket.Accept(w, q, nil)
	if err != nil {
		return
	}
	c.SetReadLimit(-1)
	for {
		kind, p, err := c.Read(q.Context())
		if err != nil {
			return
		}
		_ = c.Write(q.Context(), kind, p)
	}
}

// echoGobwas serves WebSockets with github.com/gobwas/ws.
func echoGobwas(w http.ResponseWriter, q *http.Request) {
	c, _, _, err := ws.UpgradeHTTP(q, w)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		p, op, err := wsutil.ReadClientData(c)
		if err != nil {
			return
		}
		_ = wsutil.WriteServerMessage(c, op, p)
	}
}

// NETCONN-21: WebSockets of two libraries, on both sides, on an IdleListener with TLS and without: messages of both kinds and all sizes, and the end in order.
func TestWebSocket(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/coder", echoCoder)
	mux.HandleFunc("/gobwas", echoGobwas)
	server, client := configs(t)
	for name, secret := range map[string]bool{"clear": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			each(t, testworld.Worlds(), func(t *testing.T, s *site) {
				var o netconn.IdleConfig
				if secret {
					o.Over, s.d.Over = overServer(server), overClient(client)
				}
				base := "ws://" + serveIdle(s, &http.Server{Handler: mux}, o).Addr().String()
				for _, dial := range []func(context.Context, *netconn.Dialer, string) (webSocket, error){dialCoder, dialGobwas} {
					for _, path := range []string{"/coder", "/gobwas"} {
						x, err := dial(limited(t), &s.d, base+path)
						if err != nil {
							t.Fatal(err)
						}
						talk(t, x)
					}
				}
			})
		})
	}
}

// talk sends messages, and ends.
func talk(t *testing.T, x webSocket) {
	t.Helper()
	letters := bytes.Repeat([]byte("a"), 300_000)
	for _, size := range []int{0, 1, 125, 126, 70_000, len(letters)} {
		for _, text := range []bool{true, false} {
			gotText, got, err := x.echo(text, letters[:size])
			if err != nil || gotText != text || !bytes.Equal(got, letters[:size]) {
				t.Fatalf("%d bytes of %d came back, and %v", len(got), size, err)
			}
		}
	}
	if err := x.end(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}
