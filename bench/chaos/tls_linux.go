package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"
)

// serverName is the name in the certificate.
const serverName = "chaos"

// keyPair is a certificate and its key, both in PEM.
type keyPair struct{ Cert, Key []byte }

// newKeyPair makes a certificate for a server, and the configuration of clients that trust it
// alone.
func newKeyPair() (*keyPair, *tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	bits, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	pair := &keyPair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: bits}),
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pair.Cert)
	return pair, &tls.Config{RootCAs: roots, ServerName: serverName}, nil
}

// recorder is a connection that keeps what is written, and has nothing to read.
type recorder struct {
	net.Conn
	buf bytes.Buffer
}

var errRecorded = errors.New("recorded")

func (r *recorder) Write(p []byte) (int, error)      { return r.buf.Write(p) }
func (r *recorder) Read([]byte) (int, error)         { return 0, errRecorded }
func (r *recorder) Close() error                     { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

// clientHello returns a whole ClientHello.
func clientHello(c *tls.Config) []byte {
	var r recorder
	_ = tls.Client(&r, c).Handshake() // fails when it reads
	return r.buf.Bytes()
}

// dialTLS makes a TLS connection, and sends first over it.
func dialTLS(address, from, first string, c *tls.Config) (*tls.Conn, error) {
	raw, err := dial(address, from, "")
	if err != nil {
		return nil, err
	}
	t := tls.Client(raw, c)
	if err = t.Handshake(); err == nil {
		_, err = t.Write([]byte(first))
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return t, nil
}
