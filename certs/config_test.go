package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/tlsio"
)

// TestClientVerifies is TLS-40: chain and name are verified unless somebody says
// otherwise, and TLS-42 and TLS-44: what fails ends the connection on both sides.
func TestClientVerifies(t *testing.T) {
	ca, other := tlstest.NewAuthority("ca"), tlstest.NewAuthority("other")
	mid := ca.Intermediate("mid")
	noSAN := ca.Issue(func(c *x509.Certificate) { c.DNSNames = nil }, "example.com")
	forClients := ca.Issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "example.com")
	for _, test := range []struct {
		name string
		cert tls.Certificate
		host string
		rule error
	}{
		{"good", ca.Leaf("example.com"), "example.com", nil},
		{"chain", mid.Leaf("example.com"), "example.com", nil},
		{"wildcard", ca.Leaf("*.example.com"), "www.example.com", nil},
		{"case and dot", ca.Leaf("example.com"), "EXAMPLE.com.", nil},
		{"TLS-42 other name", ca.Leaf("example.com"), "example.org", certs.ErrName},
		{"TLS-42 no names", noSAN, "example.com", certs.ErrName},
		{"TLS-44 untrusted", other.Leaf("example.com"), "example.com", certs.ErrUntrusted},
		{"TLS-44 self-signed", tlstest.SelfSigned("example.com"), "example.com", certs.ErrUntrusted},
		{"for clients", forClients, "example.com", certs.ErrUsage},
		{"expired", ca.Expired("example.com"), "example.com", certs.ErrExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				store, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{{Certificate: &test.cert}}, AllowExpired: true})
				if err != nil {
					t.Fatal(err)
				}
				o := tlstest.Handshake(t, tlstest.Server(t, certs.ServerOptions{MaxVersion: version, Store: store}), tlstest.Client(t, test.host, ca, certs.ClientOptions{}))
				if test.rule == nil {
					if o.ClientErr != nil || o.ServerErr != nil || o.Client.Version != version {
						t.Fatalf("%+v", o)
					}
					continue
				}
				tlstest.WantError(t, tlsio.Explain(o.ClientErr, test.host), test.rule)
				if o.ServerErr == nil {
					t.Error("the server saw no failure")
				}
			}
		})
	}
}

// TestPlatformDoesNotTrustMadeUp is TLS-44 for the platform's store, which is the
// default of TLS-40.
func TestPlatformDoesNotTrustMadeUp(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	for name, roots := range map[string]certs.Roots{"default": {}, "named": {Platform: true}} {
		t.Run(name, func(t *testing.T) {
			cfg := tlstest.Client(t, "example.com", nil, certs.ClientOptions{Roots: roots})
			if cfg.InsecureSkipVerify || (cfg.RootCAs == nil) != (name == "default") {
				t.Fatalf("%+v", cfg)
			}
			if system, err := x509.SystemCertPool(); err != nil || cfg.RootCAs != nil && !cfg.RootCAs.Equal(system) {
				t.Errorf("not the platform's roots: %v", err)
			}
			o := tlstest.Handshake(t, tlstest.Server(t, certs.ServerOptions{}, ca.Leaf("example.com")), cfg)
			if err := tlsio.Explain(o.ClientErr, "example.com"); !errors.Is(err, certs.ErrUntrusted) && !errors.Is(err, certs.ErrNoRoots) {
				t.Errorf("got %v", err)
			}
			if o.ServerErr == nil {
				t.Error("the server saw no failure")
			}
		})
	}
}

// TestServerNameIndication is TLS-41: SNI is the IDNA form of a DNS name, none for an IP
// address, and IP addresses are checked against the certificate's.
func TestServerNameIndication(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	cert := ca.Leaf("xn--bcher-kva.example", "127.0.0.1", "2001:db8::1")
	for _, test := range []struct {
		host, sni string
		rule      error
	}{
		{"bücher.example", "xn--bcher-kva.example", nil},
		{"BÜCHER.example", "xn--bcher-kva.example", nil},
		{"127.0.0.1", "", nil},
		{"[2001:db8::1]", "", nil},
		{"2001:db8::1%eth0", "", nil},
		{"::ffff:127.0.0.1", "", nil},
		{"127.0.0.2", "", certs.ErrName},
	} {
		t.Run(test.host, func(t *testing.T) {
			srv := tlstest.Server(t, certs.ServerOptions{}, cert)
			sni, pick := "unasked", srv.GetCertificate
			srv.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				sni = h.ServerName
				return pick(h)
			}
			o := tlstest.Handshake(t, srv, tlstest.Client(t, test.host, ca, certs.ClientOptions{}))
			if sni != test.sni {
				t.Errorf("SNI %q, want %q", sni, test.sni)
			}
			if err := tlsio.Explain(o.ClientErr, test.host); test.rule == nil && err != nil || test.rule != nil && !errors.Is(err, test.rule) {
				t.Errorf("got %v, want %v", err, test.rule)
			}
		})
	}
}

