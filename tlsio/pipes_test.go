//go:build unix

package tlsio_test

import (
	"crypto/tls"
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
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
