package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Faults of a file of certificates or keys, for errors.Is. A file that is missing or
// may not be read is fs.ErrNotExist or fs.ErrPermission.
var (
	// ErrFile: not a regular file, or larger than any certificate file is.
	ErrFile = errors.New("not a file of certificates")
	// ErrEmpty: the file holds nothing.
	ErrEmpty = errors.New("the file is empty")
	// ErrNotPEM: there is no PEM block, as in DER, or a block is cut short or damaged,
	// as in a file that is still being written.
	ErrNotPEM = errors.New("not PEM")
	// ErrBlockType: a PEM block of a type that cannot be used there.
	ErrBlockType = errors.New("wrong type of PEM block")
	// ErrMalformed: a block of the right type whose content cannot be parsed.
	ErrMalformed = errors.New("the block cannot be parsed")
	// ErrNoCertificate: there must be a certificate, and there is none.
	ErrNoCertificate = errors.New("no certificate")
	// ErrNoKey: there must be a private key, and there is none.
	ErrNoKey = errors.New("no private key")
	// ErrSeveralKeys: more than one private key for one certificate.
	ErrSeveralKeys = errors.New("more than one private key")
	// ErrEncryptedKey: the private key needs a passphrase.
	ErrEncryptedKey = errors.New("the private key is encrypted")
	// ErrKeyMismatch: the private key belongs to another certificate.
	ErrKeyMismatch = errors.New("the private key does not belong to the certificate")
	// ErrShortKey: the private key is too short for TLS.
	ErrShortKey = errors.New("the private key is too short")
	// ErrChainOrder: a certificate did not issue the one before it.
	ErrChainOrder = errors.New("the chain is out of order")
	// ErrExpired: the certificate has expired or is not yet valid.
	ErrExpired = errors.New("the certificate has expired or is not yet valid")
)

// Error says which file of certificates or keys cannot be used, why, and what
// to do.
type Error struct {
	// Path is the file or directory; empty for what was given in memory.
	Path string
	// Block is the number of the PEM block, counted from 1. 0: the file as a whole.
	Block int
	// Cert is the certificate at fault, or nil.
	Cert *x509.Certificate
	// Err is the fault: one of this package's errors, or the system's.
	Err error
	// Detail adds to Err what is particular to this file. It may be empty.
	Detail string
	// Remedy is what to do, or empty.
	Remedy string
}

// Error is one line, such as "\"server.pem\", block 2: the private key is encrypted;
// decrypt it with ...". The path is quoted, because a name may have any bytes but two.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Path == "" {
		b.WriteString("certificate in memory")
	} else {
		b.WriteString(strconv.Quote(e.Path))
	}
	if e.Block > 0 {
		fmt.Fprintf(&b, ", block %d", e.Block)
	}
	if e.Cert != nil {
		b.WriteString(", " + Describe(e.Cert))
	}
	err := e.Err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // the path has been said
	}
	fmt.Fprintf(&b, ": %v", err)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

// Rules that a peer's certificate may break in a handshake, for errors.Is of an error
// from tlsio.Explain. ErrName, ErrExpired and ErrNoRoots are such rules too.
var (
	// ErrUntrusted: no chain leads from the certificate to a trust root.
	ErrUntrusted = errors.New("the certificate is not trusted")
	// ErrUsage: the certificate is for something else, such as for clients only.
	ErrUsage = errors.New("the certificate is not for this use")
	// ErrConstraint: some other rule of X.509.
	ErrConstraint = errors.New("the certificate breaks a rule")
)

// Describe names a certificate in one line: subject, issuer, serial number and the
// beginning of its SHA-256 fingerprint. Each is shortened, because the certificate may be
// a stranger's.
func Describe(c *x509.Certificate) string {
	serial := "none"
	if c.SerialNumber != nil {
		serial = c.SerialNumber.Text(16)
	}
	print := sha256.Sum256(c.Raw)
	return fmt.Sprintf("certificate %q (issuer %q, serial %s, sha256 %x)",
		Shorten(c.Subject.String()), Shorten(c.Issuer.String()), Shorten(serial), print[:6])
}

// Shorten returns text, or the first 300 bytes of a longer one, with "..." behind them. It
// is for text that a peer has chosen.
func Shorten(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
