package netconn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// lasts fails the test if cond does not hold for a while: several times as long as an idle connection keeps its goroutine.
func lasts(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(6 * soon); time.Now().Before(end); time.Sleep(soon / 4) {
		if !cond() {
			t.Fatal(what)
		}
	}
}

// eachIdle runs a test with a server on every kernel.
func eachIdle(t *testing.T, o netconn.IdleConfig, h http.HandlerFunc, test func(t *testing.T, s *web, c *client)) {
	o.Linger = soon
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveIdle(t, w, o, h, nil)
			test(t, s, s.client())
		})
	}
}

// NETCONN-11: a handler that takes long, reads a slow body, or answers in pieces is not cut off, nor is the context of its request.
func TestBusy(t *testing.T) {
	h := func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/slow":
			select {
			case <-q.Context().Done():
				return
			case <-time.After(6 * soon):
			}
		case "/body":
			body, err := io.ReadAll(q.Body)
			fmt.Fprintf(w, "%s %v", body, err)
			return
		case "/both":
			_ = http.NewResponseController(w).EnableFullDuplex()
			fmt.Fprint(w, "begun ")
			_ = http.NewResponseController(w).Flush()
			body, err := io.ReadAll(q.Body)
			fmt.Fprintf(w, "%s %v", body, err)
			return
		}
		hello(w, q)
	}
	eachIdle(t, netconn.IdleConfig{}, h, func(t *testing.T, s *web, c *client) {
		if got := c.get("/slow"); got != "GET /slow" {
			t.Errorf("the answer is %q", got)
		}
		for _, head := range []string{
			"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
			"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
			"POST /both HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
		} {
			c.send(head)
			if strings.Contains(head, "Expect") {
				if line, err := c.in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
					t.Fatalf("%q and %v", line, err)
				}
				_, _ = c.in.ReadString('\n')
			}
			for _, piece := range []string{"abc", "def", "ghij"} {
				time.Sleep(3 * soon)
				c.send(piece)
			}
			if got := strings.TrimPrefix(c.answer(), "begun "); got != "abcdefghij <nil>" {
				t.Errorf("%q: the answer is %q", head, got)
			}
		}
		if n := s.handed.Load(); n > 8 {
			t.Errorf("%d connections", n)
		}
	})
}

// NETCONN-11: nothing is lost of a request whose first bytes came with the request before, however long the rest takes.
func TestPipelined(t *testing.T) {
	const first, second = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
	eachIdle(t, netconn.IdleConfig{}, hello, func(t *testing.T, s *web, c *client) {
		for _, cut := range []int{0, 1, 2, 3, 4, 10, strings.Index(second, "\n") + 1, len(second) - 2, len(second)} {
			c.send(first + second[:cut])
			if got := c.answer(); got != "GET /1" {
				t.Fatalf("cut at %d: the first answer is %q", cut, got)
			}
			time.Sleep(4 * soon)
			c.send(second[cut:] + first)
			if got := c.answer(); got != "GET /2" {
				t.Fatalf("cut at %d: the second answer is %q", cut, got)
			}
			if got := c.answer(); got != "GET /1" {
				t.Fatalf("cut at %d: the third answer is %q", cut, got)
			}
		}
		s.waiting(1)
	})
}

// NETCONN-11: a Close that the server means closes: after Connection: close, after a bad request, and after a hijack.
func TestReallyCloses(t *testing.T) {
	h := func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/close":
			w.Header().Set("Connection", "close")
		case "/hijack":
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			line, _ := rw.ReadString('\n')
			_, _ = io.WriteString(c, "raw "+line)
			_ = c.Close()
			return
		}
		hello(w, q)
	}
	eachIdle(t, netconn.IdleConfig{}, h, func(t *testing.T, s *web, c *client) {
		if got := c.get("/close"); got != "GET /close" {
			t.Errorf("the answer is %q", got)
		}
		c.ended()
		c = s.client()
		c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got := c.answer(); got != "GET /" {
			t.Errorf("the answer is %q", got)
		}
		c.ended()
		c = s.client()
		c.send("nonsense\r\n\r\n")
		if got := c.answer(); !strings.Contains(got, "400") {
			t.Errorf("the answer is %q", got)
		}
		c.ended()
		c = s.client()
		c.send("GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(4 * soon) // it is not idle
		c.send("line\n")
		if line, err := c.in.ReadString('\n'); line != "raw line\n" || err != nil {
			t.Errorf("%q and %v came", line, err)
		}
		c.ended()
		s.waiting(0)
	})
}

