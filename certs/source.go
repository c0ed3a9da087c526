package certs

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Source says where a certificate and its private key are. Exactly one of File,
// Dir and Certificate is set.
type Source struct {
	// File is a PEM file. It holds the certificate first, then its chain: each issuer
	// follows what it issued, and the root may be left out. It also holds the private
	// key, at any place, unless KeyFile is set.
	File string
	// KeyFile is the PEM file of the private key. If it is set, keys in File are ignored.
	KeyFile string
	// ChainFile is a PEM file of more certificates of the chain. They follow those of File.
	ChainFile string
	// Dir is a directory. Every file in it whose name ends in .pem holds a
	// certificate, its chain and its key. The files are used in the order of their names.
	Dir string
	// Certificate was made elsewhere. It must not be changed afterwards.
	Certificate *tls.Certificate
}

// check fails if fields contradict each other (TLS-47).
func (s *Source) check() error {
	n := 0
	for _, set := range []bool{s.File != "", s.Dir != "", s.Certificate != nil} {
		if set {
			n++
		}
	}
	switch {
	case n == 0 && s.KeyFile != "":
		return fmt.Errorf("%w: key file %q without a certificate: set Source.File", ErrOptions, s.KeyFile)
	case n == 0 && s.ChainFile != "":
		return fmt.Errorf("%w: chain file %q without a certificate: set Source.File", ErrOptions, s.ChainFile)
	case n != 1:
		return fmt.Errorf("%w: set one of File, Dir and Certificate of a Source, not %d", ErrOptions, n)
	case s.File == "" && (s.KeyFile != "" || s.ChainFile != ""):
		return fmt.Errorf("%w: a key file or a chain file is for a single certificate; those of a directory have their keys and chains in their files", ErrOptions)
	}
	return nil
}

// unit is one certificate to be loaded: its files, or the certificate itself.
type unit struct {
	file, key, chain string
	ready            *tls.Certificate
	source           int // index in Store.sources
}

// units returns what s names now. It is never empty without an error.
func (s *Source) units(source int) ([]unit, error) {
	if s.Dir == "" {
		return []unit{{file: s.File, key: s.KeyFile, chain: s.ChainFile, ready: s.Certificate, source: source}}, nil
	}
	paths, err := pemFiles(s.Dir)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, &Error{Path: s.Dir, Err: ErrNoCertificate, Detail: "no file here ends in .pem", Remedy: "put files into it that hold a certificate, its chain and its key each"}
	}
	found := make([]unit, len(paths))
	for i, path := range paths {
		found[i] = unit{file: path, source: source}
	}
	return found, nil
}

// pemFiles returns the paths of all entries of a directory that end in .pem, sorted.
func pemFiles(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, &Error{Path: dir, Err: err, Remedy: remedyFor(err)}
	}
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && strings.HasSuffix(name, ".pem") && !strings.HasPrefix(name, ".") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, nil
}

// files holds the contents of a unit's files.
type files struct{ cert, key, chain []byte }

// read reads a unit's files.
func (u *unit) read() (f files, err error) {
	for _, one := range []struct {
		path string
		into *[]byte
	}{{u.file, &f.cert}, {u.key, &f.key}, {u.chain, &f.chain}} {
		if one.path == "" {
			continue
		}
		if *one.into, err = readFile(one.path); err != nil {
			return files{}, err
		}
	}
	return f, nil
}

// loader makes certificates from files. It refuses those that peers would refuse.
type loader struct {
	time         func() time.Time // nil: the system's clock
	allowExpired bool
}

// parse makes a certificate from the files of u, and checks it.
func (l *loader) parse(u *unit, f files) (*tls.Certificate, error) {
	if u.ready != nil {
		return l.checkReady(u.ready)
	}
	certs, keys, err := sortBlocks(u.file, f.cert)
	if err != nil {
		return nil, err
	}
	keyPath := u.file
	if u.key != "" {
		keyPath = u.key
		if _, keys, err = sortBlocks(u.key, f.key); err != nil {
			return nil, err
		}
	}
	if len(certs) == 0 {
		return nil, &Error{Path: u.file, Err: ErrNoCertificate, Remedy: "put the certificate first in the file, and name the key's file apart if it has one"}
	}
	if u.chain != "" {
		more, _, err := sortBlocks(u.chain, f.chain)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return nil, &Error{Path: u.chain, Err: ErrNoCertificate, Remedy: "put the certificates of the authorities into it"}
		}
		certs = append(certs, more...)
	}
	switch len(keys) {
	case 0:
		return nil, &Error{Path: keyPath, Err: ErrNoKey, Remedy: "append the private key, or name its file apart"}
	case 1:
	default:
		return nil, keys[1].fail(ErrSeveralKeys, "", "leave the certificate's own key only")
	}
	key, err := keys[0].parseKey()
	if err != nil {
		return nil, err
	}
	return l.assemble(certs, keys[0], key)
}

