package mail_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// wire is a Peer for crypto/tls, which uses no more of a net.Conn.
type wire struct {
	net.Conn
	p *testworld.Peer
}

func (w wire) Read(b []byte) (int, error)       { return w.p.Read(b) }
func (w wire) SetWriteDeadline(time.Time) error { return nil }
func (w wire) Write(b []byte) (int, error)      { return w.p.Write(b) }

// secureBox has STARTTLS, and client is the configuration of its clients.
func secureBox(t *testing.T) (b *box, client *tls.Config) {
	t.Helper()
	ca := tlstest.NewAuthority("ca")
	b = newBox()
	b.TLS = tlstest.Server(t, certs.ServerOptions{}, ca.Leaf("mx"))
	return b, tlstest.Client(t, "mx", ca, certs.ClientOptions{})
}

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); string(got) != want {
		t.Fatalf("got %q and %v, want %q", got[:n], err, want)
	}
}

// After STARTTLS everything is asked for again. What is behind QUIT in the same record is not
// looked at, and a drain reaches a session through TLS.
func TestStartTLS(t *testing.T) {
	offer := strings.Replace(ehlo, "250-ENH", "250-STARTTLS\r\n250-ENH", 1)
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			b, cfg := secureBox(t)
			addr := listen(t, r, b, nil)
			start := func() *tls.Conn {
				p := w.Peer(t, addr, r)
				p.Send("EHLO c\r\nMAIL FROM:<a@x>\r\nSTARTTLS\r\n")
				p.Expect(greeting + offer + "250 2.1.0 ok\r\n220 2.0.0 go ahead\r\n")
				c := tls.Client(wire{p: p}, cfg)
				fmt.Fprint(c, "RCPT TO:<b@x>\r\nMAIL FROM:<a@x>\r\n")
				expect(t, c, "503 5.5.1 MAIL first\r\n503 5.5.1 not now\r\n")
				return c
			}
			c := start()
			fmt.Fprint(c, envelope+".\r\nQUIT\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n.\r\n")
			expect(t, c, accepted+"250 2.0.0 taken\r\n221 2.0.0 bye\r\n")
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Error(err)
			}
			c.CloseWrite() // otherwise the server waits for close_notify
			if got := b.message(); got != `c true a@x [b@x] ""` || len(b.got) != 0 {
				t.Errorf("got %s, and %d more", got, len(b.got))
			}
			c, aborted := start(), -1
			r.Drain(reactor.DrainConfig{Done: func(n int) { aborted = n }})
			expect(t, c, "421 4.3.2 closing down\r\n")
			c.CloseWrite()
			testworld.Until(t, func() bool { return aborted == 0 }, r)
		})
	}
}

// What comes in clear together with STARTTLS is never carried out.
func TestInjected(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			b, _ := secureBox(t)
			var lost error
			f := reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol {
				return &watched{Protocol: b.BuildProtocol(a), lost: &lost}
			})
			p := w.Peer(t, listen(t, r, f, nil), r)
			p.Send("EHLO c\r\nSTARTTLS\r\n" + envelope + ".\r\n")
			p.Rest()
			testworld.Until(t, func() bool { return lost != nil }, r)
			if !errors.Is(lost, tlsio.ErrPipelined) || len(b.got) > 0 {
				t.Errorf("lost with %v, %d messages", lost, len(b.got))
			}
		})
	}
}

// watched notes why its connection was lost.
type watched struct {
	reactor.Protocol
	lost *error
}

func (x *watched) ConnectionLost(err error) { *x.lost = err; x.Protocol.ConnectionLost(err) }
func (x *watched) Unwrap() reactor.Protocol { return x.Protocol }
