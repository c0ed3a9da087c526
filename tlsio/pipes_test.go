//go:build unix

package tlsio_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
	"golang.org/x/sys/unix"
)

// TLS-7: over pipes TLS offers what pipes offer: half-close, no options of TCP, no addresses.
func TestOverPipes(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			watcher, ok := kernel.As[kernel.Watcher](r.Kernel())
			if !ok {
				t.Fatal("the kernel watches nothing")
			}
			sc, cc := configs(tls.VersionTLS13)
			var there, back [2]int
			for _, p := range []*[2]int{&there, &back} {
				if err := errors.Join(unix.Pipe(p[:]), unix.SetNonblock(p[0], true), unix.SetNonblock(p[1], true)); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
			}
			srv, cli := new(halfEnd), new(halfEnd)
			cli.onShaken = func() { cli.c.Write([]byte("by pipe")); cli.c.CloseWrite() }
			srv.onReadLost = func() { srv.c.Write(srv.got); srv.c.Close() }
			cli.onReadLost = func() { cli.c.Close() }
			attach := func(in, out int, f reactor.Factory) {
				c, err := watcher.Watch(in, out)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Attach(c, f.BuildProtocol(kernel.Addr{}), nil); err != nil {
					t.Fatal(err)
				}
			}
			attach(there[0], back[1], tlsio.Server(sc, one(srv), nil))
			attach(back[0], there[1], tlsio.Client(cc, one(cli), nil))
			if o, ok := reactor.As[kernel.TCPConn](cli.c); ok {
				if err := o.SetNoDelay(true); !errors.Is(err, kernel.ErrUnsupported) {
					t.Errorf("TLS-7: options of TCP on a pipe: %v", err)
				}
			}
			if cli.c.Local() != (kernel.Addr{}) || cli.c.Remote() != (kernel.Addr{}) {
				t.Errorf("TLS-7: addresses %v and %v of pipes", cli.c.Local(), cli.c.Remote())
			}
			testworld.Until(t, func() bool { return srv.lost() && cli.lost() }, r)
			if string(srv.got) != "by pipe" || string(cli.got) != "by pipe" {
				t.Errorf("TLS-7: %q and %q", srv.got, cli.got)
			}
			srv.is(t, "server", reactor.ErrClosed)
			cli.is(t, "client", reactor.ErrClosed)
		})
	}
}

// twoPipes is a net.Conn of two pipes, whose ends block.
type twoPipes struct {
	net.Conn // nil
	in, out  *os.File
}

func (p twoPipes) Read(b []byte) (int, error)       { return p.in.Read(b) }
func (p twoPipes) Write(b []byte) (int, error)      { return p.out.Write(b) }
func (p twoPipes) SetWriteDeadline(time.Time) error { return nil }

// STDIO-6: the loss of the output alone, as by a peer that reads no more, is told through TLS too: it ends the connection, unless the protocol listens to
// the ends of directions. That one cannot write any more, and goes on reading.
func TestSTDIO6OutputLost(t *testing.T) {
	for name, w := range testworld.Native() {
		for _, shakes := range []bool{true, false} {
			for _, listens := range []bool{true, false} {
				r := w.New(t, reactor.Config{})
				sc, cc := configs(tls.VersionTLS13)
				var there, back [2]int
				if err := errors.Join(unix.Pipe(there[:]), unix.Pipe(back[:])); err != nil {
					t.Fatal(err)
				}
				half := new(halfEnd)
				srv := &half.end
				var p reactor.Protocol = srv
				if listens {
					p = half
				}
				var refused error
				half.onWriteLost = func() { _, refused = srv.c.Write([]byte("into nothing")) }
				half.onReadLost = func() { srv.c.Close() }
				over := tlsio.Server(sc, reactor.One(p), nil).BuildProtocol(kernel.Addr{})
				if _, err := process.StdioOn(r, there[0], back[1], over, &process.StdioConfig{CloseAtEnd: true}); err != nil {
					t.Fatal(err)
				}
				pipes := twoPipes{in: os.NewFile(uintptr(back[0]), "in"), out: os.NewFile(uintptr(there[1]), "out")}
				cli := tls.Client(pipes, cc)
				shaken := make(chan error, 1)
				if shakes {
					go func() { shaken <- cli.Handshake() }()
					testworld.Until(t, func() bool { return srv.saw("shaken") }, r)
					if err := <-shaken; err != nil { // it needs nothing more of the server, and would not wake the loop
						t.Fatal(err)
					}
				}
				_ = pipes.in.Close()
				if shakes {
					_, _ = srv.c.Write([]byte("the select kernel notices it then"))
				} else {
					go func() { shaken <- cli.Handshake() }()
				}
				testworld.Until(t, func() bool { return srv.lost() || srv.saw("write lost") }, r)
				if srv.lost() == (listens && shakes) {
					t.Errorf("%s: STDIO-6: listens %v, shaken %v: %v", name, listens, shakes, srv.events)
				}
				if srv.lost() {
					if !errors.Is(srv.err, kernel.ErrBroken) {
						t.Errorf("%s: STDIO-6: the reason is %v", name, srv.err)
					}
				} else {
					_, _ = cli.Write([]byte("late"))
					_ = cli.CloseWrite()
					testworld.Until(t, srv.lost, r)
					if string(srv.got) != "late" || refused != reactor.ErrClosed {
						t.Errorf("%s: STDIO-6: %q came, writing said %v", name, srv.got, refused)
					}
				}
				_ = pipes.out.Close()
				_, _ = unix.Close(there[0]), unix.Close(back[1]) // the null device has the numbers
				if !shakes {
					<-shaken
				}
			}
		}
	}
}
