package netconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-7: Close ends an Accept that waits, with net.ErrClosed, frees the address, and resets who was not accepted.
func TestListenerClose(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			_, err := reactor.Ask(r, func() (int, error) {
				defer func() {
					if recover() == nil {
						t.Error("Close on the loop does not panic")
					}
				}()
				return 0, p.l.Close()
			})
			if err != nil {
				t.Error(err)
			}
			accepted := make(chan error, 1)
			go func() {
				_, err := p.l.Accept()
				accepted <- err
			}()
			time.Sleep(time.Millisecond)
			if err := p.l.Close(); err != nil {
				t.Fatal(err)
			}
			wantNetError(t, <-accepted, net.ErrClosed, "accept")
			wantNetError(t, p.l.Close(), net.ErrClosed, "close")
			a, _ := kernel.ParseAddr(p.l.Addr().String())
			again, err := reactor.Ask(r, func() (*netconn.Listener, error) { return netconn.Listen(r, a, nil) })
			if err != nil {
				t.Fatalf("the address is not free: %v", err)
			}
			if again.Addr().String() != p.l.Addr().String() {
				t.Errorf("it listens at %v, not at %v", again.Addr(), p.l.Addr())
			}
			c, err := p.d.Dial("tcp", again.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			stays, err := again.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer stays.Close()
			waits, err := p.d.Dial("tcp", again.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer waits.Close()
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			_, err = waits.Read(make([]byte, 1)) // nobody accepted it
			wantNetError(t, err, reactor.ErrLost, "read")
			_, _ = stays.Write([]byte("x")) // what was accepted goes on
			if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("a connection that was accepted has %d bytes and %v", n, err)
			}
		})
	}
}

// NETCONN-8: while nobody accepts, no more than Backlog connections are taken from the system's queue. Then all others come, in order.
func TestBacklog(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{Backlog: 4})
			const all = 20
			var clients []net.Conn
			for range all {
				c, err := p.d.Dial("tcp", p.l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				clients = append(clients, c)
			}
			accepted := func() int {
				n, _ := reactor.Ask(r, func() (int, error) { return int(p.l.Place().(*reactor.Port).Stats().Accepted), nil })
				return n
			}
			until(t, func() bool { return accepted() >= 4 })
			for range 20 {
				if n := accepted(); n != 4 {
					t.Fatalf("%d connections were taken", n)
				}
			}
			for i := range all {
				c, err := p.l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if got, want := c.RemoteAddr().String(), clients[i].LocalAddr().String(); got != want {
					t.Errorf("connection %d is from %v, not %v", i, got, want)
				}
				if n := accepted(); n > i+1+4 {
					t.Errorf("%d connections were taken when Accept had returned %d", n, i+1)
				}
			}
		})
	}
}

// unpausable is a Place of a Port that cannot let clients wait.
type unpausable struct{ p *reactor.Port }

func (u unpausable) Addr() kernel.Addr              { return u.p.Addr() }
func (u unpausable) StopListening(done func(error)) { u.p.StopListening(done) }

// NETCONN-8: at a place that cannot pause, connections beyond twice the Backlog are closed.
func TestBacklogWithoutPause(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			l, err := reactor.Ask(r, func() (*netconn.Listener, error) {
				return netconn.ListenAt(r, &netconn.ListenConfig{Backlog: 2}, func(f reactor.Factory) (netconn.Place, error) {
					p, err := r.Listen(loopback(), f, nil)
					return unpausable{p}, err
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var last net.Conn
			for range 5 {
				if last, err = netconn.Dial(context.Background(), r, "tcp", l.Addr().String()); err != nil {
					t.Fatal(err)
				}
				defer last.Close()
			}
			if n, err := last.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("the connection that was too much has %d bytes and %v", n, err)
			}
			for range 4 {
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
		})
	}
}

// NETCONN-9: Dial fails with the cause, and ends with its context.
func TestDialFails(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			free := listen(t, r, overTCP, netconn.ListenConfig{})
			_ = free.l.Close()
			fails := func(what string, c net.Conn, err, target error) {
				t.Helper()
				var o *reactor.OpError
				if c != nil || !errors.As(err, &o) || !errors.Is(err, target) || !errors.Is(err, reactor.ErrConnect) {
					t.Errorf("%s: %v (%T), not %v", what, err, err, target)
				}
			}
			ctx := context.Background()
			c, err := netconn.Dial(ctx, r, "tcp", free.l.Addr().String())
			fails("nobody listens", c, err, kernel.ErrRefused)
			c, err = netconn.Dial(ctx, r, "udp", p.l.Addr().String())
			fails("a network without streams", c, err, net.UnknownNetworkError("udp"))
			c, err = netconn.Dial(ctx, r, "tcp", "127.0.0.1")
			fails("no port", c, err, kernel.ErrInvalidAddr)
			c, err = netconn.Dial(ctx, r, "tcp6", free.l.Addr().String())
			fails("an IPv4 address for tcp6", c, err, kernel.ErrInvalidAddr)
			c, err = netconn.Dial(ctx, r, "tcp4", "[::1]:80")
			fails("an IPv6 address for tcp4", c, err, kernel.ErrInvalidAddr)
			c, err = new(netconn.Dialer).Dial("tcp", p.l.Addr().String())
			fails("no reactor", c, err, netconn.ErrReactorNil)
			gone, cancel := context.WithCancelCause(ctx)
			cause := errors.New("enough")
			cancel(cause)
			c, err = netconn.Dial(gone, r, "tcp", p.l.Addr().String())
			fails("cancelled before", c, err, cause)

			// The peer accepts and is silent, so the handshake does not end.
			_, over := layers(t)
			late, cancel := context.WithCancelCause(ctx)
			accepted := make(chan net.Conn, 1)
			go func() {
				defer cancel(cause)
				defer close(accepted)
				server, err := p.l.Accept()
				if err == nil {
					_, err = server.Read(make([]byte, 1)) // the handshake has begun
					accepted <- server
				}
				if err != nil {
					t.Error(err)
				}
			}()
			c, err = (&netconn.Dialer{Reactor: r, Over: over}).DialContext(late, "tcp", p.l.Addr().String())
			fails("cancelled in the handshake", c, err, cause)
			server := <-accepted
			if server == nil {
				return
			}
			defer server.Close()
			if _, err := io.ReadAll(server); !errors.Is(err, reactor.ErrLost) {
				t.Errorf("the connection that was given up ends with %v", err)
			}
		})
	}
}

