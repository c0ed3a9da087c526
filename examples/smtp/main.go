// Smtp receives mail and writes each message to a file in the directory mail. Try it with
// `curl --crlf smtp://localhost:2525 --mail-from a@x --mail-rcpt b@x -T FILE`. With -cert it has STARTTLS.
// Mail has lines that end with CRLF, and anything else is refused. So curl needs --crlf for a file whose lines end with LF,
// and must not have it for one whose lines end with CRLF already.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/examples/smtp/mail"
	"github.com/whorl-go/whorl/reactor"
)

func main() {
	pem := flag.String("cert", "", "a PEM file with a certificate and its key")
	flag.Parse()
	if flag.NArg() > 0 { // without -cert= nobody would notice that there is no TLS
		log.Fatalf("%q is no flag: the certificate is -cert FILE", flag.Arg(0))
	}
	server, err := newServer("mail", *pem)
	if err != nil {
		log.Fatal(err)
	}
	c := whorl.Config{
		Logger: slog.Default(),
		Limits: reactor.PortLimits{MaxConnections: 1000, MaxPerPeer: 20},
	}
	if err := c.Serve(context.Background(), server, "tcp:2525:interface=127.0.0.1"); err != nil {
		log.Fatal(err)
	}
}

// newServer is a server that writes messages to dir. pem may be empty.
func newServer(dir, pem string) (*mail.Server, error) {
	var cfg *tls.Config
	if pem != "" {
		store, err := certs.Load(&certs.StoreOptions{Sources: []certs.Source{{File: pem}}})
		if err != nil {
			return nil, err
		}
		if cfg, err = certs.ServerConfig(&certs.ServerOptions{Store: store}); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &mail.Server{Name: "localhost", TLS: cfg, Deliver: func(m mail.Message) error { return write(dir, m) }}, nil
}

// write is called off the loop, so it may block.
func write(dir string, m mail.Message) error {
	f, err := os.CreateTemp(dir, "*.eml")
	if err != nil {
		return err
	}
	fmt.Fprintf(f, "Return-Path: <%s>\r\n", m.From)
	for _, to := range m.To {
		fmt.Fprintf(f, "Delivered-To: %s\r\n", to)
	}
	if _, err = f.Write(m.Data); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
