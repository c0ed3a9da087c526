package tlsio_test

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// A server of several sites, each a file of a directory with its certificate, chain and
// key, that takes new certificates while it runs.
func ExampleNewReloader() {
	start := func(r *reactor.Reactor, site reactor.Factory) (reactor.Factory, error) {
		store, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{
			{File: "/etc/ssl/default.pem", KeyFile: "/etc/ssl/private/default.key"},
			{Dir: "/etc/ssl/sites"},
		}})
		if err != nil {
			return nil, err // names the file, the block, what is wrong and what to do
		}
		cfg, err := certs.ServerConfig(&certs.ServerOptions{Store: store, NextProtos: []string{"echo"}})
		if err != nil {
			return nil, err
		}
		tlsio.NewReloader(r, store, &tlsio.ReloadConfig{Logger: slog.Default()})
		return tlsio.Server(cfg, site, nil), nil
	}
	_ = start
}

// What went wrong, for whoever has to mend it.
func ExampleExplain() {
	ca := tlstest.NewAuthority("Example CA")
	_, err := ca.Leaf("www.example.com").Leaf.Verify(tlstest.VerifyOptions(ca, "example.com"))
	err = tlsio.Explain(err, "example.com") // err.Error() is all of it in one line
	if e, ok := errors.AsType[*tlsio.HandshakeError](err); ok {
		fmt.Println(e.Rule, "for", e.Name)
		fmt.Println(e.Cert.Subject, "by", e.Cert.Issuer)
		fmt.Println(e.Detail)
		fmt.Println(e.Remedy)
	}
	// Output:
	// wrong host name for example.com
	// CN=www.example.com by CN=Example CA
	// it is for "www.example.com"
	// ask for one of these, or have a certificate issued for the name
}
