package tlsio_test

import (
	"crypto/tls"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// Connections with equal Options share the bound Workers, also those that begin
// midstream with Options of their own.
func TestEqualOptionsShareWorkers(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			s := realStage(t, w)
			sc, cc := configs(0)
			cert := sc.Certificates[0]
			var begun, at atomic.Int32
			release := make(chan struct{})
			sc.Certificates = nil
			sc.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				begun.Add(1)
				s.srv.Post(func() {}) // who waits for it looks again
				<-release
				if at.Add(1) > 1 {
					t.Error("two at a time")
				}
				at.Add(-1)
				return &cert, nil
			}
			const conns = 4
			var clients []*end
			for range conns {
				srv, cli := new(end), new(end)
				srv.onMade = func() {
					if _, err := tlsio.StartServer(srv.tr, sc, nil, nil, &tlsio.Options{Workers: 1}); err != nil {
						t.Error(err)
					}
				}
				s.connect(one(srv), tlsio.Client(cc, one(cli), &tlsio.Options{Workers: 2}))
				clients = append(clients, cli)
			}
			s.until(func() bool { return begun.Load() > 0 })
			testworld.Turns(t, s.srv, 20)
			if n := begun.Load(); n != 1 {
				t.Errorf("%d handshakes compute at a time", n)
			}
			close(release)
			for _, cli := range clients {
				s.until(func() bool { return cli.saw("shaken") })
				cli.c.Close()
			}
			for _, cli := range clients {
				s.until(cli.lost)
			}
			if n := begun.Load(); n != conns {
				t.Errorf("%d handshakes of %d", n, conns)
			}
		})
	}
}
