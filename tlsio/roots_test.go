package tlsio_test

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/tlsio"
)

// TestRoots is TLS-45: one authority, a list, files, directories, a pool of one's
// own, and all of them together.
func TestRoots(t *testing.T) {
	one, two, three := newAuthority("one"), newAuthority("two"), newAuthority("three")
	dir := t.TempDir()
	both := write(t, dir, "both.crt", one.pem(), two.pem())
	withKey := write(t, dir, "with-key.crt", bothPEM(one.leaf("example.com")), one.pem())
	dirs := t.TempDir()
	write(t, dirs, "two.pem", two.pem())
	write(t, dirs, "three.pem", three.pem())
	pool := two.pool()
	for name, test := range map[string]struct {
		roots  tlsio.Roots
		trusts string
	}{
		"one":       {tlsio.Roots{Certificates: []*x509.Certificate{one.cert}}, "one"},
		"list":      {tlsio.Roots{Certificates: []*x509.Certificate{one.cert, three.cert}}, "one three"},
		"file":      {tlsio.Roots{Files: []string{both}}, "one two"},
		"with key":  {tlsio.Roots{Files: []string{withKey}}, "one"},
		"directory": {tlsio.Roots{Dirs: []string{dirs}}, "two three"},
		"pool":      {tlsio.Roots{Pool: pool}, "two"},
		"together":  {tlsio.Roots{Pool: pool, Files: []string{withKey}, Certificates: []*x509.Certificate{three.cert}}, "one two three"},
		"platform":  {tlsio.Roots{Platform: true, Files: []string{both}}, "one two"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.roots.Load(nil)
			if err != nil && test.roots.Platform {
				wantError(t, err, tlsio.ErrNoRoots)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range []*authority{one, two, three} {
				leaf := a.leaf("example.com").Leaf
				_, err := leaf.Verify(x509.VerifyOptions{Roots: got, DNSName: "example.com", CurrentTime: testTime()})
				if want := strings.Contains(test.trusts, a.cert.Subject.CommonName); (err == nil) != want {
					t.Errorf("%v: %v", a.cert.Subject, err)
				}
			}
		})
	}
	if !pool.Equal(two.pool()) {
		t.Error("the caller's pool was changed")
	}
}

// TestRootDirSkips is GRAM-21 as far as it is about reading: files that cannot be read
// or hold no certificates are skipped, each with its reason in the log.
func TestRootDirSkips(t *testing.T) {
	ca := newAuthority("ca")
	dir := t.TempDir()
	write(t, dir, "good.pem", ca.pem())
	write(t, dir, "empty.pem")
	write(t, dir, "half.pem", ca.pem()[:50])
	write(t, dir, "key.pem", keyPEM(ca.key))
	write(t, dir, "README.txt", []byte("hello"))
	var log bytes.Buffer
	r := tlsio.Roots{Dirs: []string{dir}}
	pool, err := r.Load(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !pool.Equal(ca.pool()) {
		t.Error("other roots than the good one")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("log: %s", log.String())
	}
	for i, want := range []string{"empty.pem", "half.pem", "key.pem"} {
		reason := []error{tlsio.ErrEmpty, tlsio.ErrNotPEM, tlsio.ErrNoCertificate}[i]
		if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], reason.Error()) {
			t.Errorf("%s: want %s and %q", lines[i], want, reason)
		}
	}
}

// TestNoRoots: trust in nobody, or in the platform by mistake, is never the outcome.
func TestNoRoots(t *testing.T) {
	ca := newAuthority("ca")
	dir := t.TempDir()
	r := tlsio.Roots{Dirs: []string{dir}}
	_, err := r.Load(nil)
	wantError(t, err, tlsio.ErrNoRoots, dir, "as .pem")
	write(t, dir, "half.pem", ca.pem()[:50])
	_, err = r.Load(nil)
	wantError(t, err, tlsio.ErrNoRoots, "half.pem")
	wantError(t, err, tlsio.ErrNotPEM)
	r = tlsio.Roots{Files: []string{write(t, dir, "key.pem", keyPEM(ca.key))}}
	_, err = r.Load(nil)
	wantError(t, err, tlsio.ErrNoCertificate, "key.pem")
	r = tlsio.Roots{}
	_, err = r.Load(nil)
	wantError(t, err, tlsio.ErrNoRoots)
	r = tlsio.Roots{Certificates: []*x509.Certificate{{}}}
	_, err = r.Load(nil)
	wantError(t, err, tlsio.ErrOptions)
}
