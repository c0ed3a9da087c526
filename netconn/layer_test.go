package netconn_test

import (
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// late is a layer that lets the test say when the protocol above gets its transport.
type late struct {
	reactor.Protocol
	made chan func()
}

func (l *late) Unwrap() reactor.Protocol { return l.Protocol }
func (l *late) ConnectionMade(t reactor.Transport) {
	l.made <- func() { l.Protocol.ConnectionMade(t) }
}

// NETCONN-12: a connection that is made when its IdleListener is closed already ends at once.
func TestMadeAfterClose(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			made := make(chan func(), 1)
			o := netconn.IdleConfig{Linger: soon, IdleTimeout: -1}
			o.Over = func(f reactor.Factory) reactor.Factory {
				return reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol { return &late{f.BuildProtocol(a), made} })
			}
			l, err := reactor.Ask(r, func() (*netconn.IdleListener, error) { return netconn.ListenIdle(r, loopback(), &o) })
			if err != nil {
				t.Fatal(err)
			}
			c, err := netconn.Dial(t.Context(), r, "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			make := <-made
			_ = l.Close()
			r.Post(make)
			_ = c.SetReadDeadline(time.Now().Add(testworld.Limit))
			if n, err := c.Read([]byte{0}); n != 0 || err != io.EOF {
				t.Errorf("%d bytes and %v came instead of the end", n, err)
			}
			until(t, func() bool { return l.Waiting() == 0 })
		})
	}
}

// NETCONN-10: a connection whose first bytes are those of HTTP/2 stays with the server. One that begins alike goes back.
func TestPreface(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for _, first := range [][]string{{"PRI * HTTP/2.0\r\n"}, {"P", "RI * HTT", "P/2.0\r\n"}, {"P"}, {"P", "OST / HTTP/1.1\r\n"}, {"GET"}, {"PRI * HTTP/1.1"}} {
			stays := first[0] != "GET" && first[0] != "PRI * HTTP/1.1" && (len(first) == 1 || first[1][0] == 'R')
			t.Run(name+"/"+first[0], func(t *testing.T) {
				t.Parallel()
				r := running(t, w)
				l, err := reactor.Ask(r, func() (*netconn.IdleListener, error) {
					return netconn.ListenIdle(r, loopback(), &netconn.IdleConfig{Linger: soon})
				})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				c, err := netconn.Dial(t.Context(), r, "tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				var server interface {
					io.ReadCloser
					SetReadDeadline(time.Time) error
				}
				buf := make([]byte, 100)
				for _, part := range first {
					_, _ = c.Write([]byte(part))
					if server == nil {
						s, err := l.Accept()
						if err != nil {
							t.Fatal(err)
						}
						defer s.Close()
						server = s
						defer l.SetIdle(s, false)
					}
					if n, err := server.Read(buf); string(buf[:n]) != part || err != nil {
						t.Fatalf("%q and %v came", buf[:n], err)
					}
				}
				l.SetIdle(server.(*netconn.Conn), true)
				limit := testworld.Limit
				if stays {
					limit = 8 * soon
				}
				_ = server.SetReadDeadline(time.Now().Add(limit))
				if n, err := server.Read(buf); n != 0 || stays != isTimeout(err) || !stays && err != io.EOF {
					t.Errorf("%d bytes and %v came", n, err)
				}
			})
		}
	}
}

// NETCONN-5: a deadline for which the loop waits already moves to later, and to earlier.
func TestDeadlineMovesOnLoop(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			client, _ := listen(t, r, overTCP, netconn.ListenConfig{}).connect(t)
			for _, to := range [][2]time.Duration{{10 * time.Millisecond, 40 * time.Millisecond}, {time.Hour, 10 * time.Millisecond}} {
				_ = client.SetReadDeadline(time.Now().Add(to[0]))
				_, _ = reactor.Ask(r, func() (int, error) { return 0, nil }) // the timer is set
				end := time.Now().Add(to[1])
				_ = client.SetReadDeadline(end)
				read := begin(client.Read, make([]byte, 1))
				select {
				case got := <-read:
					if !isTimeout(got.err) || time.Now().Before(end) {
						t.Errorf("from %v to %v: %v, %v early", to[0], to[1], got.err, time.Until(end))
					}
				case <-time.After(testworld.Limit):
					t.Fatalf("from %v to %v: it does not end", to[0], to[1])
				}
			}
		})
	}
}
