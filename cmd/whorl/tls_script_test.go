package main

import (
	"crypto/x509"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/whorl-go/whorl/internal/tlstest"
)

// issue is issue NAME: it writes ca.pem, the certificate of a new authority, and
// NAME.pem, a certificate of the name, and of 127.0.0.1 if it is localhost, with its
// key, for servers and clients. No two are the same.
func issue(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: issue NAME")
	}
	ca := tlstest.NewAuthorityAt("ca of "+args[0], time.Now())
	names := args
	if args[0] == "localhost" {
		names = []string{"localhost", "127.0.0.1"}
	}
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), ca.PEM(), 0o600))
	leaf := ca.Issue(func(c *x509.Certificate) {
		c.SerialNumber.SetInt64(time.Now().UnixNano())
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}, names...)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), tlstest.BothPEM(leaf), 0o600))
}
