package tlsio_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/tlsio"
)

// TestExplainCertificates: which certificate, which name, which rule, what to do; and
// what crypto/x509 said is still there for errors.As.
func TestExplainCertificates(t *testing.T) {
	ca, other := tlstest.NewAuthority("ca"), tlstest.NewAuthority("other")
	mid := ca.Intermediate("mid")
	noSAN := ca.Issue(func(c *x509.Certificate) { c.DNSNames = nil }, "example.com")
	forClients := ca.Issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "example.com")
	alone := mid.Leaf("example.com")
	alone.Certificate = alone.Certificate[:1]
	many := ca.Leaf("a.example", "b.example", "c.example", "192.0.2.1", "d.example", "e.example", "f.example")
	constrained := ca.Intermediate("constrained")
	limit := tlstest.Template("constrained")
	tlstest.AsAuthority(limit)
	limit.PermittedDNSDomains = []string{"elsewhere.example"}
	constrained.Cert = tlstest.Sign(limit, ca.Cert, constrained.Key.Public(), ca.Key)
	constrained.Chain = [][]byte{constrained.Cert.Raw}
	anew, sameName := tlstest.Template("ca"), tlstest.SelfSigned("example.com") // as after a second run of the script that makes an authority
	tlstest.AsAuthority(anew)
	anew = tlstest.Sign(anew, anew, tlstest.KeyOf("anew").Public(), tlstest.KeyOf("anew"))
	madeAnew := &tlstest.Authority{Cert: anew, Key: tlstest.KeyOf("anew")}
	self := tlstest.Template("ca")
	tlstest.AsLeaf(self, []string{"example.com"})
	sameName.Certificate = [][]byte{tlstest.Sign(self, self, tlstest.KeyOf("anew").Public(), tlstest.KeyOf("anew")).Raw}
	sameName.Leaf, sameName.PrivateKey = nil, tlstest.KeyOf("anew")
	for _, test := range []struct {
		name  string
		cert  tls.Certificate
		rule  error
		says  []string
		below func(error) bool
	}{
		{"other name", ca.Leaf("www.example.org", "192.0.2.1"), certs.ErrName,
			[]string{`"CN=www.example.org"`, `issuer "CN=ca"`, `asked for "example.com"`, `it is for "www.example.org", 192.0.2.1`, "ask for one of these"},
			is[x509.HostnameError]},
		{"no names", noSAN, certs.ErrName, []string{"no subject alternative names", "issued again"}, is[x509.HostnameError]},
		{"many names", many, certs.ErrName, []string{`"a.example", "b.example", "c.example", "d.example", "e.example", 2 more`}, is[x509.HostnameError]},
		{"untrusted", other.Leaf("example.com"), certs.ErrUntrusted,
			[]string{`asked for "example.com"`, `issuer "CN=other"`, "not among the trust roots", "add the authority", "intermediate"}, is[x509.UnknownAuthorityError]},
		{"self-signed", tlstest.SelfSigned("example.com"), certs.ErrUntrusted, []string{"self-signed", "add it to the trust roots"}, is[x509.UnknownAuthorityError]},
		{"authority made anew", madeAnew.Leaf("example.com"), certs.ErrUntrusted,
			[]string{`its issuer is "CN=ca"`, "has that name, but did not sign it", "verification", "made anew"}, is[x509.UnknownAuthorityError]},
		{"self-signed, made anew", sameName, certs.ErrUntrusted,
			[]string{"it is self-signed", "has that name, but did not sign it", "made anew"}, is[x509.UnknownAuthorityError]},
		{"intermediate left out", alone, certs.ErrUntrusted, []string{`issuer "CN=mid"`, "sent no other certificate", "send its intermediate"}, is[x509.UnknownAuthorityError]},
		{"chain to another root", other.Intermediate("mid").Leaf("example.com"), certs.ErrUntrusted, []string{"not among the trust roots"}, is[x509.UnknownAuthorityError]},
		{"expired", ca.Expired("example.com"), certs.ErrExpired, []string{`asked for "example.com"`, "2026-05-31", "renew", "clock"}, is[x509.CertificateInvalidError]},
		{"not yet valid", ca.Future("example.com"), certs.ErrExpired, []string{"2026-06-02", "clock"}, is[x509.CertificateInvalidError]},
		{"for clients", forClients, certs.ErrUsage, []string{`"CN=example.com"`, "extended key usage"}, is[x509.CertificateInvalidError]},
		{"outside of its authority", constrained.Leaf("example.com"), certs.ErrConstraint, []string{"example.com", "rules"}, is[x509.CertificateInvalidError]},
	} {
		t.Run(test.name, func(t *testing.T) {
			store, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{{Certificate: &test.cert}}, AllowExpired: true})
			if err != nil {
				t.Fatal(err)
			}
			o := tlstest.Handshake(t, tlstest.Server(t, certs.ServerOptions{Store: store}), tlstest.Client(t, "example.com", ca, certs.ClientOptions{}))
			got := tlsio.Explain(o.ClientErr, "example.com")
			tlstest.WantError(t, got, test.rule, test.says...)
			e, ok := errors.AsType[*tlsio.HandshakeError](got)
			if !ok || e.Rule != test.rule || e.Name != "example.com" || e.Remedy == "" || e.Cert == nil {
				t.Errorf("%#v", e)
			}
			if sent := strings.Contains(got.Error(), "sent no other"); sent && len(test.cert.Certificate) > 1 {
				t.Errorf("%v, but there was a chain", got)
			}
			if !test.below(got) || !is[*tls.CertificateVerificationError](got) {
				t.Errorf("%v hides what crypto/x509 said", got)
			}
			if again := tlsio.Explain(fmt.Errorf("dial: %w", got), "x"); !strings.HasPrefix(again.Error(), "dial: ") {
				t.Errorf("explained twice: %v", again)
			}
		})
	}
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// TestExplainClients is the same for a server that judges its clients.
func TestExplainClients(t *testing.T) {
	ca, clients := tlstest.NewAuthority("ca"), tlstest.NewAuthority("clients")
	old := clients.Issue(func(c *x509.Certificate) {
		c.NotAfter = tlstest.Time().AddDate(0, 0, -1)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}, "alice")
	srv := tlstest.Server(t, certs.ServerOptions{ClientCAs: certs.Roots{Pool: clients.Pool()}}, ca.Leaf("example.com"))
	cli := tlstest.Client(t, "example.com", ca, certs.ClientOptions{})
	cli.Certificates = []tls.Certificate{old}
	o := tlstest.Handshake(t, srv, cli)
	err := tlsio.Explain(o.ServerErr, "")
	tlstest.WantError(t, err, certs.ErrExpired, `"CN=alice"`)
	if strings.Contains(err.Error(), "asked for") {
		t.Errorf("%v names a host that nobody asked for", err)
	}
	tlstest.WantError(t, tlsio.Explain(o.ClientErr, "example.com"), tlsio.ErrPeerRefused, "our certificate has expired", "renew")
}

