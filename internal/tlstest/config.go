package tlstest

import (
	"crypto/tls"
	"testing"

	"github.com/whorl-go/whorl/certs"
)

// Load makes a store of one source, at Time.
func Load(s certs.Source) (*certs.Store, error) {
	return certs.Load(&certs.StoreOptions{Sources: []certs.Source{s}, Time: Time})
}

// Server is a configuration for certificates in memory.
func Server(t *testing.T, o certs.ServerOptions, show ...tls.Certificate) *tls.Config {
	t.Helper()
	for _, c := range show {
		o.Certificates = append(o.Certificates, certs.Source{Certificate: &c})
	}
	o.Time = Time
	cfg, err := certs.ServerConfig(&o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Client is a configuration that trusts ca, unless it is nil, and asks for host.
func Client(t *testing.T, host string, ca *Authority, o certs.ClientOptions) *tls.Config {
	t.Helper()
	if ca != nil {
		o.Roots.Certificates = append(o.Roots.Certificates, ca.Cert)
	}
	o.Time = Time
	cfg, err := certs.ClientConfig(host, &o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