// TestMutual is TLS-46.
func TestMutual(t *testing.T) {
	ca, clients, other := tlstest.NewAuthority("ca"), tlstest.NewAuthority("clients"), tlstest.NewAuthority("other")
	mid := clients.Intermediate("client mid")
	for _, test := range []struct {
		name     string
		optional bool
		cert     tls.Certificate // none: no PrivateKey
		visible  string
		refused  bool
	}{
		{name: "right", cert: clients.Client("alice"), visible: "alice"},
		{name: "chain", cert: mid.Client("bob"), visible: "bob"},
		{name: "optional, shown", optional: true, cert: clients.Client("alice"), visible: "alice"},
		{name: "optional, anonymous", optional: true},
		{name: "anonymous", refused: true},
		{name: "wrong authority", cert: other.Client("mallory"), refused: true},
		{name: "for servers", cert: clients.Leaf("alice"), refused: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			srv := tlstest.Server(t, certs.ServerOptions{
				ClientCAs:          certs.Roots{Certificates: []*x509.Certificate{clients.Cert}},
				OptionalClientCert: test.optional,
			}, ca.Leaf("example.com"))
			var o certs.ClientOptions
			if test.cert.PrivateKey != nil {
				o.Certificates = []certs.Source{{Certificate: &test.cert}}
			}
			got := tlstest.Handshake(t, srv, tlstest.Client(t, "example.com", ca, o))
			if test.refused {
				if got.ServerErr == nil || got.ClientErr == nil {
					t.Fatalf("taken: %+v", got)
				}
				tlstest.WantError(t, tlsio.Explain(got.ClientErr, "example.com"), tlsio.ErrPeerRefused)
				return
			}
			if got.ServerErr != nil || got.ClientErr != nil {
				t.Fatalf("client: %v; server: %v", got.ClientErr, got.ServerErr)
			}
			visible := ""
			if certs := got.Server.PeerCertificates; len(certs) > 0 {
				visible = certs[0].Subject.CommonName
			}
			if visible != test.visible {
				t.Errorf("the server sees %q, want %q", visible, test.visible)
			}
		})
	}
}

// TestMutualWrongAuthorityShown is TLS-46 for a client that shows its certificate though
// the server did not ask for its authority.
func TestMutualWrongAuthorityShown(t *testing.T) {
	ca, clients := tlstest.NewAuthority("ca"), tlstest.NewAuthority("clients")
	stranger := tlstest.NewAuthority("other").Client("mallory")
	srv := tlstest.Server(t, certs.ServerOptions{
		ClientCAs:          certs.Roots{Certificates: []*x509.Certificate{clients.Cert}},
		OptionalClientCert: true, // and yet what is shown must be good
	}, ca.Leaf("example.com"))
	cfg := tlstest.Client(t, "example.com", ca, certs.ClientOptions{})
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
	o := tlstest.Handshake(t, srv, cfg)
	err := tlsio.Explain(o.ServerErr, "")
	tlstest.WantError(t, err, certs.ErrUntrusted, "mallory", `issuer "CN=other"`)
	if e, ok := errors.AsType[*tlsio.HandshakeError](err); !ok || e.Cert.Subject.CommonName != "mallory" {
		t.Errorf("%v names no certificate", err)
	}
	tlstest.WantError(t, tlsio.Explain(o.ClientErr, "example.com"), tlsio.ErrPeerRefused)
}

