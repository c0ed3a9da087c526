package whorl_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// Upper sends back what arrives in upper case. When the server is told to end, it says so
// and closes.
type Upper struct{ reactor.Base }

func (u *Upper) DataReceived(p []byte) { u.T.Write(bytes.ToUpper(p)) }

func (u *Upper) Drain() {
	io.WriteString(u.T, "closing down\r\n")
	u.T.Close()
}

func ExampleConfig_Serve() {
	c := whorl.Config{
		Logger: slog.Default(),
		Grace:  30 * time.Second,
		Stream: reactor.StreamConfig{MaxBuffered: 1 << 20},
	}
	err := c.Serve(context.Background(), reactor.Each[Upper](), "tcp:8007", "tls:8443:server.pem")
	if err != nil {
		log.Fatal(err)
	}
}

// A server at a port that the system chooses, and a client that ends it.
func ExampleConnect() {
	ctx, stop := context.WithCancel(context.Background())
	addr, result := make(chan string, 1), make(chan error, 1)
	c := whorl.Config{Started: func(_ *reactor.Reactor, open []endpoint.Listener) {
		addr <- open[0].Addr().String()
	}}
	go func() { result <- c.Serve(ctx, reactor.Each[Upper](), "tcp:0:interface=127.0.0.1") }()
	err := whorl.Connect(context.Background(), reactor.Each[Caller](), "tcp:"+<-addr)
	fmt.Println("the client ended:", err)
	stop()
	fmt.Println("the server ended:", <-result)
	// Output:
	// HELLO
	// the client ended: <nil>
	// the server ended: <nil>
}

// Caller says hello, prints the answer and closes.
type Caller struct{ reactor.Base }

func (c *Caller) ConnectionMade(t reactor.Transport) {
	c.Base.ConnectionMade(t)
	io.WriteString(t, "hello")
}

func (c *Caller) DataReceived(p []byte) {
	fmt.Printf("%s\n", p)
	c.T.Close()
}
