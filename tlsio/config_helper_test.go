package tlsio_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/tlsio"
)

// outcome is what both ends of a connection came to. Data is a byte each way: with
// TLS 1.3 a client hears only then that it was refused.
type outcome struct {
	client, server       tls.ConnectionState
	clientErr, serverErr error
}

// handshake connects two configurations over a socket.
func handshake(t *testing.T, server, client *tls.Config) (o outcome) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := l.Accept()
		if err != nil {
			o.serverErr = err
			return
		}
		c := tls.Server(raw, server)
		defer c.Close()
		o.serverErr = speak(c)
		o.server = c.ConnectionState()
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, client)
	o.clientErr = speak(c)
	o.client = c.ConnectionState()
	c.Close()
	<-done
	return o
}

func speak(c *tls.Conn) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	if _, err := c.Write([]byte{'x'}); err != nil {
		// The peer's alert says more than that it has gone.
		if _, alert := io.ReadFull(c, make([]byte, 1)); alert != nil {
			return alert
		}
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// shown is the common name of the certificate that a server showed.
func (o *outcome) shown(t *testing.T) string {
	t.Helper()
	if o.clientErr != nil || o.serverErr != nil {
		t.Fatalf("client: %v; server: %v", o.clientErr, o.serverErr)
	}
	return o.client.PeerCertificates[0].Subject.CommonName
}

// write makes a file in dir and returns its path.
func write(t testing.TB, dir, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// server is a configuration for certificates in memory.
func server(t *testing.T, o tlsio.ServerOptions, certs ...tls.Certificate) *tls.Config {
	t.Helper()
	for _, c := range certs {
		o.Certificates = append(o.Certificates, tlsio.CertSource{Certificate: &c})
	}
	o.Time = testTime
	cfg, err := tlsio.ServerConfig(&o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// client is a configuration that trusts ca and asks for host.
func client(t *testing.T, host string, ca *authority, o tlsio.ClientOptions) *tls.Config {
	t.Helper()
	if ca != nil {
		o.Roots.Certificates = append(o.Roots.Certificates, ca.cert)
	}
	o.Time = testTime
	cfg, err := tlsio.ClientConfig(host, &o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// wantError asserts what an error is and says.
func wantError(t *testing.T, err, target error, words ...string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got %v, want %v", err, target)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("%q is more than a line", err)
	}
}
