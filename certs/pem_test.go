package certs_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/tlsio"
)

func block(kind string, der []byte, headers map[string]string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der, Headers: headers})
}

// TestDefectiveFiles is TLS-2 for everything that may be wrong with a file: the error
// says which file, which block, what and the remedy.
func TestDefectiveFiles(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	mid := ca.Intermediate("mid")
	leaf, other := mid.Leaf("example.com"), ca.Leaf("example.org")
	cert, midPEM, key := tlstest.CertPEM(leaf.Certificate[0]), tlstest.CertPEM(mid.Cert.Raw), tlstest.KeyPEM(leaf.PrivateKey)
	whole := tlstest.BothPEM(leaf)
	expired, future := ca.Expired("example.com"), ca.Future("example.com")
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cannotSign := tlstest.KeyPEM(x25519)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	strangeCurve, _ := x509.MarshalECPrivateKey(ecKey)
	p256, unknown := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 0x7f} // object identifiers
	strangeCurve = bytes.Replace(strangeCurve, p256, unknown, 1)
	likeMid := tlstest.Template("mid") // the same name and another key
	tlstest.AsAuthority(likeMid)
	forged := tlstest.Sign(likeMid, ca.Cert, tlstest.KeyOf("forger").Public(), ca.Key)
	many := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, test := range []struct {
		name   string
		data   []byte
		want   error
		block  int
		says   string
		remedy string
	}{
		{"empty", nil, certs.ErrEmpty, 0, "", "write the certificate"},
		{"blank", []byte(" \n\r\n"), certs.ErrEmpty, 0, "", "write the certificate"},
		{"text", []byte("hello\n"), certs.ErrNotPEM, 0, "no line with BEGIN", "name a PEM file"},
		{"certificate in DER", leaf.Certificate[0], certs.ErrNotPEM, 0, "certificate in DER", "openssl x509 -inform der"},
		{"key in DER", pkcs8, certs.ErrNotPEM, 0, "private key in DER", "openssl pkey -inform der"},
		{"DER of something", []byte{0x30, 1, 2}, certs.ErrNotPEM, 0, "PKCS #12", "convert"},
		{"cut in the certificate", cert[:len(cert)/2], certs.ErrNotPEM, 1, "cut short", "write the file again"},
		{"cut in the chain", many(key, cert, midPEM[:len(midPEM)-20]), certs.ErrNotPEM, 3, "cut short", "write the file again"},
		{"damaged in the middle", many(cert, midPEM[:40], key), certs.ErrNotPEM, 2, "cut short", "write the file again"},
		{"TLS-47 no key", cert, certs.ErrNoKey, 0, "", "append the private key"},
		{"TLS-47 no certificate", key, certs.ErrNoCertificate, 0, "", "put the certificate first"},
		{"two keys", many(cert, key, tlstest.KeyPEM(other.PrivateKey)), certs.ErrSeveralKeys, 3, "", "own key only"},
		{"another's key", many(tlstest.CertPEM(leaf.Certificate...), tlstest.KeyPEM(other.PrivateKey)), certs.ErrKeyMismatch, 3, `"CN=example.com"`, "was requested"},
		{"encrypted, PKCS #8", many(cert, block("ENCRYPTED PRIVATE KEY", []byte{1}, nil)), certs.ErrEncryptedKey, 2, "", "openssl pkey"},
		{"encrypted, old", many(cert, block("RSA PRIVATE KEY", []byte{1}, map[string]string{"Proc-Type": "4,ENCRYPTED"})), certs.ErrEncryptedKey, 2, "", "openssl pkey"},
		{"request", block("CERTIFICATE REQUEST", []byte{1}, nil), certs.ErrBlockType, 1, "CERTIFICATE REQUEST", "have the authority sign"},
		{"public key", many(cert, block("PUBLIC KEY", []byte{1}, nil)), certs.ErrBlockType, 2, "PUBLIC KEY", "private key is needed"},
		{"openssl's trusted", many(block("TRUSTED CERTIFICATE", leaf.Certificate[0], nil), key), certs.ErrBlockType, 1, "TRUSTED", "openssl x509"},
		{"PKCS #7", block("PKCS7", []byte{1}, nil), certs.ErrBlockType, 1, "PKCS7", "-print_certs"},
		{"unknown block", many(cert, block("SECRET", []byte{1}, nil), key), certs.ErrBlockType, 2, "SECRET", "remove"},
		{"ssh key", many(cert, block("OPENSSH PRIVATE KEY", []byte{1}, nil)), certs.ErrBlockType, 2, "OPENSSH", "ssh-keygen"},
		{"bad certificate", many(block("CERTIFICATE", []byte{1, 2}, nil), key), certs.ErrMalformed, 1, "", "issued or exported again"},
		{"bad key", many(cert, block("PRIVATE KEY", []byte{1, 2}, nil)), certs.ErrMalformed, 2, "", "PKCS #8"},
		{"key that cannot sign", many(cert, cannotSign), certs.ErrMalformed, 2, "cannot sign", "use a key of RSA, ECDSA"},
		{"key on a curve that TLS does not take", many(cert, block("EC PRIVATE KEY", strangeCurve, nil)), certs.ErrMalformed, 2, "unknown elliptic curve", "P-256, P-384 or P-521"},
		{"leaf behind its issuer", many(midPEM, cert, key), certs.ErrChainOrder, 2, "does not come first", "put it first"},
		{"unrelated in the chain", many(cert, ca.PEM(), key), certs.ErrChainOrder, 2, `whose issuer is "CN=mid"`, "each followed by its issuer"},
		{"chain upside down", many(cert, ca.PEM(), midPEM, key), certs.ErrChainOrder, 2, `whose issuer is "CN=mid"`, "each followed by its issuer"},
		{"another's intermediate", many(cert, tlstest.CertPEM(forged.Raw), key), certs.ErrChainOrder, 2, "did not sign it", "came with the certificate"},
		{"expired", tlstest.BothPEM(expired), certs.ErrExpired, 1, `"CN=example.com"`, "renew it"},
		{"not yet valid", tlstest.BothPEM(future), certs.ErrExpired, 1, `"CN=example.com"`, "clock"},
		{"too large", many(whole, bytes.Repeat([]byte{'\n'}, 5<<20)), certs.ErrFile, 0, "more than", "name the certificate's file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := tlstest.WriteFile(t, t.TempDir(), "server.pem", test.data)
			_, err := tlstest.Load(certs.Source{File: path})
			tlstest.WantError(t, err, test.want, path, test.says, test.remedy)
			e, ok := errors.AsType[*certs.Error](err)
			if !ok || e.Path != path || e.Block != test.block || e.Remedy == "" {
				t.Errorf("%#v, want block %d", e, test.block)
			}
		})
	}
}

