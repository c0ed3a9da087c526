package websocket_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/websocket"
)

// greeter answers each message.
type greeter struct{ reactor.Base }

func (g *greeter) DataReceived(p []byte) { fmt.Fprintf(g.T, "hello, %s", p) }

// A server of net/http with a WebSocket, whose protocol is called on the loop.
func ExampleNewServer() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	app := reactor.Each[greeter]()
	l, err := netconn.ListenIdle(r, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), nil)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/chat", websocket.NewServer(app, nil)) // app is any factory of protocols
	srv := &http.Server{Handler: mux, ConnState: func(c net.Conn, s http.ConnState) { l.SetIdle(c, s == http.StateIdle) }}
	go srv.Serve(l)

	go func() {
		c, _, _, err := ws.Dial(context.Background(), "ws://"+l.Addr().String()+"/chat")
		if err != nil {
			log.Fatal(err)
		}
		wsutil.WriteClientText(c, []byte("world"))
		answer, err := wsutil.ReadServerText(c)
		fmt.Printf("%s %v\n", answer, err)
		c.Close()
		srv.Shutdown(context.Background())
		r.Stop()
	}()
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: hello, world <nil>
}
