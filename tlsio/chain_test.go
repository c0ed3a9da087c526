package tlsio_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"testing"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// padded is a chain whose message is a little shorter than size. The certificates that fill it
// are not needed to verify it.
func padded(t *testing.T, ca *tlstest.Authority, leaf tls.Certificate, size int) tls.Certificate {
	t.Helper()
	has := 0
	for _, c := range leaf.Certificate {
		has += len(c) + 5
	}
	for i := 0; size-has > 2000; i++ {
		fill := min(size-has-1000, 60_000)
		c := ca.Issue(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: make([]byte, fill)}}
		}, fmt.Sprint("filler ", i)).Certificate[0]
		leaf.Certificate = append(leaf.Certificate[:len(leaf.Certificate):len(leaf.Certificate)], c)
		has += len(c) + 5
	}
	return leaf
}

// TLS-64: a chain of the greatest length that crypto/tls takes is taken by default, from a server
// and from a client. A limit that is set still holds.
func TestLongChain(t *testing.T) {
	const size = 255 << 10
	ca := trusted().ca
	versions(t, func(t *testing.T, v uint16) {
		for _, o := range []*tlsio.Options{nil, {Stack: tlsio.StackLoop}, {HandshakeBytes: 250 << 10}} {
			stages(t, []int{0}, func(s *stage) {
				t := s.t
				sc, cc := configs(v)
				sc.Certificates = []tls.Certificate{padded(t, ca, sc.Certificates[0], size)}
				sc.ClientAuth, sc.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
				cc.Certificates = []tls.Certificate{padded(t, ca, ca.Client("alice"), size)}
				srv, cli := new(end), new(end)
				srv.onMade = func() { srv.c.Write([]byte("taken")) }
				cli.onMade = func() { cli.c.Write([]byte("taken")) }
				s.connect(tlsio.Server(sc, one(srv), o), tlsio.Client(cc, one(cli), nil))
				s.until(func() bool { return srv.lost() || cli.lost() || len(srv.got)+len(cli.got) == 10 })
				if o != nil && o.HandshakeBytes > 0 {
					srv.is(t, "TLS-64: server", tlsio.ErrHandshakeTooLong)
					s.until(cli.lost)
					return
				}
				if srv.lost() || cli.lost() {
					t.Fatalf("TLS-64: lost for %v and %v", srv.err, cli.err)
				}
				for _, c := range [][]*x509.Certificate{srv.state.PeerCertificates, cli.state.PeerCertificates} {
					if n := len(c); n != 6 {
						t.Errorf("TLS-64: a chain of %d", n)
					}
				}
				srv.c.Abort()
				s.until(func() bool { return srv.lost() && cli.lost() })
			})
		}
	})
}

// TLS-64: a client without a certificate, which sends no long chain, is cut off earlier, and everybody at last.
func TestEndlessHandshake(t *testing.T) {
	for _, asks := range []bool{false, true} {
		top := new(end)
		sc, cc := configs(tls.VersionTLS12)
		want := 192 << 10
		if asks {
			sc.ClientAuth = tls.RequestClientCert
			want = 1 << 20
		}
		g := rigOf(t, sc, cc, top, nil, false)
		hello := g.p.out
		g.p.out = nil
		// Behind the hello comes a Certificate of 256 KiB, a byte in each record.
		hello = append(hello, ofOneByte(11, 3, 0xff, 0xff)...)
		g.deliver(hello)
		sent := len(hello)
		chunk := ofOneByte(make([]byte, 200)...)
		for !top.lost() && sent < 2<<20 {
			g.u.far.Write(chunk)
			sent += len(chunk)
			g.flow(always)
		}
		top.is(t, "TLS-64", tlsio.ErrHandshakeTooLong, reactor.ErrLost)
		if sent < want || sent > want+2*len(chunk)+len(hello) {
			t.Errorf("TLS-64: asks %v: cut off after %d bytes, want %d", asks, sent, want)
		}
	}
}

// ofOneByte are records of handshake messages with a byte each.
func ofOneByte(p ...byte) (records []byte) {
	for _, b := range p {
		records = append(records, handshakeRecord, 3, 3, 0, 1, b)
	}
	return records
}
