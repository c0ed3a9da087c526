package netconn_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// web is an http.Server on an IdleListener.
type web struct {
	t       testing.TB
	r       *reactor.Reactor
	l       *netconn.IdleListener
	srv     *http.Server
	d       netconn.Dialer
	handed  atomic.Int32 // connections that the server got
	clients []net.Conn
	served  chan struct{}
}

// serveIdle starts a server.
func serveIdle(t testing.TB, w testworld.World, o netconn.IdleConfig, h http.Handler, change func(*http.Server)) *web {
	t.Helper()
	r := running(t, w)
	l, err := reactor.Ask(r, func() (*netconn.IdleListener, error) { return netconn.ListenIdle(r, loopback(), &o) })
	if err != nil {
		t.Fatal(err)
	}
	s := &web{t: t, r: r, l: l, d: netconn.Dialer{Reactor: r}, served: make(chan struct{})}
	s.srv = &http.Server{Handler: h, ConnState: func(c net.Conn, st http.ConnState) {
		if st == http.StateNew {
			s.handed.Add(1)
		}
		l.SetIdle(c, st == http.StateIdle)
	}}
	if change != nil {
		change(s.srv)
	}
	go func() {
		defer close(s.served)
		_ = s.srv.Serve(l)
	}()
	t.Cleanup(func() {
		for _, c := range s.clients {
			_ = c.Close()
		}
		_ = s.srv.Close()
		<-s.served
	})
	return s
}

// client is a connection to the server, which is dialled with the TLS of o.
func (s *web) client() *client {
	s.t.Helper()
	c, err := s.d.Dial("tcp", s.l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.clients = append(s.clients, c)
	_ = c.SetDeadline(time.Now().Add(testworld.Limit))
	return &client{s.t, c, bufio.NewReader(c)}
}

// waiting waits until n connections wait on the loop.
func (s *web) waiting(n int) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		got := s.l.Waiting()
		if got == n {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d connections wait, not %d", got, n)
		}
	}
}

type client struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

// send writes text.
func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads a response, and returns its body.
func (c *client) answer() string {
	c.t.Helper()
	a, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(a.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(body)
}

// get makes a request.
func (c *client) get(path string) string {
	c.t.Helper()
	c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	return c.answer()
}

// ended waits for the end of the connection.
func (c *client) ended() {
	c.t.Helper()
	if n, err := c.in.Read(make([]byte, 1)); err == nil || n != 0 || isTimeout(err) {
		c.t.Fatalf("%d bytes and %v came instead of the end", n, err)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

func hello(w http.ResponseWriter, q *http.Request) { fmt.Fprintf(w, "%s %s", q.Method, q.URL.Path) }

// soon is how long an idle connection keeps its goroutine.
const soon = 10 * time.Millisecond

// NETCONN-10: a connection waits on the loop before its first request and after each, and the next request wakes it.
func TestIdle(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveIdle(t, w, netconn.IdleConfig{Linger: soon}, http.HandlerFunc(hello), nil)
			c := s.client()
			s.waiting(1)
			if n := s.handed.Load(); n != 0 {
				t.Errorf("the server got %d connections before the first request", n)
			}
			for i := range 3 {
				for range 2 { // the second comes while the goroutine is still there
					if got := c.get("/a"); got != "GET /a" {
						t.Fatalf("the answer is %q", got)
					}
				}
				s.waiting(1)
				if n := s.handed.Load(); !w.Simulated() && int(n) > 2*(i+1) {
					t.Errorf("%d connections for %d requests", n, 2*(i+1))
				}
			}
		})
	}
}

// NETCONN-1: net/http serves and asks over Conns, with bodies of all sizes, on many connections at a time.
func TestHTTP(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		_, _ = w.Write(body)
	})
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := listen(t, running(t, w), overTCP, netconn.ListenConfig{})
			srv := &http.Server{Handler: h}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(p.l) }()
			tr := &http.Transport{DialContext: p.d.DialContext, MaxIdleConnsPerHost: 8}
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for _, size := range []int{0, 1, 4096, 70_000, 1 << 20} {
						body := strings.Repeat(string(rune('a'+i)), size)
						a, err := (&http.Client{Transport: tr}).Post("http://"+p.l.Addr().String(), "text/plain", strings.NewReader(body))
						if err != nil {
							t.Error(err)
							return
						}
						got, err := io.ReadAll(a.Body)
						_ = a.Body.Close()
						if err != nil || string(got) != body {
							t.Errorf("%d bytes of %d came back, and %v", len(got), size, err)
						}
					}
				})
			}
			all.Wait()
			tr.CloseIdleConnections()
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if err := <-served; err != http.ErrServerClosed {
				t.Errorf("Serve is %v", err)
			}
		})
	}
}
