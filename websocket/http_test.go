package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
	"github.com/whorl-go/whorl/websocket"
)

// site is a server of net/http with a page and a WebSocket.
type site struct {
	t    testing.TB
	r    *reactor.Reactor
	l    *netconn.IdleListener
	d    netconn.Dialer
	srv  *http.Server
	apps atomic.Int32 // WebSockets that are open
}

// open starts a site on a loop beside the test. Each message is answered with the same.
func open(t testing.TB, w testworld.World, over func(reactor.Factory) reactor.Factory) *site {
	t.Helper()
	return openWith(t, w, reactor.Config{}, over)
}

func openWith(t testing.TB, w testworld.World, c reactor.Config, over func(reactor.Factory) reactor.Factory) *site {
	t.Helper()
	r := w.New(t, c)
	turn := func() { _ = r.Run(context.Background()) }
	if w.Simulated() {
		turn = func() {
			for _ = r.Start(); r.Turn(time.Millisecond) == nil; {
			}
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		turn()
	}()
	o := &netconn.IdleConfig{Linger: 10 * time.Millisecond}
	o.Over = over
	l, err := reactor.Ask(r, func() (*netconn.IdleListener, error) { return netconn.ListenIdle(r, loopback(), o) })
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, r: r, l: l, d: netconn.Dialer{Reactor: r}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, "a page") })
	mux.Handle("/chat", websocket.NewServer(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &counted{s: s} }), nil))
	s.srv = &http.Server{Handler: mux, ConnState: func(c net.Conn, st http.ConnState) { l.SetIdle(c, st == http.StateIdle) }, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.srv.Close()
		<-served
		r.Post(func() { _ = r.Stop() })
		<-ended
	})
	return s
}

// counted is an app of a site.
type counted struct {
	app
	s *site
}

func (a *counted) ConnectionMade(t reactor.Transport) {
	a.app.ConnectionMade(t)
	a.got = echo
	a.s.apps.Add(1)
}
func (a *counted) ConnectionLost(error) { a.s.apps.Add(-1) }

// dial connects to the site.
func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := s.d.Dial("tcp", s.l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testworld.Limit))
	return c
}

// becomes waits until cond holds.
func becomes(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(testworld.Limit); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// idleGoroutines waits until no goroutine of net/http serves a connection.
func idleGoroutines(t testing.TB) {
	t.Helper()
	becomes(t, "a connection of net/http has its goroutine still", func() bool {
		stacks := make([]byte, 4<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "net/http.(*conn).serve")
	})
}

// NETCONN-15, NETCONN-14: beside pages, on one port, a handler of net/http makes WebSockets that have no goroutine. A client by a library talks to them, and what it has sent with its request is not lost.
func TestHTTP(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := open(t, w, nil)
			c := s.dial()
			in := bufio.NewReader(c)
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h.test\r\n\r\n")
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(answer.Body); string(body) != "a page" {
				t.Errorf("the page is %q", body)
			}
			_, _ = c.Write(append([]byte(request()), text("early")...))
			answer, err = http.ReadResponse(in, nil)
			if err != nil || answer.StatusCode != 101 || answer.Header.Get("Sec-Websocket-Accept") != accept {
				t.Fatalf("%v and %v", answer, err)
			}
			idleGoroutines(t)
			for _, want := range []string{"early", "late"} {
				if want == "late" {
					_, _ = c.Write(text(want))
				}
				if f, err := ws.ReadFrame(in); err != nil || string(f.Payload) != want {
					t.Fatalf("%q and %v came", f.Payload, err)
				}
			}
			d := s.dial()
			if _, _, err := (ws.Dialer{}).Upgrade(d, mustParse("ws://h.test/chat")); err != nil {
				t.Fatal(err)
			}
			becomes(t, "not two", func() bool { return s.apps.Load() == 2 })
			idleGoroutines(t)
			if err := wsutil.WriteClientText(d, []byte("by a library")); err != nil {
				t.Fatal(err)
			}
			if p, err := wsutil.ReadServerText(d); err != nil || string(p) != "by a library" {
				t.Errorf("%q and %v came", p, err)
			}
			if err := s.srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown waits for WebSockets: %v", err)
			}
			_ = c.Close()
			becomes(t, "not one", func() bool { return s.apps.Load() == 1 })
			s.r.Post(func() { s.r.Drain(reactor.DrainConfig{Ask: drainServers}) })
			var closed wsutil.ClosedError
			if _, err := wsutil.ReadServerText(d); !errors.As(err, &closed) || closed.Code != ws.StatusGoingAway {
				t.Errorf("the end is %v", err)
			}
			_ = d.Close()
			becomes(t, "it stays", func() bool { return s.apps.Load() == 0 })
		})
	}
}

// NETCONN-15: requests that are refused are answered by net/http, whose connection goes on.
func TestHTTPRefuses(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			c := open(t, w, nil).dial()
			in := bufio.NewReader(c)
			for range 2 {
				fmt.Fprint(c, "GET /chat HTTP/1.1\r\nHost: h.test\r\n\r\n")
				answer, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if body, _ := io.ReadAll(answer.Body); answer.StatusCode != 426 || answer.Header.Get("Upgrade") != "websocket" || !bytes.Contains(body, []byte("WebSocket")) {
					t.Errorf("the answer is %v %q", answer.Status, body)
				}
			}
		})
	}
}

// NETCONN-15: also over TLS, which stands below.
func TestHTTPTLS(t *testing.T) {
	leaf := tlstest.SelfSigned("h.test")
	sc := &tls.Config{Certificates: []tls.Certificate{leaf}, Time: tlstest.Time}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			s := open(t, w, func(f reactor.Factory) reactor.Factory { return tlsio.Server(sc, f, nil) })
			c := tls.Client(s.dial(), &tls.Config{InsecureSkipVerify: true, Time: tlstest.Time})
			if _, _, err := (ws.Dialer{}).Upgrade(c, mustParse("wss://h.test/chat")); err != nil {
				t.Fatal(err)
			}
			idleGoroutines(t)
			_ = wsutil.WriteClientText(c, []byte("hidden"))
			if p, err := wsutil.ReadServerText(c); err != nil || string(p) != "hidden" {
				t.Errorf("%q and %v came", p, err)
			}
		})
	}
}

// NETCONN-15: on a listener of package net the handler panics with what to do, and the connection is closed.
func TestOtherListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	logged := make(chan struct{})
	srv := &http.Server{Handler: websocket.NewServer(reactor.FactoryFunc(nil), nil), ErrorLog: log.New(writer(func(p []byte) {
		said.Write(p)
		close(logged)
	}), "", 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, request())
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes and %v came", n, err)
	}
	<-logged
	if !strings.Contains(said.String(), "netconn.Listen") {
		t.Errorf("the log says %q", said.String())
	}
	_ = c.Close()
	_ = srv.Close()
	<-served
}

type writer func(p []byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