// TestUnreadable: what is no file, is missing or a pipe is told and never waited for.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	_, err := tlstest.Load(certs.Source{File: filepath.Join(dir, "none.pem")})
	tlstest.WantError(t, err, fs.ErrNotExist, "none.pem", "check the path")
	_, err = tlstest.Load(certs.Source{File: dir})
	tlstest.WantError(t, err, certs.ErrFile, "directory")
	_, err = tlstest.Load(certs.Source{File: os.DevNull})
	tlstest.WantError(t, err, certs.ErrFile, "regular file")
	_, err = tlstest.Load(certs.Source{Dir: filepath.Join(dir, "none")})
	tlstest.WantError(t, err, fs.ErrNotExist, "none")
	_, err = tlstest.Load(certs.Source{Dir: dir})
	tlstest.WantError(t, err, certs.ErrNoCertificate, dir, ".pem")
}

// TestGoodFiles: every way in which a certificate and its key may stand in files
// (TLS-53: PEM is read, with what belongs to it).
func TestGoodFiles(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	mid := ca.Intermediate("mid")
	leaf := mid.Leaf("example.com")
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, rs := ca.IssueFor(ecKey, "example.com"), ca.IssueFor(rsaKey, "example.com")
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, chain, key := tlstest.CertPEM(leaf.Certificate[0]), tlstest.CertPEM(mid.Cert.Raw), tlstest.KeyPEM(leaf.PrivateKey)
	crlf := bytes.ReplaceAll(tlstest.BothPEM(leaf), []byte("\n"), []byte("\r\n"))
	for _, test := range []struct {
		name          string
		file, key, ch [][]byte
		chain         int // certificates
	}{
		{"one file", [][]byte{cert, chain, key}, nil, nil, 2},
		{"key first", [][]byte{key, cert, chain}, nil, nil, 2},
		{"with the root", [][]byte{cert, chain, ca.PEM(), key}, nil, nil, 3},
		{"key apart", [][]byte{cert, chain}, [][]byte{key}, nil, 2},
		{"chain apart", [][]byte{cert, key}, nil, [][]byte{chain}, 2},
		{"all apart", [][]byte{cert}, [][]byte{key}, [][]byte{chain, ca.PEM()}, 3},
		{"the same file twice", [][]byte{cert, key}, [][]byte{cert, key}, nil, 1},
		{"text around", [][]byte{[]byte("Subject: us\n"), cert, []byte("bag attributes\n"), key, []byte("\n\n")}, nil, nil, 1},
		{"CRLF", [][]byte{crlf}, nil, nil, 2},
		{"byte order mark", [][]byte{[]byte("\ufeff"), cert, key}, nil, nil, 1},
		{"SEC 1 with parameters", [][]byte{tlstest.CertPEM(ec.Certificate...), block("EC PARAMETERS", []byte{6, 1, 0}, nil), block("EC PRIVATE KEY", sec1, nil)}, nil, nil, 1},
		{"PKCS #1", [][]byte{tlstest.CertPEM(rs.Certificate...), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil)}, nil, nil, 1},
		{"RSA, PKCS #8", [][]byte{tlstest.CertPEM(rs.Certificate...), tlstest.KeyPEM(rsaKey)}, nil, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			src := certs.Source{File: tlstest.WriteFile(t, dir, "server.pem", test.file...)}
			if test.key != nil {
				src.KeyFile = tlstest.WriteFile(t, dir, "server.key", test.key...)
			}
			if test.ch != nil {
				src.ChainFile = tlstest.WriteFile(t, dir, "chain.pem", test.ch...)
			}
			store, err := tlstest.Load(src)
			if err != nil {
				t.Fatal(err)
			}
			got := store.Certificates()
			if len(got) != 1 || len(got[0].Certificate) != test.chain || got[0].Leaf.Subject.CommonName != "example.com" {
				t.Fatalf("%+v", got)
			}
			o := tlstest.Handshake(t, tlstest.Server(t, certs.ServerOptions{Store: store}), tlstest.Client(t, "example.com", ca, certs.ClientOptions{}))
			if test.chain == 1 && got[0].Leaf.Issuer.CommonName == "mid" { // it serves all the same
				tlstest.WantError(t, tlsio.Explain(o.ClientErr, "example.com"), certs.ErrUntrusted, "intermediate")
			} else if o.ClientErr != nil {
				t.Error(o.ClientErr)
			}
		})
	}
}

