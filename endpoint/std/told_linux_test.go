package std_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-32: whoever connects after the reactor has stopped is told so before Connect returns, once, by every kind of place. Nothing is left open.
func TestConnectAfterEnd(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, "ca")
	clients := []string{
		"tcp:127.0.0.1:1", "tcp:localhost:1", "tcp4:127.0.0.1:1", "unix:" + endpoint.Quote(filepath.Join(dir, "x")), "exec:/bin/true", "exec:/bin/true:pty=yes",
		"ssl:127.0.0.1:1:caCertsDir=" + ca.file, "tls:localhost:1:trustRoots=" + ca.file, "haproxy:[tcp:127.0.0.1:1]",
		"serial:" + endpoint.Quote(filepath.Join(dir, "none")), "fd:99",
	}
	packets := []string{"udp:127.0.0.1:1", "udp:localhost:1", "unixgram:" + endpoint.Quote(filepath.Join(dir, "y"))}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			var all []endpoint.Client
			for _, description := range clients {
				all = append(all, client(t, description))
			}
			r.Close()
			leaktest.KeepsDescriptors(t)
			for i, c := range all {
				var got []error
				cancel := c.Connect(r, new(site), func(p reactor.Protocol, err error) {
					if got = append(got, err); p != nil {
						t.Errorf("THR-32: %s: a protocol", clients[i])
					}
				})
				if len(got) != 1 || !ended(got[0]) {
					t.Errorf("THR-32: %s: told %v", clients[i], got)
				}
				if cancel(); len(got) > 1 {
					t.Errorf("THR-32: %s: told again after cancel", clients[i])
				}
			}
			for _, description := range packets {
				c, err := std.Schemes(nil).PacketClient(description)
				if err != nil {
					t.Fatal(err)
				}
				var got []error
				c.ConnectPacket(r, new(gram), func(_ *reactor.PacketPort, err error) { got = append(got, err) })()
				if len(got) != 1 || !ended(got[0]) {
					t.Errorf("THR-32: %s: told %v", description, got)
				}
			}
		})
	}
}

// ended tells whether err says that the reactor has stopped, and is an error of connecting.
func ended(err error) bool {
	return errors.Is(err, reactor.ErrConnect) && (errors.Is(err, reactor.ErrStopped) || errors.Is(err, pool.ErrStopped))
}
