package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// RECON-9: with TLS the outgoing side is connected when the handshake of the accepted one is over,
// and a client that does not finish its handshake causes no connection.
func TestForwardWaitsForTheHandshake(t *testing.T) {
	ca := tlstest.NewAuthorityAt("ca", time.Now())
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots, both := write("ca.pem", ca.PEM()), write("srv.pem", tlstest.BothPEM(ca.Leaf("127.0.0.1")))
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		u := &route{r: r, far: &peers{}}
		at := &std.TLSServer{Certificates: both, TCPServer: std.TCPServer{Interface: netip.MustParseAddr("127.0.0.1")}}
		port, err := at.Listen(r, u.forwarder(clientOf(listen(t, r, u.far))))
		if err != nil {
			t.Fatal(err)
		}
		silent := dial(t, r, port.Addr(), &peer{})
		until(t, r, func() bool { return len(u.middle()) == 1 })
		settle(t, r)
		if len(u.far.all) != 0 {
			t.Error("RECON-9: the outgoing side is connected before the handshake")
		}
		near := new(secret)
		to := &std.TLSClient{TCPClient: std.TCPClient{Host: "127.0.0.1", Port: port.Addr().Port()}, TrustRoots: roots}
		to.Connect(r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return near }), func(_ reactor.Protocol, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		until(t, r, func() bool { return len(u.far.all) == 1 })
		near.T.Write([]byte("by TLS"))
		until(t, r, func() bool { return string(u.far.all[0].got) == "by TLS" })
		near.T.Abort()
		silent.s.Abort()
		u.empty(t)
		if len(u.far.all) != 1 {
			t.Errorf("RECON-9: %d outgoing sides for one handshake", len(u.far.all))
		}
	})
}

// secret is a client by TLS that only writes.
type secret struct{ reactor.Base }

func (*secret) DataReceived([]byte) {}
