package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
)

// TestPick: several certificates by SNI, and the first for everybody else.
func TestPick(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	srv := tlstest.Server(t, certs.ServerOptions{},
		ca.Leaf("default.example"),
		ca.Leaf("*.wild.example"),
		ca.Leaf("exact.wild.example"),
		ca.Leaf("Two.example", "second.example"),
		ca.Leaf("xn--bcher-kva.example"),
		ca.Leaf("127.0.0.1"),
		ca.Leaf("exact.wild.example ii", "exact.wild.example"), // the first with a name has it
	)
	for _, test := range []struct{ host, shown string }{
		{"default.example", "default.example"},
		{"a.wild.example", "*.wild.example"},
		{"A.Wild.Example", "*.wild.example"},
		{"exact.wild.example", "exact.wild.example"}, // though the wildcard comes first
		{"two.example", "Two.example"},
		{"second.example", "Two.example"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"127.0.0.1", "127.0.0.1"}, // no SNI: by the address connected to
		{"nobody.example", "default.example"},
		{"wild.example", "default.example"},
		{"a.b.wild.example", "default.example"}, // a wildcard is one label
		{"example", "default.example"},
	} {
		t.Run(test.host, func(t *testing.T) {
			cfg := tlstest.Client(t, test.host, nil, certs.ClientOptions{InsecureSkipVerify: true})
			o := tlstest.Handshake(t, srv, cfg)
			if got := o.Shown(t); got != test.shown {
				t.Errorf("got %s, want %s", got, test.shown)
			}
		})
	}
}

// TestPickByAddress: a client that sends no name and connects to an address that no
// certificate has gets the first.
func TestPickByAddress(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	srv := tlstest.Server(t, certs.ServerOptions{}, ca.Leaf("default.example"), ca.Leaf("192.0.2.1"))
	o := tlstest.Handshake(t, srv, tlstest.Client(t, "", nil, certs.ClientOptions{InsecureSkipVerify: true}))
	if got := o.Shown(t); got != "default.example" {
		t.Errorf("got %s", got)
	}
	store, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{{Certificate: new(ca.Leaf("x.example"))}}, Time: tlstest.Time})
	if err != nil {
		t.Fatal(err)
	}
	// Some clients send an address as a name, and a hello may come without a socket.
	for _, name := range []string{"", "192.0.2.1"} {
		c, err := store.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || c.Leaf.Subject.CommonName != "x.example" {
			t.Errorf("%q: %v, %v", name, c, err)
		}
	}
}

// TestPickByKey: of two certificates for a name the client gets one that it can use.
func TestPickByKey(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := ca.IssueFor(ecKey, "example.com")
	store, err := certs.Load(&certs.StoreOptions{Time: tlstest.Time, Sources: []certs.Source{
		{Certificate: new(ca.Leaf("example.com"))}, {Certificate: &ec}, // Ed25519 first
	}})
	if err != nil {
		t.Fatal(err)
	}
	hello := &tls.ClientHelloInfo{
		ServerName: "example.com", SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
	}
	for range 2 { // by name, and as the default
		got, err := store.GetCertificate(hello)
		if err != nil || got.PrivateKey != ecKey {
			t.Errorf("for %q: %v, %v", hello.ServerName, got, err)
		}
		hello.ServerName = "example.org"
	}
}

// TestPickValid: of two certificates for a name, the one that has expired since it was loaded is shown no more, by servers and by clients. One that
// is alone is, so that the peer can say what is wrong.
func TestPickValid(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	now := tlstest.Time()
	until := func(days int, names ...string) *tls.Certificate {
		c := ca.Issue(func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, days) }, names...)
		return &c
	}
	first, second, wild, alone := until(10, "a.example"), until(20, "a.example"), until(30, "*.example"), until(5, "alone.test")
	store, err := certs.Load(&certs.StoreOptions{Time: func() time.Time { return now }, Sources: []certs.Source{
		{Certificate: first}, {Certificate: second}, {Certificate: wild}, {Certificate: alone},
	}})
	if err != nil {
		t.Fatal(err)
	}
	hello := &tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.Ed25519}}
	asked := &tls.CertificateRequestInfo{Version: tls.VersionTLS13, SignatureSchemes: hello.SignatureSchemes}
	for _, test := range []struct {
		day            int
		server, client *tls.Certificate
	}{{9, first, first}, {11, second, second}, {21, wild, wild}, {31, first, first}} {
		now = tlstest.Time().AddDate(0, 0, test.day)
		hello.ServerName = "a.example"
		if got, err := store.GetCertificate(hello); err != nil || !got.Leaf.Equal(test.server.Leaf) {
			t.Errorf("day %d: the server shows %v, %v", test.day, certs.Describe(got.Leaf), err)
		}
		if got, err := store.GetClientCertificate(asked); err != nil || !got.Leaf.Equal(test.client.Leaf) {
			t.Errorf("TLS-46: day %d: the client shows %v, %v", test.day, certs.Describe(got.Leaf), err)
		}
		hello.ServerName = "alone.test"
		if got, err := store.GetCertificate(hello); err != nil || !got.Leaf.Equal(alone.Leaf) {
			t.Errorf("day %d: the server shows %v, %v for another name", test.day, certs.Describe(got.Leaf), err)
		}
	}
}