// NETCONN-12: Shutdown of the server closes the connections that wait on the loop, and lets the requests that are served end.
func TestShutdown(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release, begun := make(chan struct{}), make(chan struct{})
			h := func(w http.ResponseWriter, q *http.Request) {
				if q.URL.Path == "/slow" {
					close(begun)
					<-release
				}
				hello(w, q)
			}
			s := serveIdle(t, w, netconn.IdleConfig{Linger: soon}, http.HandlerFunc(h), nil)
			fresh, waits, busy := s.client(), s.client(), s.client()
			waits.get("/")
			s.waiting(3)
			busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
			<-begun
			done := make(chan error, 1)
			go func() { done <- s.srv.Shutdown(context.Background()) }()
			fresh.ended()
			waits.ended()
			close(release)
			if got := busy.answer(); got != "GET /slow" {
				t.Errorf("the answer is %q", got)
			}
			busy.ended()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if _, err := s.d.Dial("tcp", s.l.Addr().String()); err == nil {
				t.Error("it listens still")
			}
		})
	}
}

// asks makes a request, which fails if the connection has ended.
func (c *client) asks() error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	a, err := http.ReadResponse(c.in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, a.Body)
	}
	return err
}

// NETCONN-12: a connection that waits for longer than IdleTimeout is closed, also one that never asked anything; one that asks again is not.
func TestIdleTimeout(t *testing.T) {
	const timeout = 20 * soon
	eachIdle(t, netconn.IdleConfig{IdleTimeout: timeout}, hello, func(t *testing.T, s *web, c *client) {
		now := func() time.Duration {
			at, _ := reactor.Ask(s.r, func() (time.Duration, error) { return s.r.Now(), nil })
			return at
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.ended()
		}()
		asking, asked := s.client(), now()
		again := func() {
			at := now()
			if err := asking.asks(); err != nil {
				if waited := now() - asked; waited < timeout {
					t.Fatalf("NETCONN-12: a connection that asked %v ago has ended: %v", waited, err)
				}
				asking = s.client() // a busy machine let all that time pass
			}
			asked = at
		}
		for end := now() + 2*timeout; now() < end; { // it asks long after its first IdleTimeout, too
			again()
			later := make(chan struct{})
			s.r.Post(func() { s.r.CallLater(4*soon, func() { close(later) }) })
			<-later
		}
		<-ended
		again()
		asking.ended()
		s.waiting(0)
	})
}

// NETCONN-12: the end of the peer ends a connection that waits, in order or by a reset.
func TestPeerLeaves(t *testing.T) {
	eachIdle(t, netconn.IdleConfig{}, hello, func(t *testing.T, s *web, c *client) {
		other := s.client()
		half := s.client()
		for _, c := range []*client{c, other, half} {
			c.get("/")
		}
		s.waiting(3)
		_ = c.Close()
		s.waiting(2)
		_ = other.Conn.(interface{ Abort() error }).Abort()
		s.waiting(1)
		_ = half.Conn.(closeWriter).CloseWrite()
		half.ended()
		s.waiting(0)
	})
}

// NETCONN-11: requests that come at the moment when the connection goes back to the loop are answered.
func TestAtThatMoment(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const linger = time.Millisecond
			s := serveIdle(t, w, netconn.IdleConfig{Linger: linger}, http.HandlerFunc(hello), nil)
			var all sync.WaitGroup
			for i := range 8 {
				c := s.client()
				all.Go(func() {
					for j := range 60 {
						if got := c.get("/x"); got != "GET /x" {
							t.Errorf("the answer is %q", got)
						}
						time.Sleep(linger + time.Duration(i*60+j)*2*time.Microsecond)
					}
				})
			}
			all.Wait()
			if n := s.handed.Load(); n < 50 && !w.Simulated() {
				t.Errorf("the connections were handed out %d times only", n)
			}
		})
	}
}