// TestContradictions is TLS-47, and the part of TLS-2 that is about a configuration: each
// fails when it is made.
func TestContradictions(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	cert := ca.Leaf("example.com")
	dir := t.TempDir()
	file := tlstest.WriteFile(t, dir, "cert.pem", tlstest.CertPEM(cert.Certificate...))
	key := tlstest.WriteFile(t, dir, "key", tlstest.KeyPEM(cert.PrivateKey))
	mine := []certs.Source{{Certificate: &cert}}
	trust := certs.Roots{Certificates: []*x509.Certificate{ca.Cert}}
	store, err := certs.Load(&certs.StoreOptions{Sources: mine, Time: tlstest.Time})
	if err != nil {
		t.Fatal(err)
	}
	src := func(s certs.Source) *certs.ServerOptions {
		return &certs.ServerOptions{Certificates: []certs.Source{s}, Time: tlstest.Time}
	}
	for name, test := range map[string]struct {
		server *certs.ServerOptions
		client *certs.ClientOptions
		want   error
	}{
		"key without certificate":     {server: src(certs.Source{KeyFile: key}), want: certs.ErrOptions},
		"certificate without key":     {server: src(certs.Source{File: file}), want: certs.ErrNoKey},
		"chain without certificate":   {server: src(certs.Source{ChainFile: file}), want: certs.ErrOptions},
		"empty source":                {server: src(certs.Source{}), want: certs.ErrOptions},
		"file and directory":          {server: src(certs.Source{File: file, Dir: dir}), want: certs.ErrOptions},
		"directory and key":           {server: src(certs.Source{Dir: dir, KeyFile: key}), want: certs.ErrOptions},
		"no certificate":              {server: &certs.ServerOptions{}, want: certs.ErrNoCertificate},
		"nil":                         {want: certs.ErrNoCertificate},
		"missing file":                {server: src(certs.Source{File: dir + "/none"}), want: fs.ErrNotExist},
		"optional without CAs":        {server: &certs.ServerOptions{Certificates: mine, OptionalClientCert: true, Time: tlstest.Time}, want: certs.ErrOptions},
		"store and certificates":      {server: &certs.ServerOptions{Certificates: mine, Store: store}, want: certs.ErrOptions},
		"missing CAs":                 {server: &certs.ServerOptions{Store: store, ClientCAs: certs.Roots{Files: []string{dir + "/none"}}}, want: fs.ErrNotExist},
		"CAs that are none":           {server: &certs.ServerOptions{Store: store, ClientCAs: certs.Roots{Files: []string{}}}, want: certs.ErrNoRoots},
		"empty protocol":              {server: &certs.ServerOptions{Store: store, NextProtos: []string{""}}, want: certs.ErrOptions},
		"client: key alone":           {client: &certs.ClientOptions{Certificates: []certs.Source{{KeyFile: key}}}, want: certs.ErrOptions},
		"client: roots, unverified":   {client: &certs.ClientOptions{Roots: trust, InsecureSkipVerify: true}, want: certs.ErrOptions},
		"client: store, certificates": {client: &certs.ClientOptions{Store: store, Certificates: mine}, want: certs.ErrOptions},
		"client: empty protocol":      {client: &certs.ClientOptions{NextProtos: []string{""}}, want: certs.ErrOptions},
		"client: missing roots":       {client: &certs.ClientOptions{Roots: certs.Roots{Dirs: []string{dir + "/none"}}}, want: fs.ErrNotExist},
		"client: platform and pool":   {client: &certs.ClientOptions{Roots: certs.Roots{Platform: true, Pool: ca.Pool()}}, want: certs.ErrOptions},
	} {
		t.Run(name, func(t *testing.T) {
			var cfg *tls.Config
			var err error
			if test.client != nil {
				cfg, err = certs.ClientConfig("example.com", test.client)
			} else {
				cfg, err = certs.ServerConfig(test.server)
			}
			if cfg != nil {
				t.Error("there is a configuration all the same")
			}
			tlstest.WantError(t, err, test.want)
		})
	}
}

// TestVersions is TLS-48.
func TestVersions(t *testing.T) {
	const v10, v11, v12, v13 = tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13
	cert := tlstest.NewAuthority("ca").Leaf("example.com")
	for _, test := range []struct {
		low, high uint16
		insecure  bool
		min, max  uint16
		bad       bool
	}{
		{min: v12},
		{low: v13, min: v13},
		{low: v12, high: v12, min: v12, max: v12},
		{high: v12, min: v12, max: v12},
		{insecure: true, min: v12}, // alone it lowers nothing
		{low: v10, insecure: true, min: v10},
		{low: v10, high: v11, insecure: true, min: v10, max: v11},
		{low: v10, bad: true},
		{low: v11, bad: true},
		{high: v11, bad: true},
		{high: v11, insecure: true, bad: true}, // below the least
		{low: v13, high: v12, bad: true},
		{low: 0x300, insecure: true, bad: true},
		{low: 0x305, bad: true},
	} {
		srv, err := certs.ServerConfig(&certs.ServerOptions{
			Certificates: []certs.Source{{Certificate: &cert}}, Time: tlstest.Time,
			MinVersion: test.low, MaxVersion: test.high, InsecureOldVersions: test.insecure,
		})
		cli, cliErr := certs.ClientConfig("example.com", &certs.ClientOptions{
			MinVersion: test.low, MaxVersion: test.high, InsecureOldVersions: test.insecure,
		})
		if test.bad {
			tlstest.WantError(t, err, certs.ErrOptions)
			tlstest.WantError(t, cliErr, certs.ErrOptions)
			continue
		}
		if err != nil || cliErr != nil {
			t.Fatalf("%+v: %v, %v", test, err, cliErr)
		}
		for _, cfg := range []*tls.Config{srv, cli} {
			if cfg.MinVersion != test.min || cfg.MaxVersion != test.max {
				t.Errorf("%+v: got %#x to %#x", test, cfg.MinVersion, cfg.MaxVersion)
			}
		}
	}
}

