package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// deaf looks like a HandshakeListener.
type deaf struct{ reactor.Base }

func (*deaf) HandshakeCompleted(*tls.ConnectionState) {}
func (*deaf) DataReceived([]byte)                     {}

// DESC-45: a HandshakeCompleted that nobody calls is told once, whichever way TLS begins.
func TestHandshakeListenerSignature(t *testing.T) {
	sc, cc := configs(tls.VersionTLS13)
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			servers := []reactor.Factory{
				tlsio.Server(sc, reactor.Each[deaf](), nil),
				reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &upgrader{t: t, cfg: sc} }),
			}
			for _, f := range servers {
				var log bytes.Buffer
				r := w.New(t, reactor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				port, err := r.Listen(loopback(), f, nil)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					cli := new(end)
					r.Dial(port.Addr(), tlsio.Client(cc, one(cli), nil), nil, nil)
					testworld.Until(t, func() bool { return len(cli.events) > 1 }, r)
				}
				if n := strings.Count(log.String(), "HandshakeCompleted(*tls.ConnectionState), not HandshakeCompleted(tls.ConnectionState)"); n != 1 {
					t.Errorf("DESC-45: %d records:\n%s", n, &log)
				}
			}
		})
	}
}

// upgrader starts TLS at once, below a deaf protocol.
type upgrader struct {
	reactor.Base
	t   *testing.T
	cfg *tls.Config
}

func (u *upgrader) ConnectionMade(t reactor.Transport) {
	if _, err := tlsio.StartServer(t, u.cfg, new(deaf), nil, nil); err != nil {
		u.t.Error(err)
	}
}
func (*upgrader) DataReceived([]byte) {}
