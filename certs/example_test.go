package certs_test

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/whorl-go/whorl/certs"
)

// Mutual TLS: the server names the authorities of its clients, and the client has a
// certificate to show.
func ExampleServerConfig_mutual() {
	server, err := certs.ServerConfig(&certs.ServerOptions{
		Certificates: []certs.Source{{File: "server.pem"}},
		ClientCAs:    certs.Roots{Files: []string{"clients-ca.pem"}},
	})
	if err != nil {
		fmt.Println(errors.Is(err, fs.ErrNotExist))
	}
	client, err := certs.ClientConfig("internal.example", &certs.ClientOptions{
		Roots:        certs.Roots{Files: []string{"ca.pem"}},
		Certificates: []certs.Source{{File: "client.pem", KeyFile: "client.key"}},
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
	cfg, err := certs.ClientConfig("bücher.example", nil)
	fmt.Println(cfg.ServerName, cfg.InsecureSkipVerify, err)
	// Output: xn--bcher-kva.example false <nil>
}
