package netconn_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// running is a reactor of w whose loop runs beside the test until it ends.
func running(t testing.TB, w testworld.World) *reactor.Reactor {
	t.Helper()
	r := w.New(t, reactor.Config{})
	testworld.Beside(t, r)
	return r
}

func loopback() kernel.Addr { return kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0) }

// net kinds of a pair.
const (
	overTCP  = "tcp"
	overUNIX = "unix"
	overTLS  = "tls"
)

// layers returns what TLS puts on both sides.
func layers(t testing.TB) (server, client func(reactor.Factory) reactor.Factory) {
	ca := tlstest.NewAuthority("root")
	leaf := ca.Leaf("localhost")
	sc, err := certs.ServerConfig(&certs.ServerOptions{Certificates: []certs.Source{{Certificate: &leaf}}, Time: tlstest.Time})
	if err != nil {
		t.Fatal(err)
	}
	co := &certs.ClientOptions{Time: tlstest.Time}
	co.Roots.Certificates = append(co.Roots.Certificates, ca.Cert)
	cc, err := certs.ClientConfig("localhost", co)
	if err != nil {
		t.Fatal(err)
	}
	return over(sc, tlsio.Server), over(cc, tlsio.Client)
}

func over(cfg *tls.Config, wrap func(*tls.Config, reactor.Factory, *tlsio.Options) reactor.Factory) func(reactor.Factory) reactor.Factory {
	return func(f reactor.Factory) reactor.Factory { return wrap(cfg, f, nil) }
}

// place is a Listener and how to dial it.
type place struct {
	l *netconn.Listener
	d *netconn.Dialer
}

// listen opens a Listener of a kind on r.
func listen(t testing.TB, r *reactor.Reactor, kind string, o netconn.ListenConfig) *place {
	t.Helper()
	a, d := loopback(), &netconn.Dialer{Reactor: r}
	switch kind {
	case overUNIX:
		a = kernel.UNIXAddr(filepath.Join(t.TempDir(), "s"))
	case overTLS:
		o.Over, d.Over = layers(t)
	}
	l, err := reactor.Ask(r, func() (*netconn.Listener, error) { return netconn.Listen(r, a, &o) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &place{l, d}
}

// dial connects to p, and accepts.
func (p *place) dial() (client, server net.Conn, err error) {
	if client, err = p.d.Dial(p.l.Addr().Network(), p.l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if server, err = p.l.Accept(); err != nil {
		_ = client.Close()
	}
	return client, server, err
}

// connect is dial for tests that need it.
func (p *place) connect(t testing.TB) (client, server net.Conn) {
	t.Helper()
	client, server, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}
