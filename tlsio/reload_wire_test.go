package tlsio_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// visitor is a protocol that notes what its peer showed, and why it was lost.
type visitor struct {
	reactor.Base
	state tls.ConnectionState
	err   error
}

func (v *visitor) DataReceived([]byte)                      {}
func (v *visitor) HandshakeCompleted(s tls.ConnectionState) { v.state = s; v.T.Close() }
func (v *visitor) ConnectionLost(err error)                 { v.err = err }

// TestReloadOnWire: connections of this package, on a simulated network, are served with
// the certificate that was in use when each came, by name and by address; and Explain
// finds the reason in what they are lost for.
func TestReloadOnWire(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(ca.Leaf("example.com")))
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{Certificate: new(ca.Leaf("default.example"))}, {File: path}}})
	srv, cli := w.net.Host("srv"), w.net.Host("cli")
	byAddress := srv.Addr(7).IP.Addr().String()
	cfg := tlstest.Server(t, certs.ServerOptions{Store: w.store})
	if _, err := srv.Reactor.Listen(srv.Addr(7), tlsio.Server(cfg, reactor.Each[visitor](), nil), nil); err != nil {
		t.Fatal(err)
	}
	visit := func(host string) *visitor {
		t.Helper()
		v := new(visitor)
		f := reactor.One(v)
		cli.Reactor.Dial(srv.Addr(7), tlsio.Client(tlstest.Client(t, host, ca, certs.ClientOptions{}), f, nil), nil, func(reactor.Protocol, error) {})
		if err := w.net.RunUntil(func() bool { return v.err != nil }, time.Minute); err != nil {
			t.Fatal(err)
		}
		return v
	}
	shown := func(v *visitor) string { return v.state.PeerCertificates[0].SerialNumber.String() }
	if got, want := shown(visit("example.com")), ca.Leaf("example.com").Leaf.SerialNumber.String(); got != want {
		t.Errorf("serial %s before, want %s", got, want)
	}
	err := tlsio.Explain(visit(byAddress).err, byAddress)
	tlstest.WantError(t, err, certs.ErrName, `"CN=default.example"`, byAddress)

	tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(ca.Issue(func(c *x509.Certificate) { c.SerialNumber.SetInt64(77) }, "example.com", byAddress)))
	w.pass(time.Minute)
	for _, host := range []string{"example.com", byAddress} {
		v := visit(host)
		if v.state.PeerCertificates == nil {
			t.Fatalf("%s: %v", host, v.err)
		}
		if got := shown(v); got != "77" {
			t.Errorf("%s: serial %s after", host, got)
		}
	}
}