// An authority that is trusted has issued the certificate, but has signed it in a way that is not accepted any more.
func TestExplainOldSignature(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root, leaf := tlstest.Template("ca"), tlstest.Template("example.com")
	tlstest.AsAuthority(root)
	tlstest.AsLeaf(leaf, []string{"example.com"})
	leaf.SignatureAlgorithm = x509.ECDSAWithSHA1
	root = tlstest.Sign(root, root, key.Public(), key)
	leaf = tlstest.Sign(leaf, root, key.Public(), key)
	o := tlstest.VerifyOptions(&tlstest.Authority{Cert: root}, "example.com")
	_, err = leaf.Verify(o)
	got := tlsio.Explain(err, "example.com")
	tlstest.WantError(t, got, certs.ErrUntrusted, "signed with ECDSA-SHA1", "issued again")
	if strings.Contains(got.Error(), "not among the trust roots") || strings.Contains(got.Error(), "made anew") {
		t.Error(got)
	}
}

// A stranger's certificate, whose names are as long as it likes, does not make a long line.
func TestExplainIsShort(t *testing.T) {
	long := strings.Repeat("\x01", 40_000)
	ca, other := tlstest.NewAuthority(long), tlstest.NewAuthority("other")
	for _, c := range []tls.Certificate{ca.Leaf(long), other.Leaf(long)} {
		_, err := c.Leaf.Verify(tlstest.VerifyOptions(other, "example.com"))
		got := tlsio.Explain(err, "example.com")
		if e, ok := errors.AsType[*tlsio.HandshakeError](got); !ok || len(got.Error()) > 10_000 {
			t.Errorf("%#v, %d bytes", e, len(got.Error()))
		}
	}
}

// TestExplainAlerts: what the peer's alert means for us.
func TestExplainAlerts(t *testing.T) {
	ca, clients := tlstest.NewAuthority("ca"), tlstest.NewAuthority("clients")
	mutual := certs.ServerOptions{ClientCAs: certs.Roots{Pool: clients.Pool()}}
	none := tlstest.Server(t, mutual, ca.Leaf("example.com"))
	o := tlstest.Handshake(t, none, tlstest.Client(t, "example.com", ca, certs.ClientOptions{}))
	tlstest.WantError(t, tlsio.Explain(o.ClientErr, "example.com"), tlsio.ErrPeerRefused, "certificate required", "give the client a certificate", "with the intermediate certificates")
	// A server that has heard that its certificate is not trusted.
	o = tlstest.Handshake(t, tlstest.Server(t, certs.ServerOptions{}, ca.Leaf("example.com")), tlstest.Client(t, "example.com", clients, certs.ClientOptions{}))
	tlstest.WantError(t, tlsio.Explain(o.ServerErr, ""), tlsio.ErrPeerRefused, "our certificate", "check the certificate that we show")
	// What we sent ourselves is not the peer's.
	own := &net.OpError{Op: "local error", Err: tls.AlertError(40)}
	if got := tlsio.Explain(own, ""); got != own {
		t.Errorf("got %v", got)
	}
	tlstest.WantError(t, tlsio.Explain(&net.OpError{Op: "remote error", Err: tls.AlertError(255)}, ""), tlsio.ErrPeerRefused)
}