// NETCONN-9: Dial beside an end of its context returns a connection, or resets it.
func TestDialRaces(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			var both sync.WaitGroup
			for i := range 100 {
				both.Go(func() {
					c, err := p.l.Accept()
					if err == nil {
						_, _ = io.Copy(io.Discard, c)
						_ = c.Close()
					}
				})
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(time.Duration(i)*4*time.Microsecond, cancel)
				if c, err := p.d.DialContext(ctx, "tcp", p.l.Addr().String()); err == nil {
					_ = c.Close()
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			until(t, func() bool { // what was given up is lost on our side, without a word of the server
				n, _ := reactor.Ask(r, func() (int, error) { return r.Stats().Connections, nil })
				return n == 0
			})
			_ = p.l.Close()
			both.Wait()
		})
	}
}

// echoing is a protocol of the loop that returns what comes.
type echoing struct{ reactor.Base }

func (e *echoing) DataReceived(p []byte) { _, _ = e.T.Write(p) }

// NETCONN-13: connections and listeners of package net go on on the loop.
func TestAdopt(t *testing.T) {
	for name, w := range testworld.Native() {
		for _, kind := range []string{overTCP, overUNIX} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				r := running(t, w)
				at := "127.0.0.1:0"
				if kind == overUNIX {
					at = filepath.Join(t.TempDir(), "s")
				}
				nl, err := net.Listen(kind, at)
				if err != nil {
					t.Fatal(err)
				}
				client, err := net.Dial(kind, nl.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				server, err := nl.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_, err = reactor.Ask(r, func() (*reactor.Stream, error) {
					return netconn.AdoptConn(r, server, reactor.Each[echoing](), nil)
				})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the net.Conn is not closed: %v", err)
				}
				echoes(t, client)

				port, err := reactor.Ask(r, func() (*reactor.Port, error) {
					return netconn.AdoptListener(r, nl, reactor.Each[echoing](), nil)
				})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := nl.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the net.Listener is not closed: %v", err)
				}
				other, err := net.Dial(kind, port.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				echoes(t, other)
			})
		}
	}
}

// echoes has a message come back.
func echoes(t testing.TB, c net.Conn) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(testworld.Limit))
	got := make([]byte, 5)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("%q and %v came back", got, err)
	}
}

// NETCONN-13: what has no descriptor is refused, and stays what it is.
func TestAdoptFails(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			_, err := reactor.Ask(r, func() (*reactor.Stream, error) {
				return netconn.AdoptConn(r, near, reactor.Each[echoing](), nil)
			})
			if !errors.Is(err, netconn.ErrNoDescriptor) || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("the error is %v", err)
			}
			_ = near.SetReadDeadline(time.Now())
			if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the pipe is %v", err)
			}
			f, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if !w.Simulated() {
				return
			}
			_, err = reactor.Ask(r, func() (*reactor.Port, error) {
				return netconn.AdoptListener(r, f, reactor.Each[echoing](), nil)
			})
			if !errors.Is(err, kernel.ErrBadDescriptor) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("a simulated kernel takes a real socket: %v", err)
			}
			if c, err := net.Dial("tcp", f.Addr().String()); err != nil {
				t.Error(err)
			} else {
				_ = c.Close()
			}
		})
	}
}

// NETCONN-6: a thousand connections that come and go at once, some of them cut short, leave nothing behind.
func TestChurn(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			var servers, clients sync.WaitGroup
			servers.Go(func() {
				for {
					c, err := p.l.Accept()
					if err != nil {
						return
					}
					servers.Go(func() {
						defer c.Close()
						_, _ = io.Copy(c, c)
					})
				}
			})
			for g := range 20 {
				clients.Go(func() {
					for i := range 50 {
						c, err := p.d.Dial("tcp", p.l.Addr().String())
						if err != nil {
							t.Error(err)
							return
						}
						if (g+i)%5 == 0 { // cut short, beside a Read
							read := begin(c.Read, make([]byte, 1))
							_, _ = c.Write(make([]byte, 100_000))
							_ = c.(interface{ Abort() error }).Abort()
							<-read
							continue
						}
						echoes(t, c)
						_ = c.Close()
					}
				})
			}
			clients.Wait()
			_ = p.l.Close()
			servers.Wait()
			until(t, func() bool {
				n, _ := reactor.Ask(r, func() (int, error) { return r.Stats().Connections, nil })
				return n == 0
			})
		})
	}
}
