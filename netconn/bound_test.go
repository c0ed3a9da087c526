package netconn_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-3: a reader that is always a little slower than its peer, so that there is always something unread, does not make the memory grow.
func TestAlwaysUnread(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			client, server := listen(t, running(t, w), overTCP, netconn.ListenConfig{}).connect(t)
			go func() {
				for p := make([]byte, 256<<10); ; {
					if _, err := client.Write(p); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, 8<<10)
			for total := 0; total < 16<<20; {
				until(t, func() bool { return netconn.Unread(server) >= 16<<10 })
				n, err := server.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				total += n
			}
			if n := netconn.Held(server); n > 1<<20 {
				t.Errorf("%d bytes of memory hold what is unread", n)
			}
			_ = client.Close()
		})
	}
}

// NETCONN-4: back-pressure comes before StreamConfig.MaxBuffered, and Close sends what was written through it.
func TestMaxBuffered(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			var o netconn.ListenConfig
			o.Port.MaxBuffered = 84 << 10
			client, server := listen(t, running(t, w), overTCP, o).connect(t)
			sent := 0
			for _, size := range []int{64 << 20, 1000} {
				sent += fill(t, server, func() (int, error) { return server.Write(make([]byte, size)) })
			}
			_ = server.Close()
			_ = client.SetReadDeadline(time.Now().Add(testworld.Limit))
			if n, err := io.Copy(io.Discard, client); int(n) != sent || err != nil {
				t.Errorf("%d bytes came of %d, and %v", n, sent, err)
			}
		})
	}
}

// NETCONN-6: an end from the loop's side, as of a Drain, is in order, whether the Conn is quiet or has something to send.
func TestDrain(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			client, server := listen(t, r, overTCP, netconn.ListenConfig{}).connect(t)
			_, _ = server.Write([]byte("last words"))
			read := begin(server.Read, make([]byte, 1))
			blocks(t, server, false)
			r.Post(func() {
				for s := range r.Streams() {
					_ = s.Close()
				}
			})
			wantNetError(t, (<-read).err, net.ErrClosed, "read")
			_ = client
			until(t, func() bool {
				n, _ := reactor.Ask(r, func() (int, error) { return r.Stats().Connections, nil })
				return n == 0
			})
		})
	}
}

// NETCONN-6: when the peer is gone, Write fails, though there is input that nobody reads.
func TestPeerGone(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			p := listen(t, running(t, w), overUNIX, netconn.ListenConfig{})
			client, err := net.Dial("unix", p.l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			server, err := p.l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			_ = client.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = client.Write(make([]byte, 10<<20))
			_ = client.Close()
			_ = server.SetWriteDeadline(time.Now().Add(testworld.Limit))
			for err = nil; err == nil; {
				_, err = server.Write(make([]byte, 1000))
			}
			wantNetError(t, err, kernel.ErrBroken, "write")
			wantNetError(t, err, syscall.EPIPE, "write") // for programs that know the errors of package net
		})
	}
}

// bare hides what a transport can do.
type bare struct{ reactor.Transport }

// overBare gives a protocol a bare transport.
type overBare struct{ reactor.Protocol }

func (o *overBare) Unwrap() reactor.Protocol { return o.Protocol }
func (o *overBare) ConnectionMade(t reactor.Transport) {
	o.Protocol.ConnectionMade(bare{t})
}

// NETCONN-2: a transport that cannot be paused is refused, because nothing would be bounded. So is the protocol of a Conn without ConnectionMade.
func TestRefusals(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for how, over := range map[string]func(reactor.Factory) reactor.Factory{
			"can be paused": func(f reactor.Factory) reactor.Factory {
				return reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol { return &overBare{f.BuildProtocol(a)} })
			},
			"Over fails": func(reactor.Factory) reactor.Factory { panic("Over fails") },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				panics := make(chan *reactor.PanicError, 1)
				r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panics <- e }})
				testworld.Beside(t, r)
				p := listen(t, r, overTCP, netconn.ListenConfig{})
				p.d.Over = over
				c, err := p.d.Dial("tcp", p.l.Addr().String())
				var panicked *reactor.PanicError
				if c != nil || !errors.As(err, &panicked) { // NETCONN-9: Dial returns it
					t.Errorf("Dial is %v", err)
				}
				if e := <-panics; !strings.Contains(e.Error(), how) {
					t.Errorf("the panic is %v", e)
				}
			})
		}
	}
}

// mute is a layer that tells the protocol above nothing of a connection, which ends before it is its turn.
type mute struct{ reactor.Base }

func (m *mute) DataReceived([]byte) {}

// muteFactory puts a mute in the place of each protocol.
type muteFactory struct{ reactor.Factory }

func (f *muteFactory) Unwrap() reactor.Factory                    { return f.Factory }
func (f *muteFactory) BuildProtocol(kernel.Addr) reactor.Protocol { return new(mute) }

// NETCONN-9: a connection that ends in a layer, which has not told the Conn of it, ends Dial.
func TestDialLayerEnds(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			p := listen(t, running(t, w), overTCP, netconn.ListenConfig{})
			p.d.Over = func(f reactor.Factory) reactor.Factory { return &muteFactory{f} }
			go func() {
				if c, err := p.l.Accept(); err == nil {
					_ = c.Close()
				}
			}()
			if c, err := p.d.Dial("tcp", p.l.Addr().String()); c != nil || !errors.Is(err, io.EOF) || !errors.Is(err, reactor.ErrConnect) {
				t.Errorf("Dial is %v", err)
			}
		})
	}
}