// NETCONN-10: over TLS, below the server, too. The request has its state.
func TestIdleTLS(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := netconn.IdleConfig{Linger: soon}
			var client func(reactor.Factory) reactor.Factory
			o.Over, client = layers(t)
			h := func(w http.ResponseWriter, q *http.Request) {
				version := uint16(0)
				if q.TLS != nil {
					version = q.TLS.Version
				}
				fmt.Fprint(w, tls.VersionName(version))
			}
			s := serveIdle(t, w, o, http.HandlerFunc(h), nil)
			s.d.Over = client
			c := s.client()
			for range 3 {
				if got := c.get("/"); got != "TLS 1.3" {
					t.Errorf("the answer is %q", got)
				}
				s.waiting(1)
			}
		})
	}
}

// NETCONN-10: without SetIdle, and with HTTP/2, connections stay with the server.
func TestNeverIdle(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveIdle(t, w, netconn.IdleConfig{Linger: soon}, http.HandlerFunc(hello), func(srv *http.Server) {
				srv.ConnState = nil
			})
			c := s.client()
			c.get("/")
			lasts(t, "it waits", func() bool {
				return s.l.Waiting() == 0
			})
			s = serveIdle(t, w, netconn.IdleConfig{Linger: soon}, http.HandlerFunc(hello), func(srv *http.Server) {
				srv.Protocols = new(http.Protocols)
				srv.Protocols.SetHTTP1(true)
				srv.Protocols.SetUnencryptedHTTP2(true)
			})
			tr := &http.Transport{DialContext: s.d.DialContext, Protocols: new(http.Protocols)}
			tr.Protocols.SetUnencryptedHTTP2(true)
			defer tr.CloseIdleConnections()
			for range 3 {
				a, err := (&http.Client{Transport: tr}).Get("http://" + s.l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, a.Body)
				_ = a.Body.Close()
				if a.ProtoMajor != 2 {
					t.Fatalf("the protocol is %v", a.Proto)
				}
				time.Sleep(4 * soon)
			}
			if n := s.handed.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// NETCONN-12: when the reactor stops, the server's Serve fails, and connections end.
func TestIdleLoopStops(t *testing.T) {
	eachIdle(t, netconn.IdleConfig{}, hello, func(t *testing.T, s *web, c *client) {
		c.get("/")
		s.waiting(1)
		serve := make(chan error, 1)
		go func() {
			_, err := s.l.Accept()
			serve <- err
		}()
		s.r.Post(func() { _ = s.r.Stop() })
		if err := <-serve; !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("Accept is %v", err)
		}
		<-s.served
		c.ended()
	})
}

// NETCONN-11: a server of another kind than net/http that goes on after the end, or closes without having seen it, ends the connection.
func TestOtherServers(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for _, how := range []string{"parks", "writes", "half", "early", "abort"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				r := running(t, w)
				l, err := reactor.Ask(r, func() (*netconn.IdleListener, error) {
					return netconn.ListenIdle(r, loopback(), &netconn.IdleConfig{Linger: soon})
				})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				d := netconn.Dialer{Reactor: r}
				far, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer far.Close()
				_ = far.SetDeadline(time.Now().Add(testworld.Limit))
				_, _ = far.Write([]byte("ask"))
				near, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 100)
				if n, err := near.Read(buf); n != 3 || err != nil {
					t.Fatalf("%d bytes and %v", n, err)
				}
				l.SetIdle(near, true)
				if how != "early" {
					if n, err := near.Read(buf); n != 0 || err != io.EOF {
						t.Fatalf("%d bytes and %v came instead of the end", n, err)
					}
				}
				switch how {
				case "writes":
					_, _ = near.Write([]byte("x"))
				case "half":
					_ = near.(closeWriter).CloseWrite()
				case "abort":
					_ = near.(interface{ Abort() error }).Abort()
					if _, err := io.ReadAll(far); !errors.Is(err, reactor.ErrLost) {
						t.Errorf("the connection ends with %v", err)
					}
					return
				}
				if err := near.Close(); err != nil {
					t.Fatal(err)
				}
				if err := near.Close(); err == nil {
					t.Error("it could be closed twice")
				}
				if how == "parks" {
					until(t, func() bool { return l.Waiting() == 1 })
					return
				}
				if got, err := io.ReadAll(far); err != nil || how != "writes" && len(got) > 0 {
					t.Errorf("%q and %v came", got, err)
				}
				if n := l.Waiting(); n != 0 {
					t.Errorf("%d connections wait", n)
				}
			})
		}
	}
}