// TestOldPeerRefused is TLS-48 on the wire: by default nobody gets below TLS 1.2.
func TestOldPeerRefused(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	cli := tlstest.Client(t, "example.com", ca, certs.ClientOptions{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, InsecureOldVersions: true})
	o := tlstest.Handshake(t, tlstest.Server(t, certs.ServerOptions{}, ca.Leaf("example.com")), cli)
	tlstest.WantError(t, tlsio.Explain(o.ClientErr, "example.com"), tlsio.ErrPeerRefused, "protocol version", "MinVersion")
}

// TestALPN is TLS-50 as far as a configuration goes.
func TestALPN(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	for _, test := range []struct {
		name           string
		server, client []string
		want           string
		refused        bool
	}{
		{"the server prefers", []string{"b", "a"}, []string{"a", "b"}, "b", false},
		{"the server offers none", nil, []string{"a"}, "", false},
		{"the client offers none", []string{"a"}, nil, "", false},
		{"no overlap", []string{"a"}, []string{"b"}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := tlstest.Handshake(t, tlstest.Server(t, certs.ServerOptions{NextProtos: test.server}, ca.Leaf("example.com")),
				tlstest.Client(t, "example.com", ca, certs.ClientOptions{NextProtos: test.client}))
			if test.refused {
				if o.ServerErr == nil {
					t.Error("the server took it")
				}
				tlstest.WantError(t, tlsio.Explain(o.ClientErr, "example.com"), tlsio.ErrPeerRefused, "NextProtos")
				return
			}
			if o.ClientErr != nil || o.Client.NegotiatedProtocol != test.want || o.Server.NegotiatedProtocol != test.want {
				t.Errorf("%q and %q, want %q: %v", o.Client.NegotiatedProtocol, o.Server.NegotiatedProtocol, test.want, o.ClientErr)
			}
		})
	}
}

// TestOptOut says the one word with which verification is off, and that nothing else
// turns it off.
func TestOptOut(t *testing.T) {
	srv := tlstest.Server(t, certs.ServerOptions{}, tlstest.SelfSigned("example.com"))
	if o := tlstest.Handshake(t, srv, tlstest.Client(t, "", nil, certs.ClientOptions{InsecureSkipVerify: true})); o.ClientErr != nil {
		t.Error(o.ClientErr)
	}
	if o := tlstest.Handshake(t, srv, tlstest.Client(t, "example.org", nil, certs.ClientOptions{InsecureSkipVerify: true})); o.ClientErr != nil {
		t.Error(o.ClientErr)
	}
	_, err := certs.ClientConfig("", nil) // TLS-40: a name is not optional
	tlstest.WantError(t, err, certs.ErrName)
	for _, verified := range []bool{true, false} {
		_, err = certs.ClientConfig("a b", &certs.ClientOptions{InsecureSkipVerify: !verified}) // TLS-40: what cannot be a name
		tlstest.WantError(t, err, certs.ErrName)
	}
}

// TestByHand is that a result may be changed, and that options are not kept.
func TestByHand(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	protos := []string{"a"}
	srv := tlstest.Server(t, certs.ServerOptions{NextProtos: protos}, ca.Leaf("example.com"))
	protos[0] = "b"
	if !slices.Equal(srv.NextProtos, []string{"a"}) {
		t.Error("the configuration follows the caller's slice")
	}
	srv.CurvePreferences = []tls.CurveID{tls.CurveP384}
	cli := tlstest.Client(t, "example.com", ca, certs.ClientOptions{})
	o := tlstest.Handshake(t, srv, cli)
	if o.ClientErr != nil || o.Client.CurveID != tls.CurveP384 {
		t.Errorf("curve %v, %v", o.Client.CurveID, o.ClientErr)
	}
	// TLS-49: what is left to crypto/tls is left alone.
	if srv.SessionTicketsDisabled || srv.CipherSuites != nil || srv.Renegotiation != tls.RenegotiateNever {
		t.Errorf("TLS-49: %+v", srv)
	}
	if cli.SessionTicketsDisabled || cli.ClientSessionCache != nil || cli.CipherSuites != nil || cli.Renegotiation != tls.RenegotiateNever {
		t.Errorf("%+v", cli)
	}
	// TLS-49: by hand sessions are kept and tickets go off.
	cli.ClientSessionCache, cli.MaxVersion = tls.NewLRUClientSessionCache(1), tls.VersionTLS12
	for i, want := range []bool{false, true, false} {
		srv.SessionTicketsDisabled = i == 2
		if o := tlstest.Handshake(t, srv, cli); o.ClientErr != nil || o.Client.DidResume != want {
			t.Errorf("TLS-49: handshake %d resumed %v, want %v; %v", i, o.Client.DidResume, want, o.ClientErr)
		}
	}
}
