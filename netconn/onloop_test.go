package netconn_test

import (
	"net"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-21: what would wait on the loop's goroutine panics instead, and spoils nothing. What need not wait works there.
func TestOnLoop(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			client, server := p.connect(t)
			buf := make([]byte, 10)
			beside := begin(server.Read, make([]byte, 1)) // another Read of server has to wait for this one
			blocks(t, server, false)
			calls := []func() error{
				func() error { _, err := client.Read(buf); return err },
				func() error { _, err := server.Read(buf); return err },
				func() error { _, err := client.Write(make([]byte, 64<<20)); return err },
				func() error {
					for {
						if _, err := client.Write(make([]byte, 1000)); err != nil {
							return err
						}
					}
				},
				func() error { _, err := p.l.Accept(); return err },
				func() error { _, err := p.d.Dial("tcp", p.l.Addr().String()); return err },
			}
			for i, call := range calls {
				text, err := reactor.Ask(r, func() (text string, err error) {
					defer func() { text, _ = recover().(string) }()
					return "", call()
				})
				if err != nil || !strings.HasPrefix(text, "netconn: ") || !strings.Contains(text, "goroutine of") {
					t.Errorf("THR-21: call %d gives %v, and the panic is %q", i, err, text)
				}
			}
			go func() { _, _ = client.Write([]byte("more")) }()
			if got := <-beside; got.n != 1 || got.err != nil {
				t.Errorf("%d bytes and %v came", got.n, got.err)
			}
			go func() {
				for err := error(nil); err == nil; {
					_, err = server.Read(make([]byte, 64<<10))
				}
			}()
			_, _ = server.Write([]byte("x"))
			until(t, func() bool { return netconn.Unread(client) == 1 })
			n, err := reactor.Ask(r, func() (int, error) { return client.Read(buf) })
			if n != 1 || err != nil {
				t.Errorf("a Read that need not wait has %d bytes and %v", n, err)
			}
		})
	}
}

// NETCONN-7: Close before the reactor runs does not wait. Accept fails at once, and the address is free when the reactor runs, or is closed.
func TestCloseBeforeRun(t *testing.T) {
	for name, w := range testworld.Native() {
		for how, end := range map[string]func(*reactor.Reactor){
			"runs":   func(r *reactor.Reactor) { testworld.Turns(t, r, 3) },
			"closed": func(r *reactor.Reactor) { r.Close() },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				r := w.New(t, reactor.Config{})
				l, err := netconn.Listen(r, loopback(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				wantNetError(t, l.Close(), net.ErrClosed, "close")
				_, err = l.Accept()
				wantNetError(t, err, net.ErrClosed, "accept")
				end(r)
				isFree(t, l.Addr())
			})
		}
		t.Run(name+"/group", func(t *testing.T) {
			g := newGroup(t, w)
			l, err := netconn.Listen(g, loopback(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			g.Close()
			isFree(t, l.Addr())
		})
	}
}

func isFree(t *testing.T, a net.Addr) {
	t.Helper()
	again, err := net.Listen("tcp", a.String())
	if err != nil {
		t.Fatalf("the address is not free: %v", err)
	}
	_ = again.Close()
}
