package tlsio_test

import (
	"crypto/tls"
	"testing"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/tlsio"
)

// server is a configuration for certificates in memory.
func server(t *testing.T, o tlsio.ServerOptions, certs ...tls.Certificate) *tls.Config {
	t.Helper()
	for _, c := range certs {
		o.Certificates = append(o.Certificates, tlsio.CertSource{Certificate: &c})
	}
	o.Time = tlstest.Time
	cfg, err := tlsio.ServerConfig(&o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// client is a configuration that trusts ca and asks for host.
func client(t *testing.T, host string, ca *tlstest.Authority, o tlsio.ClientOptions) *tls.Config {
	t.Helper()
	if ca != nil {
		o.Roots.Certificates = append(o.Roots.Certificates, ca.Cert)
	}
	o.Time = tlstest.Time
	cfg, err := tlsio.ClientConfig(host, &o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