// TestDirectory: each file of a directory serves its names, in the order of theirs.
func TestDirectory(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	for _, name := range []string{"b.example", "a.example", "c.example"} {
		tlstest.WriteFile(t, dir, name+".pem", tlstest.BothPEM(ca.Leaf(name)))
	}
	tlstest.WriteFile(t, dir, "README", []byte("hello"))
	tlstest.WriteFile(t, dir, ".hidden.pem", []byte("hello"))
	cfg, err := certs.ServerConfig(&certs.ServerOptions{Certificates: []certs.Source{{Dir: dir}}, Time: tlstest.Time})
	if err != nil {
		t.Fatal(err)
	}
	for host, shown := range map[string]string{"a.example": "a.example", "b.example": "b.example", "c.example": "c.example", "d.example": "a.example"} {
		o := tlstest.Handshake(t, cfg, tlstest.Client(t, host, nil, certs.ClientOptions{InsecureSkipVerify: true}))
		if got := o.Shown(t); got != shown {
			t.Errorf("%s: got %s, want %s", host, got, shown)
		}
	}
	// TLS-2: a broken one fails the start, and is named.
	broken := tlstest.WriteFile(t, dir, "d.pem", tlstest.CertPEM(ca.Leaf("d.example").Certificate...))
	_, err = certs.Load(&certs.StoreOptions{Sources: []certs.Source{{Dir: dir}}, Time: tlstest.Time})
	tlstest.WantError(t, err, certs.ErrNoKey, broken)
}

// TestClientPick is TLS-46 on the client's side: it shows what the server's authorities
// issued, and nothing if there is none.
func TestClientPick(t *testing.T) {
	ca, one, two := tlstest.NewAuthority("ca"), tlstest.NewAuthority("one"), tlstest.NewAuthority("two")
	for _, issuer := range []*tlstest.Authority{one, two, tlstest.NewAuthority("three")} {
		t.Run(issuer.Cert.Subject.CommonName, func(t *testing.T) {
			srv := tlstest.Server(t, certs.ServerOptions{
				ClientCAs: certs.Roots{Pool: issuer.Pool()}, OptionalClientCert: true,
			}, ca.Leaf("example.com"))
			cli := tlstest.Client(t, "example.com", ca, certs.ClientOptions{Certificates: []certs.Source{
				{Certificate: new(one.Client("alice"))}, {Certificate: new(two.Client("alice"))},
			}})
			o := tlstest.Handshake(t, srv, cli)
			if o.ClientErr != nil || o.ServerErr != nil {
				t.Fatal(o.ClientErr, o.ServerErr)
			}
			got := "none"
			if certs := o.Server.PeerCertificates; len(certs) > 0 {
				got = certs[0].Issuer.CommonName
			}
			want := map[string]string{"one": "one", "two": "two", "three": "none"}[issuer.Cert.Subject.CommonName]
			if got != want {
				t.Errorf("shown: %s, want %s", got, want)
			}
		})
	}
}

// BenchmarkPick shows that the number of certificates does not matter.
func BenchmarkPick(b *testing.B) {
	ca := tlstest.NewAuthority("ca")
	for _, n := range []int{1, 1000} {
		var sources []certs.Source
		for i := range n {
			sources = append(sources, certs.Source{Certificate: new(ca.Leaf(fmt.Sprintf("n%d.example", i)))})
		}
		store, err := certs.Load(&certs.StoreOptions{Sources: sources, Time: tlstest.Time})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			hello := &tls.ClientHelloInfo{
				ServerName: fmt.Sprintf("n%d.example", n-1), SupportedVersions: []uint16{tls.VersionTLS13},
				SignatureSchemes: []tls.SignatureScheme{tls.Ed25519},
			}
			for b.Loop() {
				if _, err := store.GetCertificate(hello); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
