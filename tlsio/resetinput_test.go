package tlsio_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// What a client has sent behind its handshake is delivered, although its reset is there before the last step of the handshake
// has returned. So is what it has sent over TLS within TLS.
func TestResetBehindHandshake(t *testing.T) {
	for name, w := range testworld.Native() {
		for _, stack := range []tlsio.Stack{tlsio.StackPool, tlsio.StackLoop} {
			t.Run(name, func(t *testing.T) { resetBehindHandshake(t, w, stack, 1) })
			t.Run(name+"/TLS in TLS", func(t *testing.T) { resetBehindHandshake(t, w, stack, 2) })
		}
	}
}

func resetBehindHandshake(t *testing.T, w testworld.World, stack tlsio.Stack, layers int) {
	r, srv := w.New(t, reactor.Config{}), new(end)
	sc, cc := configs(tls.VersionTLS13)
	f := one(srv)
	for range layers {
		f = tlsio.Server(sc, f, &tlsio.Options{Stack: stack})
	}
	port, err := r.Listen(loopback(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	reset := make(chan error, 1)
	go func() { reset <- resetWith("ERR quota", port.Addr().String(), cc, layers) }()
	testworld.Until(t, srv.lost, r)
	if err := <-reset; err != nil {
		t.Fatal(err)
	}
	if string(srv.got) != "ERR quota" {
		t.Errorf("got %q, lost for %v", srv.got, srv.err)
	}
	srv.is(t, "server", reactor.ErrLost)
}

// resetWith sends text to a server behind the end of the handshake, in one piece with it, and resets the connection at once.
func resetWith(text, addr string, cfg *tls.Config, layers int) error {
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c := raw
	for range layers - 1 {
		c = tls.Client(c, cfg)
	}
	h := &gathering{Conn: c, hellos: 1}
	last := tls.Client(h, cfg)
	if err := last.Handshake(); err != nil {
		return err
	}
	last.Write([]byte(text))
	if _, err := c.Write(h.rest); err != nil {
		return err
	}
	raw.(*net.TCPConn).SetLinger(0)
	return raw.Close()
}

// gathering sends some writes, and keeps the others.
type gathering struct {
	net.Conn
	hellos int
	rest   []byte
}

func (g *gathering) Write(p []byte) (int, error) {
	if g.hellos > 0 {
		g.hellos--
		return g.Conn.Write(p)
	}
	g.rest = append(g.rest, p...)
	return len(p), nil
}