// TestDefectsApart: with several files the one at fault is named.
func TestDefectsApart(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	leaf, other := ca.Leaf("example.com"), ca.Leaf("example.org")
	dir := t.TempDir()
	cert := tlstest.WriteFile(t, dir, "cert.pem", tlstest.CertPEM(leaf.Certificate...))
	key := tlstest.WriteFile(t, dir, "key.pem", tlstest.KeyPEM(leaf.PrivateKey))
	wrong := tlstest.WriteFile(t, dir, "wrong.pem", tlstest.KeyPEM(other.PrivateKey))
	unrelated := tlstest.WriteFile(t, dir, "chain.pem", tlstest.CertPEM(other.Certificate...))
	for name, test := range map[string]struct {
		src  certs.Source
		want error
		path string
	}{
		"wrong key":       {certs.Source{File: cert, KeyFile: wrong}, certs.ErrKeyMismatch, wrong},
		"no key in file":  {certs.Source{File: cert, KeyFile: cert}, certs.ErrNoKey, cert},
		"swapped":         {certs.Source{File: key, KeyFile: cert}, certs.ErrNoCertificate, key},
		"unrelated chain": {certs.Source{File: cert, KeyFile: key, ChainFile: unrelated}, certs.ErrChainOrder, unrelated},
		"chain of keys":   {certs.Source{File: cert, KeyFile: key, ChainFile: key}, certs.ErrNoCertificate, key},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tlstest.Load(test.src)
			e, ok := errors.AsType[*certs.Error](err)
			if !errors.Is(err, test.want) || !ok || e.Path != test.path {
				t.Errorf("got %v, want %v of %s", err, test.want, test.path)
			}
		})
	}
}

