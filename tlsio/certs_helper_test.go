package tlsio_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// testTime is when every test takes place, for Config.Time.
func testTime() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// authority issues certificates. Keys and serial numbers come from names and times
// are fixed, so that every run makes the same bytes.
type authority struct {
	cert  *x509.Certificate
	key   ed25519.PrivateKey
	chain [][]byte // what is sent between a leaf and the root; none for a root
}

// newAuthority is a root.
func newAuthority(name string) *authority {
	key := keyOf(name)
	c := template(name)
	asAuthority(c)
	return &authority{cert: sign(c, c, key.Public(), key), key: key}
}

// intermediate is an authority below a; what it issues carries the chain up to,
// and without, the root.
func (a *authority) intermediate(name string) *authority {
	key := keyOf(name)
	c := template(name)
	asAuthority(c)
	cert := sign(c, a.cert, key.Public(), a.key)
	return &authority{cert: cert, key: key, chain: append([][]byte{cert.Raw}, a.chain...)}
}

// pool trusts a and nothing else.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// pem is a's own certificate.
func (a *authority) pem() []byte { return certPEM(a.cert.Raw) }

// leaf is a server's certificate for DNS names and IP addresses; the first is also
// its common name.
func (a *authority) leaf(names ...string) tls.Certificate { return a.issue(nil, names...) }

// client is a client's certificate.
func (a *authority) client(name string) tls.Certificate {
	return a.issue(func(c *x509.Certificate) {
		c.DNSNames = nil
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}, name)
}

// expired is a leaf whose time was over a day before testTime.
func (a *authority) expired(names ...string) tls.Certificate {
	return a.issue(func(c *x509.Certificate) { c.NotAfter = testTime().Add(-24 * time.Hour) }, names...)
}

// future is a leaf whose time comes a day after testTime.
func (a *authority) future(names ...string) tls.Certificate {
	return a.issue(func(c *x509.Certificate) { c.NotBefore = testTime().Add(24 * time.Hour) }, names...)
}

// selfSigned is a leaf that no authority has signed.
func selfSigned(names ...string) tls.Certificate {
	key := keyOf("self " + names[0])
	c := template(names[0])
	asLeaf(c, names)
	return certificate(sign(c, c, key.Public(), key), key, nil)
}

// issue is leaf with a last word for change, which may be nil.
func (a *authority) issue(change func(*x509.Certificate), names ...string) tls.Certificate {
	key := keyOf("leaf " + names[0])
	c := template(names[0])
	asLeaf(c, names)
	if change != nil {
		change(c)
	}
	return certificate(sign(c, a.cert, key.Public(), a.key), key, a.chain)
}

// issueFor is leaf for somebody else's key.
func (a *authority) issueFor(key crypto.Signer, names ...string) tls.Certificate {
	c := template(names[0])
	asLeaf(c, names)
	return certificate(sign(c, a.cert, key.Public(), a.key), key, a.chain)
}

func certificate(leaf *x509.Certificate, key crypto.Signer, chain [][]byte) tls.Certificate {
	return tls.Certificate{
		Certificate: append([][]byte{leaf.Raw}, chain...),
		PrivateKey:  key,
		Leaf:        leaf,
	}
}

func template(name string) *x509.Certificate {
	sum := sha256.Sum256([]byte("serial " + name))
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(sum[:8]),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    testTime().AddDate(-1, 0, 0),
		NotAfter:     testTime().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func asAuthority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign
}

func asLeaf(c *x509.Certificate, names []string) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip, err := netip.ParseAddr(name); err == nil {
			c.IPAddresses = append(c.IPAddresses, net.IP(ip.AsSlice()))
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
}

func keyOf(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte("key " + name))
	return ed25519.NewKeyFromSeed(sum[:])
}

func sign(c, by *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(nil, c, by, pub, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

// certPEM is certificates as a file holds them.
func certPEM(ders ...[]byte) (out []byte) {
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// keyPEM is a private key as a file holds it.
func keyPEM(key crypto.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// bothPEM is a certificate, its chain and its key in one file.
func bothPEM(c tls.Certificate) []byte {
	return append(certPEM(c.Certificate...), keyPEM(c.PrivateKey)...)
}

// verifyOptions trusts a, for host, at testTime.
func verifyOptions(a *authority, host string) x509.VerifyOptions {
	return x509.VerifyOptions{Roots: a.pool(), DNSName: host, CurrentTime: testTime()}
}
