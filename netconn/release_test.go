package netconn_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// taker is a protocol that takes over what Release has given back.
type taker struct {
	t        reactor.Connection
	unread   string
	received chan string
	lost     chan error
}

func (k *taker) ConnectionMade(reactor.Transport) {}
func (k *taker) DataReceived(p []byte)            { k.received <- string(p) }
func (k *taker) ConnectionLost(err error)         { k.lost <- err }

// takeOver has a protocol take c over, a while after Release. first is called on the loop before it. What the peer sends meanwhile, "between", waits.
func takeOver(t testing.TB, client, c net.Conn, first func()) *taker {
	t.Helper()
	k := &taker{received: make(chan string, 100), lost: make(chan error, 1)}
	_, err := reactor.Ask(netconn.LoopOf(c), func() (unread []byte, err error) {
		first()
		k.t, unread, err = netconn.Release(c)
		k.unread = string(unread)
		return unread, err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(client, "between")
	time.Sleep(2 * soon)
	k.on(func() {
		s, _ := reactor.As[reactor.Switcher](k.t)
		if _, err := s.SwitchProtocol(k); err != nil {
			t.Error(err)
		}
	})
	return k
}

// on calls fn on the loop of the connection.
func (k *taker) on(fn func()) {
	_, _ = reactor.Ask(k.t.Reactor(), func() (struct{}, error) { fn(); return struct{}{}, nil })
}

// hears waits until want has been received.
func (k *taker) hears(t testing.TB, want string) {
	t.Helper()
	for got := k.unread; got != want; {
		select {
		case p := <-k.received:
			got += p
		case <-time.After(testworld.Limit):
			t.Fatalf("%q was received, not %q", got, want)
		}
		if !strings.HasPrefix(want, got) {
			t.Fatalf("%q was received, not %q", got, want)
		}
	}
	k.unread = ""
}

// NETCONN-14: the connection goes on on the loop: what was not read is not lost, what was written is sent first, and the Conn is closed for its goroutines.
func TestRelease(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for _, kind := range []string{overTCP, overTLS} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				client, server := listen(t, running(t, w), kind, netconn.ListenConfig{Conn: netconn.Config{WriteWater: 1 << 20}}).connect(t)
				_, _ = io.WriteString(client, "abc")
				if _, err := server.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				long := strings.Repeat("l", 300_000) // more than the transport's mark, and less than WriteWater
				k := takeOver(t, client, server, func() {
					for i := 0; i < len(long); i += 1000 {
						_, _ = io.WriteString(server, long[i:i+1000])
					}
				})
				k.on(func() { _, _ = k.t.Write([]byte("after")) })
				_, _ = io.WriteString(client, "def")
				k.hears(t, "bcbetweendef")
				got := make([]byte, len(long)+5)
				if _, err := io.ReadFull(client, got); err != nil || string(got) != long+"after" {
					t.Errorf("%v, and the end %q came", err, got[len(long)-5:])
				}
				_, err := server.Read(got)
				wantNetError(t, err, net.ErrClosed, "read")
				_, err = server.Write(got)
				wantNetError(t, err, net.ErrClosed, "write")
				wantNetError(t, server.SetDeadline(time.Time{}), net.ErrClosed, "set")
				wantNetError(t, server.Close(), net.ErrClosed, "close")
				_, err = reactor.Ask(netconn.LoopOf(server), func() (struct{}, error) {
					_, _, err := netconn.Release(server)
					return struct{}{}, err
				})
				wantNetError(t, err, net.ErrClosed, "release")
				_, _ = io.WriteString(client, "still")
				k.hears(t, "still")
				_ = client.Close()
				if err := <-k.lost; err != io.EOF {
					t.Errorf("the reason is %v", err)
				}
			})
		}
	}
}

// NETCONN-14: calls that wait fail with net.ErrClosed.
func TestReleaseEndsCalls(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			client, server := listen(t, running(t, w), overTCP, netconn.ListenConfig{}).connect(t)
			read := begin(server.Read, make([]byte, 1))
			write := begin(server.Write, make([]byte, 64<<20))
			until(t, func() bool { r, w := netconn.Blocked(server); return r && w })
			k := takeOver(t, client, server, func() {})
			wantNetError(t, (<-read).err, net.ErrClosed, "read")
			got := <-write
			wantNetError(t, got.err, net.ErrClosed, "write")
			k.on(func() { _ = k.t.Close() })
			if n, err := io.Copy(io.Discard, client); n != int64(got.n) || err != nil {
				t.Errorf("Write took %d bytes, %d came, and %v", got.n, n, err)
			}
			<-k.lost
		})
	}
}

// NETCONN-14: of an IdleListener too. The listener has nothing to do with the connection any more: its Close does not end it.
func TestReleaseIdle(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			l, err := reactor.Ask(r, func() (*netconn.IdleListener, error) {
				return netconn.ListenIdle(r, loopback(), &netconn.IdleConfig{Linger: soon})
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			d := &netconn.Dialer{Reactor: r}
			client, err := d.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_, _ = io.WriteString(client, "abc")
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			l.SetIdle(server, true)
			k := takeOver(t, client, server, func() {})
			if n, _ := reactor.Ask(r, func() (int, error) { return netconn.Served(l), nil }); n != 0 {
				t.Errorf("the listener has %d connections", n)
			}
			l.SetIdle(server, true)
			wantNetError(t, server.Close(), net.ErrClosed, "close")
			_ = l.Close()
			lasts(t, "a connection waits on the loop", func() bool { return l.Waiting() == 0 })
			_, _ = io.WriteString(client, "def")
			k.hears(t, "abcbetweendef")
			_ = client.Close()
			<-k.lost
			if n := l.Waiting(); n != 0 {
				t.Errorf("%d connections wait", n)
			}
		})
	}
}

// NETCONN-14: what cannot be given back stays as it is, and the error says why.
func TestReleaseRefused(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, _, err := netconn.Release(a); !errors.Is(err, netconn.ErrNotOurs) || !errors.Is(err, errors.ErrUnsupported) || netconn.LoopOf(a) != nil {
		t.Errorf("a pipe: %v, the loop %v", err, netconn.LoopOf(a))
	}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			release := func(c net.Conn) error {
				_, err := reactor.Ask(r, func() (struct{}, error) {
					_, _, err := netconn.Release(c)
					return struct{}{}, err
				})
				return err
			}
			for _, end := range []func(net.Conn) error{
				net.Conn.Close,
				func(c net.Conn) error { return c.(*netconn.Conn).CloseWrite() },
				func(c net.Conn) error { return c.(*netconn.Conn).CloseRead() },
			} {
				_, server := p.connect(t)
				_ = end(server)
				wantNetError(t, release(server), net.ErrClosed, "release")
			}
			client, server := p.connect(t)
			_ = client.(*netconn.Conn).Abort()
			_, _ = server.Read(make([]byte, 1))
			wantNetError(t, release(server), reactor.ErrLost, "release")
			_, _ = reactor.Ask(r, func() (struct{}, error) {
				_, _, err := netconn.Release(netconn.New(r, nil))
				wantNetError(t, err, netconn.ErrNotConnected, "release")
				return struct{}{}, nil
			})
		})
	}
}
