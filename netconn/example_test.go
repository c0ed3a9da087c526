package netconn_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
)

// A server and a client of net/http on one loop.
func Example() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	l, err := netconn.Listen(r, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), nil)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprintf(w, "hello, %s", q.URL.Path)
	})}
	go srv.Serve(l)

	go func() {
		d := &netconn.Dialer{Reactor: r}
		client := &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
		a, err := client.Get("http://" + l.Addr().String() + "/world")
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(a.Body)
		a.Body.Close()
		fmt.Printf("%s\n", body)
		client.CloseIdleConnections()
		srv.Shutdown(context.Background())
		r.Stop()
	}()
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: hello, /world
}

// A server of net/http whose idle connections wait on the loop, without a goroutine.
func ExampleListenIdle() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	l, err := netconn.ListenIdle(r, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), nil)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, "hello") }),
		// The listener must know when a connection is between two requests.
		ConnState: func(c net.Conn, s http.ConnState) { l.SetIdle(c, s == http.StateIdle) },
	}
	go srv.Serve(l)

	go func() {
		a, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(a.Body)
		a.Body.Close()
		fmt.Printf("%s\n", body)
		http.DefaultClient.CloseIdleConnections()
		srv.Shutdown(context.Background())
		r.Stop()
	}()
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: hello
}
