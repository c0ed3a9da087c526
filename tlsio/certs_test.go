package tlsio_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/whorl-go/whorl/tlsio"
)

// TestPick: several certificates by SNI, and the first for everybody else.
func TestPick(t *testing.T) {
	ca := newAuthority("ca")
	srv := server(t, tlsio.ServerOptions{},
		ca.leaf("default.example"),
		ca.leaf("*.wild.example"),
		ca.leaf("exact.wild.example"),
		ca.leaf("Two.example", "second.example"),
		ca.leaf("xn--bcher-kva.example"),
		ca.leaf("127.0.0.1"),
		ca.leaf("exact.wild.example ii", "exact.wild.example"), // the first with a name has it
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
			cfg := client(t, test.host, nil, tlsio.ClientOptions{InsecureSkipVerify: true})
			o := handshake(t, srv, cfg)
			if got := o.shown(t); got != test.shown {
				t.Errorf("got %s, want %s", got, test.shown)
			}
		})
	}
}

// TestPickByAddress: a client that sends no name and connects to an address that no
// certificate has gets the first.
func TestPickByAddress(t *testing.T) {
	ca := newAuthority("ca")
	srv := server(t, tlsio.ServerOptions{}, ca.leaf("default.example"), ca.leaf("192.0.2.1"))
	o := handshake(t, srv, client(t, "", nil, tlsio.ClientOptions{InsecureSkipVerify: true}))
	if got := o.shown(t); got != "default.example" {
		t.Errorf("got %s", got)
	}
	store, err := tlsio.NewStore(&tlsio.StoreOptions{Sources: []tlsio.CertSource{{Certificate: new(ca.leaf("x.example"))}}, Time: testTime})
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
	ca := newAuthority("ca")
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := ca.issueFor(ecKey, "example.com")
	store, err := tlsio.NewStore(&tlsio.StoreOptions{Time: testTime, Sources: []tlsio.CertSource{
		{Certificate: new(ca.leaf("example.com"))}, {Certificate: &ec}, // Ed25519 first
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

// TestDirectory: each file of a directory serves its names, in the order of theirs.
func TestDirectory(t *testing.T) {
	ca := newAuthority("ca")
	dir := t.TempDir()
	for _, name := range []string{"b.example", "a.example", "c.example"} {
		write(t, dir, name+".pem", bothPEM(ca.leaf(name)))
	}
	write(t, dir, "README", []byte("hello"))
	write(t, dir, ".hidden.pem", []byte("hello"))
	cfg, err := tlsio.ServerConfig(&tlsio.ServerOptions{Certificates: []tlsio.CertSource{{Dir: dir}}, Time: testTime})
	if err != nil {
		t.Fatal(err)
	}
	for host, shown := range map[string]string{"a.example": "a.example", "b.example": "b.example", "c.example": "c.example", "d.example": "a.example"} {
		o := handshake(t, cfg, client(t, host, nil, tlsio.ClientOptions{InsecureSkipVerify: true}))
		if got := o.shown(t); got != shown {
			t.Errorf("%s: got %s, want %s", host, got, shown)
		}
	}
	// TLS-2: a broken one fails the start, and is named.
	broken := write(t, dir, "d.pem", certPEM(ca.leaf("d.example").Certificate...))
	_, err = tlsio.NewStore(&tlsio.StoreOptions{Sources: []tlsio.CertSource{{Dir: dir}}, Time: testTime})
	wantError(t, err, tlsio.ErrNoKey, broken)
}

// TestClientPick is TLS-46 on the client's side: it shows what the server's authorities
// issued, and nothing if there is none.
func TestClientPick(t *testing.T) {
	ca, one, two := newAuthority("ca"), newAuthority("one"), newAuthority("two")
	for _, issuer := range []*authority{one, two, newAuthority("three")} {
		t.Run(issuer.cert.Subject.CommonName, func(t *testing.T) {
			srv := server(t, tlsio.ServerOptions{
				ClientCAs: tlsio.Roots{Pool: issuer.pool()}, OptionalClientCert: true,
			}, ca.leaf("example.com"))
			cli := client(t, "example.com", ca, tlsio.ClientOptions{Certificates: []tlsio.CertSource{
				{Certificate: new(one.client("alice"))}, {Certificate: new(two.client("alice"))},
			}})
			o := handshake(t, srv, cli)
			if o.clientErr != nil || o.serverErr != nil {
				t.Fatal(o.clientErr, o.serverErr)
			}
			got := "none"
			if certs := o.server.PeerCertificates; len(certs) > 0 {
				got = certs[0].Issuer.CommonName
			}
			want := map[string]string{"one": "one", "two": "two", "three": "none"}[issuer.cert.Subject.CommonName]
			if got != want {
				t.Errorf("shown: %s, want %s", got, want)
			}
		})
	}
}

// BenchmarkPick shows that the number of certificates does not matter.
func BenchmarkPick(b *testing.B) {
	ca := newAuthority("ca")
	for _, n := range []int{1, 1000} {
		var sources []tlsio.CertSource
		for i := range n {
			sources = append(sources, tlsio.CertSource{Certificate: new(ca.leaf(fmt.Sprintf("n%d.example", i)))})
		}
		store, err := tlsio.NewStore(&tlsio.StoreOptions{Sources: sources, Time: testTime})
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
