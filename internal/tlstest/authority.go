// Package tlstest has certificates, and the files and handshakes to try them, for the
// tests of the packages about TLS.
//
// Keys and serial numbers are made from names, and times are fixed, so that every run
// makes the same bytes. Tests with programs that have the real clock use NewAuthorityAt.
package tlstest

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

// Time is when every test takes place. It is for Config.Time.
func Time() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// Authority issues certificates.
type Authority struct {
	Cert  *x509.Certificate
	Key   ed25519.PrivateKey
	Chain [][]byte // certificates that a server sends between a leaf and the root; none for a root
}

// NewAuthority makes a root that is valid at Time.
func NewAuthority(name string) *Authority { return NewAuthorityAt(name, Time()) }

// NewAuthorityAt makes a root that is valid from a year before now to a year after it. The
// certificates that it issues are valid for as long.
func NewAuthorityAt(name string, now time.Time) *Authority {
	key := KeyOf(name)
	c := Template(name)
	AsAuthority(c)
	c.NotBefore, c.NotAfter = around(now)
	return &Authority{Cert: Sign(c, c, key.Public(), key), Key: key}
}

// Intermediate makes an authority below a. Certificates that it issues carry the chain
// up to the root, without the root.
func (a *Authority) Intermediate(name string) *Authority {
	key := KeyOf(name)
	c := a.template(name)
	AsAuthority(c)
	cert := Sign(c, a.Cert, key.Public(), a.Key)
	return &Authority{Cert: cert, Key: key, Chain: append([][]byte{cert.Raw}, a.Chain...)}
}

// Pool trusts a and nothing else.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// PEM is a's own certificate.
func (a *Authority) PEM() []byte { return CertPEM(a.Cert.Raw) }

// Leaf issues a server's certificate for DNS names and IP addresses. The first is also
// its common name.
func (a *Authority) Leaf(names ...string) tls.Certificate { return a.Issue(nil, names...) }

// Client issues a client's certificate.
func (a *Authority) Client(name string) tls.Certificate {
	return a.Issue(func(c *x509.Certificate) {
		c.DNSNames = nil
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}, name)
}

// Expired issues a leaf that expired a day before Time.
func (a *Authority) Expired(names ...string) tls.Certificate {
	return a.Issue(func(c *x509.Certificate) { c.NotAfter = Time().Add(-24 * time.Hour) }, names...)
}

// Future issues a leaf that becomes valid a day after Time.
func (a *Authority) Future(names ...string) tls.Certificate {
	return a.Issue(func(c *x509.Certificate) { c.NotBefore = Time().Add(24 * time.Hour) }, names...)
}

// Renewed issues another leaf for the same name and key.
func (a *Authority) Renewed(name string) tls.Certificate {
	return a.Issue(func(c *x509.Certificate) { c.SerialNumber.SetInt64(77) }, name)
}

// SelfSigned makes a leaf that no authority has signed.
func SelfSigned(names ...string) tls.Certificate {
	key := KeyOf("self " + names[0])
	c := Template(names[0])
	AsLeaf(c, names)
	return certificate(Sign(c, c, key.Public(), key), key, nil)
}

// Issue issues a leaf. change, unless nil, is called before it is signed.
func (a *Authority) Issue(change func(*x509.Certificate), names ...string) tls.Certificate {
	key := KeyOf("leaf " + names[0])
	c := a.template(names[0])
	AsLeaf(c, names)
	if change != nil {
		change(c)
	}
	return certificate(Sign(c, a.Cert, key.Public(), a.Key), key, a.Chain)
}

// IssueFor issues a leaf for somebody else's key.
func (a *Authority) IssueFor(key crypto.Signer, names ...string) tls.Certificate {
	c := a.template(names[0])
	AsLeaf(c, names)
	return certificate(Sign(c, a.Cert, key.Public(), a.Key), key, a.Chain)
}

// template is a certificate that is valid for as long as a's own.
func (a *Authority) template(name string) *x509.Certificate {
	c := Template(name)
	c.NotBefore, c.NotAfter = a.Cert.NotBefore, a.Cert.NotAfter
	return c
}

func certificate(leaf *x509.Certificate, key crypto.Signer, chain [][]byte) tls.Certificate {
	return tls.Certificate{
		Certificate: append([][]byte{leaf.Raw}, chain...),
		PrivateKey:  key,
		Leaf:        leaf,
	}
}

// Template is a certificate to be signed, neither an authority nor a leaf yet.
func Template(name string) *x509.Certificate {
	sum := sha256.Sum256([]byte("serial " + name))
	from, to := around(Time())
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(sum[:8]),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    from,
		NotAfter:     to,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func around(now time.Time) (from, to time.Time) { return now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0) }

// AsAuthority makes c an authority's.
func AsAuthority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign
}

// AsLeaf makes c a server's.
func AsLeaf(c *x509.Certificate, names []string) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip, err := netip.ParseAddr(name); err == nil {
			c.IPAddresses = append(c.IPAddresses, net.IP(ip.AsSlice()))
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
}

// KeyOf is the key that belongs to a name.
func KeyOf(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte("key " + name))
	return ed25519.NewKeyFromSeed(sum[:])
}

// Sign signs c, which has the key pub, with the certificate by and its key.
func Sign(c, by *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
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

// CertPEM is certificates as a file holds them.
func CertPEM(ders ...[]byte) (out []byte) {
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// KeyPEM is a private key as a file holds it.
func KeyPEM(key crypto.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// BothPEM is a certificate, its chain and its key in one file.
func BothPEM(c tls.Certificate) []byte {
	return append(CertPEM(c.Certificate...), KeyPEM(c.PrivateKey)...)
}

// VerifyOptions trusts a, for host, at Time.
func VerifyOptions(a *Authority, host string) x509.VerifyOptions {
	return x509.VerifyOptions{Roots: a.Pool(), DNSName: host, CurrentTime: Time()}
}