// assemble makes a certificate from its parts, and checks that they belong together.
func (l *loader) assemble(certs []*pemBlock, keyBlock *pemBlock, key crypto.Signer) (*tls.Certificate, error) {
	out := &tls.Certificate{PrivateKey: key}
	parsed := make([]*x509.Certificate, len(certs))
	for i, b := range certs {
		c, err := b.parseCert()
		if err != nil {
			return nil, err
		}
		parsed[i] = c
		out.Certificate = append(out.Certificate, c.Raw)
	}
	out.Leaf = parsed[0]
	place := func(i int) (string, int) { return certs[i].path, certs[i].n }
	if !matches(parsed[0], key) {
		if i := slices.IndexFunc(parsed, func(c *x509.Certificate) bool { return matches(c, key) }); i > 0 {
			path, n := place(i)
			return nil, &Error{Path: path, Block: n, Cert: parsed[i], Err: ErrChainOrder,
				Detail: "it is the private key's certificate, but does not come first", Remedy: "put it first"}
		}
		detail := "the certificate is " + Describe(parsed[0])
		if keyBlock.path != certs[0].path {
			detail += " in " + strconv.Quote(certs[0].path)
		}
		return nil, keyBlock.fail(ErrKeyMismatch, detail, "use the key with which the certificate was requested")
	}
	if err := checkSize(parsed[0], certs[0].path, certs[0].n); err != nil {
		return nil, err
	}
	if err := l.checkChain(parsed, place); err != nil {
		return nil, err
	}
	return out, nil
}

// checkReady checks a certificate that was made elsewhere, by the rules for files.
func (l *loader) checkReady(ready *tls.Certificate) (*tls.Certificate, error) {
	out := *ready
	if len(out.Certificate) == 0 {
		return nil, &Error{Err: ErrNoCertificate, Remedy: "fill in tls.Certificate.Certificate"}
	}
	signer, ok := out.PrivateKey.(crypto.Signer)
	if !ok {
		if _, ok = out.PrivateKey.(crypto.Decrypter); !ok {
			return nil, &Error{Err: ErrNoKey, Remedy: "fill in tls.Certificate.PrivateKey"}
		}
	}
	var parsed []*x509.Certificate
	for i, der := range out.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &Error{Block: i + 1, Err: ErrMalformed, Detail: err.Error(), Remedy: "fill in DER"}
		}
		parsed = append(parsed, c)
	}
	out.Leaf = parsed[0]
	if signer != nil && !matches(parsed[0], signer) {
		return nil, &Error{Cert: parsed[0], Err: ErrKeyMismatch, Remedy: "use the key with which the certificate was requested"}
	}
	if err := checkSize(parsed[0], "", 1); err != nil {
		return nil, err
	}
	if err := l.checkChain(parsed, func(i int) (string, int) { return "", i + 1 }); err != nil {
		return nil, err
	}
	return &out, nil
}

func matches(c *x509.Certificate, key crypto.Signer) bool {
	pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(key.Public())
}

// leastRSA is the length of the shortest RSA key with which crypto/rsa signs, and which peers accept, in bits.
const leastRSA = 1024

// checkSize fails if no handshake can succeed because the key of c, in that block of the file, is too short.
func checkSize(c *x509.Certificate, path string, block int) error {
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
		return &Error{Path: path, Block: block, Cert: c, Err: ErrShortKey, Detail: fmt.Sprintf("RSA with %d bits", key.N.BitLen()),
			Remedy: "request a certificate for a key of 2048 bits or more"}
	}
	return nil
}

// checkChain checks that each certificate issued the one before it, and that all of
// them are valid now. place returns the path and the block of a certificate.
func (l *loader) checkChain(chain []*x509.Certificate, place func(int) (string, int)) error {
	for i, c := range chain {
		path, n := place(i)
		if i > 0 {
			below := chain[i-1]
			e := &Error{Path: path, Block: n, Cert: c, Err: ErrChainOrder}
			if !bytes.Equal(below.RawIssuer, c.RawSubject) {
				e.Detail = fmt.Sprintf("it did not issue the one before it, whose issuer is %q", below.Issuer)
				e.Remedy = "give the server's certificate first, each followed by its issuer, and nothing else"
				return e
			}
			if err := below.CheckSignatureFrom(c); err != nil {
				e.Detail = "it has the name of the issuer of the one before it, but did not sign it: " + err.Error()
				e.Remedy = "use the chain that came with the certificate"
				return e
			}
		}
		if err := l.checkTime(c); err != nil {
			return &Error{Path: path, Block: n, Cert: c, Err: ErrExpired, Detail: err.Error(), Remedy: "renew it, or set this machine's clock"}
		}
	}
	return nil
}

// checkTime fails if c has expired or is not yet valid, and that matters.
func (l *loader) checkTime(c *x509.Certificate) error {
	if l.allowExpired {
		return nil
	}
	return l.expired(c)
}

// expired fails if c has expired or is not yet valid.
func (l *loader) expired(c *x509.Certificate) error {
	// crypto/x509 decides, so that a certificate passes here if it passes at a peer. It
	// has the system's clock, unless CurrentTime is set.
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if l.time != nil {
		o.CurrentTime = l.time()
	}
	o.Roots.AddCert(c)
	_, err := c.Verify(o)
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return errors.New(e.Detail)
	}
	return nil
}