// TestMemoryDefects: a certificate in memory is held to the same rules.
func TestMemoryDefects(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	good, other, expired := ca.Leaf("example.com"), ca.Leaf("example.org"), ca.Expired("example.net")
	noKey, noCert, wrongKey, bad, chain := good, good, good, good, good
	noKey.PrivateKey = nil
	noCert.Certificate = nil
	wrongKey.PrivateKey = other.PrivateKey
	bad.Certificate = [][]byte{{1}}
	chain.Certificate = [][]byte{good.Certificate[0], other.Certificate[0]}
	for _, test := range []struct {
		cert tls.Certificate
		want error
	}{
		{noKey, certs.ErrNoKey},
		{noCert, certs.ErrNoCertificate},
		{wrongKey, certs.ErrKeyMismatch},
		{bad, certs.ErrMalformed},
		{chain, certs.ErrChainOrder},
		{expired, certs.ErrExpired},
	} {
		_, err := tlstest.Load(certs.Source{Certificate: &test.cert})
		tlstest.WantError(t, err, test.want, "certificate in memory")
	}
	if _, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{{Certificate: &expired}}, Time: tlstest.Time, AllowExpired: true}); err != nil {
		t.Error("AllowExpired:", err)
	}
	_, err := certs.Load(&certs.StoreOptions{})
	tlstest.WantError(t, err, certs.ErrNoCertificate)
}

// TestSystemClock: without a clock of the options the system's decides.
func TestSystemClock(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old := ca.Issue(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 1, 0) }, "example.com")
	_, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{{Certificate: &old}}})
	tlstest.WantError(t, err, certs.ErrExpired)
	long := ca.Issue(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(200, 0, 0) }, "example.com")
	if _, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{{Certificate: &long}}}); err != nil {
		t.Error(err)
	}
}

// FuzzFile: whatever a file holds, the error is an Error of one line, and nothing
// panics.
func FuzzFile(f *testing.F) {
	leaf := tlstest.NewAuthority("ca").Intermediate("mid").Leaf("example.com")
	whole := tlstest.BothPEM(leaf)
	for _, seed := range [][]byte{nil, whole, whole[:100], leaf.Certificate[0], []byte(pemFragment), bytes.ReplaceAll(whole, []byte("\n"), []byte("\r"))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := tlstest.WriteFile(t, t.TempDir(), "x.pem", data)
		_, err := tlstest.Load(certs.Source{File: path})
		if e, ok := errors.AsType[*certs.Error](err); err != nil && (!ok || e.Remedy == "" || bytes.ContainsAny([]byte(err.Error()), "\r\n")) {
			t.Errorf("%q", err)
		}
		r := certs.Roots{Files: []string{path}}
		if _, err := r.Load(nil); err != nil && !errors.As(err, new(*certs.Error)) {
			t.Errorf("%q", err)
		}
	})
}

const pemFragment = "-----BEGIN CERTIFICATE-----\n-----BEGIN X-----\n-----END X-----\n"

// TLS-2: the certificate of an RSA key with which no handshake can succeed is refused, from files and from memory.
func TestShortKey(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0") // to make one
	key, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	issued := tlstest.NewAuthority("ca").IssueFor(key, "example.com")
	path := filepath.Join(t.TempDir(), "short.pem")
	if err := os.WriteFile(path, append(tlstest.CertPEM(issued.Certificate...), tlstest.KeyPEM(key)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []certs.Source{{File: path}, {Certificate: &issued}} {
		_, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{s}})
		if e, ok := errors.AsType[*certs.Error](err); !ok || e.Err != certs.ErrShortKey || e.Path != s.File || e.Cert == nil || !strings.Contains(err.Error(), "512") {
			t.Errorf("TLS-2: %v", err)
		}
	}
}
