package tlsio

import (
	"crypto/tls"
	"testing"

	"github.com/whorl-go/whorl/certs"
)

// A handshake has a context that ends only if a callback may look at it.
func TestSeesContext(t *testing.T) {
	store := new(certs.Store)
	for what, c := range map[string]struct {
		cfg  *tls.Config
		want bool
	}{
		"no callback": {&tls.Config{}, false},
		"a store":     {&tls.Config{GetCertificate: store.GetCertificate}, false},
		"a callback around a store": {&tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return store.GetCertificate(h)
		}}, true},
		"another configuration": {&tls.Config{
			GetCertificate:     store.GetCertificate,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil },
		}, true},
		"a client's certificate": {&tls.Config{GetClientCertificate: store.GetClientCertificate}, true},
	} {
		if got := seesContext(c.cfg); got != c.want {
			t.Errorf("TLS-55: %s: %v", what, got)
		}
	}
}