// TestExplainNotTLS: a peer that speaks something else, in the clear.
func TestExplainNotTLS(t *testing.T) {
	for says, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n":             "HTTP in the clear",
		"OPTIONS * HTTP/1.1\r\n":                   "HTTP in the clear",
		"PUT /x HTTP/1.1\r\n":                      "HTTP in the clear",
		"PRI * HTTP/2.0\r\n":                       "HTTP in the clear",
		"220 mail.example ESMTP\r\n":               "STARTTLS",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n": "PROXY protocol: read it below TLS",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c":   "PROXY protocol: read it below TLS",
	} {
		ours, theirs := net.Pipe()
		go func() {
			bufio.NewReader(theirs).Discard(64)
			io.WriteString(theirs, says)
			theirs.Close()
		}()
		cfg := tlstest.Client(t, "example.com", tlstest.NewAuthority("ca"), certs.ClientOptions{})
		err := tls.Client(ours, cfg).Handshake()
		tlstest.WantError(t, tlsio.Explain(err, "example.com"), tlsio.ErrNotTLS, fmt.Sprintf("%q", says[:5]), want)
		ours.Close()
	}
}

// TestExplainOthers: what it does not know, and what is explained already, stays.
func TestExplainOthers(t *testing.T) {
	if tlsio.Explain(nil, "x") != nil {
		t.Error("an error of nil")
	}
	file := &certs.Error{Path: "x", Err: certs.ErrEmpty}
	for _, err := range []error{io.EOF, file, net.ErrClosed} {
		if got := tlsio.Explain(err, "x"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	for _, err := range []error{
		x509.HostnameError{Certificate: new(x509.Certificate), Host: "x"},
		x509.UnknownAuthorityError{}, x509.CertificateInvalidError{}, x509.SystemRootsError{},
		x509.ConstraintViolationError{}, x509.UnhandledCriticalExtension{}, x509.InsecureAlgorithmError(0),
	} { // whatever is left out of them, nothing panics, and there is something to do
		if e, ok := errors.AsType[*tlsio.HandshakeError](tlsio.Explain(err, "x")); !ok || e.Rule == nil || e.Remedy == "" {
			t.Errorf("%T is told as %v", err, e)
		}
	}
}

// A system without trust roots says why it has none.
func TestExplainNoRoots(t *testing.T) {
	err := tlsio.Explain(x509.SystemRootsError{Err: io.ErrNoProgress}, "example.com")
	tlstest.WantError(t, err, certs.ErrNoRoots, io.ErrNoProgress.Error(), "install the system's trust roots")
}

// An error that does not say which certificate it is about is about the one that the peer has shown.
func TestExplainNamesTheShown(t *testing.T) {
	shown := tlstest.NewAuthority("shown").Cert
	for _, err := range []error{
		x509.CertificateInvalidError{}, x509.ConstraintViolationError{}, x509.UnhandledCriticalExtension{}, x509.InsecureAlgorithmError(0),
	} {
		err = &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{shown, {}}, Err: err}
		e, ok := errors.AsType[*tlsio.HandshakeError](tlsio.Explain(err, "x"))
		if !ok || e.Cert != shown || !strings.Contains(e.Error(), "CN=shown") {
			t.Errorf("%v is told as %v", err, e)
		}
	}
}

// Each alert that a peer may send about certificates and parameters has its own words.
func TestExplainEachAlert(t *testing.T) {
	for number, words := range map[tls.AlertError]string{
		40: "shares no parameters", 42: "could not use", 43: "of our kind", 44: "revoked", 45: "expired",
		46: "did not accept", 48: "authority", 49: "not let in", 51: "a key was wrong", 70: "no version",
		71: "stronger parameters", 80: "inside of it", 112: "no such name", 116: "wants a certificate", 120: "ALPN",
	} {
		err := tlsio.Explain(&net.OpError{Op: "remote error", Err: number}, "")
		if !errors.Is(err, tlsio.ErrPeerRefused) || !strings.Contains(err.Error(), words) {
			t.Errorf("alert %d is told as %q, want %q in it", number, err, words)
		}
	}
}
