package certs_test

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
)

// TestRoots is TLS-45: one authority, a list, files, directories, a pool of one's
// own, and all of them together.
func TestRoots(t *testing.T) {
	one, two, three := tlstest.NewAuthority("one"), tlstest.NewAuthority("two"), tlstest.NewAuthority("three")
	dir := t.TempDir()
	both := tlstest.WriteFile(t, dir, "both.crt", one.PEM(), two.PEM())
	withKey := tlstest.WriteFile(t, dir, "with-key.crt", tlstest.BothPEM(one.Leaf("example.com")), one.PEM())
	dirs := t.TempDir()
	tlstest.WriteFile(t, dirs, "two.pem", two.PEM())
	tlstest.WriteFile(t, dirs, "three.pem", three.PEM())
	pool := two.Pool()
	for name, test := range map[string]struct {
		roots  certs.Roots
		trusts string
	}{
		"one":       {certs.Roots{Certificates: []*x509.Certificate{one.Cert}}, "one"},
		"list":      {certs.Roots{Certificates: []*x509.Certificate{one.Cert, three.Cert}}, "one three"},
		"file":      {certs.Roots{Files: []string{both}}, "one two"},
		"with key":  {certs.Roots{Files: []string{withKey}}, "one"},
		"directory": {certs.Roots{Dirs: []string{dirs}}, "two three"},
		"pool":      {certs.Roots{Pool: pool}, "two"},
		"together":  {certs.Roots{Pool: pool, Files: []string{withKey}, Certificates: []*x509.Certificate{three.Cert}}, "one two three"},
		"platform":  {certs.Roots{Platform: true, Files: []string{both}}, "one two"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.roots.Load(nil)
			if err != nil && test.roots.Platform {
				tlstest.WantError(t, err, certs.ErrNoRoots)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range []*tlstest.Authority{one, two, three} {
				leaf := a.Leaf("example.com").Leaf
				_, err := leaf.Verify(x509.VerifyOptions{Roots: got, DNSName: "example.com", CurrentTime: tlstest.Time()})
				if want := strings.Contains(test.trusts, a.Cert.Subject.CommonName); (err == nil) != want {
					t.Errorf("%v: %v", a.Cert.Subject, err)
				}
			}
		})
	}
	if !pool.Equal(two.Pool()) {
		t.Error("the caller's pool was changed")
	}
}

// TestRootDirSkips is GRAM-21 as far as it is about reading: files that cannot be read
// or hold no certificates are skipped, each with its reason in the log.
func TestRootDirSkips(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	tlstest.WriteFile(t, dir, "good.pem", ca.PEM())
	tlstest.WriteFile(t, dir, "empty.pem")
	tlstest.WriteFile(t, dir, "half.pem", ca.PEM()[:50])
	tlstest.WriteFile(t, dir, "key.pem", tlstest.KeyPEM(ca.Key))
	tlstest.WriteFile(t, dir, "README.txt", []byte("hello"))
	var log bytes.Buffer
	r := certs.Roots{Dirs: []string{dir}}
	pool, err := r.Load(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !pool.Equal(ca.Pool()) {
		t.Error("other roots than the good one")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("log: %s", log.String())
	}
	for i, want := range []string{"empty.pem", "half.pem", "key.pem"} {
		reason := []error{certs.ErrEmpty, certs.ErrNotPEM, certs.ErrNoCertificate}[i]
		if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], reason.Error()) {
			t.Errorf("%s: want %s and %q", lines[i], want, reason)
		}
	}
}

// TestNoRoots is TLS-45: trust in nobody, or in the platform by mistake, is never the outcome.
func TestNoRoots(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	r := certs.Roots{Dirs: []string{dir}}
	_, err := r.Load(nil)
	tlstest.WantError(t, err, certs.ErrNoRoots, dir, "as .pem")
	tlstest.WriteFile(t, dir, "half.pem", ca.PEM()[:50])
	_, err = r.Load(nil)
	tlstest.WantError(t, err, certs.ErrNoRoots, "half.pem")
	tlstest.WantError(t, err, certs.ErrNotPEM)
	r = certs.Roots{Files: []string{tlstest.WriteFile(t, dir, "key.pem", tlstest.KeyPEM(ca.Key))}}
	_, err = r.Load(nil)
	tlstest.WantError(t, err, certs.ErrNoCertificate, "key.pem")
	r = certs.Roots{}
	_, err = r.Load(nil)
	tlstest.WantError(t, err, certs.ErrNoRoots)
	r = certs.Roots{Certificates: []*x509.Certificate{{}}}
	_, err = r.Load(nil)
	tlstest.WantError(t, err, certs.ErrOptions)
}
