package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// issue is issue NAME: it writes ca.pem, the certificate of a new authority, and
// NAME.pem, a certificate of the name, and of 127.0.0.1 if it is localhost, with its
// key.
func issue(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: issue NAME")
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	sign := func(c, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) (*x509.Certificate, []byte) {
		c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), from, to
		if by == nil {
			by = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, byKey)
		ts.Check(err)
		cert, err := x509.ParseCertificate(der)
		ts.Check(err)
		return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		return key
	}
	caKey, key := newKey(), newKey()
	ca, caPEM := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "ca of " + args[0]}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, caKey, caKey)
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: args[0]}, DNSNames: []string{args[0]}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if args[0] == "localhost" {
		leaf.IPAddresses = append(leaf.IPAddresses, []byte{127, 0, 0, 1})
	}
	_, leafPEM := sign(leaf, ca, key, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), caPEM, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), append(leafPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), 0o600))
}
