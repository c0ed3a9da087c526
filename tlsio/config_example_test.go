package tlsio_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// A server of several sites, each a file of a directory with its certificate, chain and
// key, that takes new certificates while it runs.
func ExampleNewReloader() {
	start := func(r *reactor.Reactor, site reactor.Factory) (reactor.Factory, error) {
		store, err := tlsio.NewStore(&tlsio.StoreOptions{Sources: []tlsio.CertSource{
			{File: "/etc/ssl/default.pem", KeyFile: "/etc/ssl/private/default.key"},
			{Dir: "/etc/ssl/sites"},
		}})
		if err != nil {
			return nil, err // names the file, the block, what is wrong and what to do
		}
		cfg, err := tlsio.ServerConfig(&tlsio.ServerOptions{Store: store, NextProtos: []string{"echo"}})
		if err != nil {
			return nil, err
		}
		tlsio.NewReloader(r, store, &tlsio.ReloadConfig{Logger: slog.Default()})
		return tlsio.Server(cfg, site, nil), nil
	}
	_ = start
}

// Mutual TLS: the server names the authorities of its clients, and the client has a
// certificate to show.
func ExampleServerConfig_mutual() {
	server, err := tlsio.ServerConfig(&tlsio.ServerOptions{
		Certificates: []tlsio.CertSource{{File: "server.pem"}},
		ClientCAs:    tlsio.Roots{Files: []string{"clients-ca.pem"}},
	})
	if err != nil {
		fmt.Println(errors.Is(err, fs.ErrNotExist))
	}
	client, err := tlsio.ClientConfig("internal.example", &tlsio.ClientOptions{
		Roots:        tlsio.Roots{Files: []string{"ca.pem"}},
		Certificates: []tlsio.CertSource{{File: "client.pem", KeyFile: "client.key"}},
	})
	if err != nil {
		fmt.Println(errors.Is(err, fs.ErrNotExist))
	}
	fmt.Println(server, client)
	// Output:
	// true
	// true
	// <nil> <nil>
}

// A client that verifies its server's name and chain needs no options at all.
func ExampleClientConfig() {
	cfg, err := tlsio.ClientConfig("bücher.example", nil)
	fmt.Println(cfg.ServerName, cfg.InsecureSkipVerify, err)
	// Output: xn--bcher-kva.example false <nil>
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
