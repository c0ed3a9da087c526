package interop

import (
	"context"
	"crypto/tls"
	"iter"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// site is a kernel whose loop runs beside the test. Servers listen and clients dial there.
type site struct {
	testing.TB
	r      *reactor.Reactor
	d      netconn.Dialer
	handed atomic.Int32 // how often an IdleListener has handed a connection to the server
}

// each runs a test on every kernel of worlds, at the same time.
func each(t *testing.T, worlds iter.Seq2[string, testworld.World], test func(t *testing.T, s *site)) {
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.New(t, reactor.Config{})
			testworld.Beside(t, r)
			test(t, &site{TB: t, r: r, d: netconn.Dialer{Reactor: r}})
		})
	}
}

func loopback() kernel.Addr { return kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0) }

// listen opens a Listener, which is closed when the test ends.
func (s *site) listen(o netconn.ListenConfig) *netconn.Listener {
	s.Helper()
	l, err := reactor.Ask(s.r, func() (*netconn.Listener, error) { return netconn.Listen(s.r, loopback(), &o) })
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = l.Close() })
	return l
}

// accept has handle serve each connection of a Listener on a goroutine of its own, and closes it. All have ended when the test has.
func (s *site) accept(handle func(net.Conn)) net.Addr {
	s.Helper()
	l := s.listen(netconn.ListenConfig{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c)
			})
		}
	})
	s.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr()
}

// dialTCP is a Dial for libraries that name no network.
func (s *site) dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return s.d.DialContext(ctx, "tcp", address)
}

// limited is a context that ends long after every step of a test should have.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testworld.Limit)
	t.Cleanup(cancel)
	return ctx
}

// host is the name in the certificates.
const host = "localhost"

// configs are for a server and a client that trusts it. protocols are those of ALPN.
func configs(t *testing.T, protocols ...string) (server, client *tls.Config) {
	t.Helper()
	ca := tlstest.NewAuthority("root")
	server = tlstest.Server(t, certs.ServerOptions{}, ca.Leaf(host))
	client = tlstest.Client(t, host, ca, certs.ClientOptions{})
	server.NextProtos, client.NextProtos = protocols, protocols
	return server, client
}

// overServer and overClient put TLS on the loop below the Conns.
func overServer(cfg *tls.Config) func(reactor.Factory) reactor.Factory {
	return func(f reactor.Factory) reactor.Factory { return tlsio.Server(cfg, f, nil) }
}

func overClient(cfg *tls.Config) func(reactor.Factory) reactor.Factory {
	return func(f reactor.Factory) reactor.Factory { return tlsio.Client(cfg, f, nil) }
}

// ends waits until done is closed, and fails the test if that takes too long.
func ends(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(testworld.Limit):
		t.Fatalf("%s does not end", what)
	}
}

// pattern is n bytes that do not repeat soon.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * (i >> 8))
	}
	return p
}
