//go:build unix

package netconn_test

import (
	"io"
	"os"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-2: a pipe has a Conn too. Its address is a kernel.Addr, or there is none.
func TestPipe(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			in, ours, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			theirs, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []*os.File{in, ours, theirs, out} {
				defer f.Close()
			}
			c, err := reactor.Ask(r, func() (*netconn.Conn, error) {
				k, _ := kernel.As[kernel.Watcher](r.Kernel())
				pipe, err := k.Watch(int(in.Fd()), int(out.Fd()))
				if err != nil {
					return nil, err
				}
				c := netconn.New(r, nil)
				_, err = r.Attach(pipe, c.Protocol(), nil)
				return c, err
			})
			if err != nil {
				t.Fatal(err)
			}
			if a := c.RemoteAddr(); a != nil {
				if _, ok := a.(kernel.Addr); !ok {
					t.Errorf("the address is a %T", a)
				}
			}
			_, _ = c.Write([]byte("hello"))
			got := make([]byte, 5)
			if _, err := io.ReadFull(theirs, got); string(got) != "hello" || err != nil {
				t.Errorf("%q and %v came", got, err)
			}
			_, _ = ours.Write([]byte("there"))
			if _, err := io.ReadFull(c, got); string(got) != "there" || err != nil {
				t.Errorf("%q and %v came", got, err)
			}
			_ = ours.Close()
			if n, err := c.Read(got); n != 0 || err != io.EOF {
				t.Errorf("%d bytes and %v came at the end", n, err)
			}
			_ = c.Close()
			until(t, func() bool {
				n, _ := reactor.Ask(r, func() (int, error) { return r.Stats().Connections, nil })
				return n == 0
			})
		})
	}
}

// Wrong use of Protocol panics: the connection that it happens on ends.
func TestProtocolTwice(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			panics := make(chan *reactor.PanicError, 1)
			r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panics <- e }})
			testworld.Beside(t, r)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			r.Post(func() {
				a, _ := kernel.ParseAddr(p.l.Addr().String())
				f := reactor.One(netconn.New(r, nil).Protocol())
				r.Dial(a, f, nil, func(reactor.Protocol, error) { r.Dial(a, f, nil, nil) })
			})
			if e := <-panics; e.Value != "netconn: Conn.Protocol was given to two transports" {
				t.Errorf("the panic is %v", e.Value)
			}
		})
	}
}
