package certs_test

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
)

// TestDescribe is TLS-53 as far as it is for reading: subject, issuer, serial number and
// digest; and nothing in a name can break the line.
func TestDescribe(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	evil := ca.Issue(func(c *x509.Certificate) {
		c.SerialNumber.SetInt64(0xabc)
		c.Subject.CommonName = "x\nlevel=ERROR \x1b[31m"
	}, "example.com")
	got := certs.Describe(evil.Leaf)
	print := fmt.Sprintf("sha256 %.6x", sha256.Sum256(evil.Leaf.Raw))
	for _, want := range []string{"CN=x", `issuer "CN=ca"`, "serial abc,", print} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("%q has control characters", got)
	}
}

// A path is quoted wherever an error shows it, so that nothing in a name can break the line.
func TestPathsAreQuoted(t *testing.T) {
	const evil = "x\nlevel=ERROR \x1b[31m"
	cert := certs.Source{File: tlstest.WriteFile(t, t.TempDir(), evil, tlstest.CertPEM(tlstest.NewAuthority("ca").Leaf("a.test").Certificate[0]))}
	wrong := cert
	wrong.KeyFile = tlstest.WriteFile(t, t.TempDir(), "key.pem", tlstest.KeyPEM(tlstest.KeyOf("other")))
	for _, src := range []certs.Source{
		{File: evil}, {Dir: evil}, {KeyFile: evil}, {ChainFile: evil}, {Dir: t.TempDir() + evil}, cert, wrong,
	} {
		_, err := tlstest.Load(src)
		if err == nil {
			t.Errorf("%+v was loaded", src)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, `x\nlevel=ERROR \x1b[31m`) || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%q does not quote the path", text)
		}
	}
}
