package tlstest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Outcome is how a handshake ended on both sides.
type Outcome struct {
	Client, Server       tls.ConnectionState
	ClientErr, ServerErr error
}

// Handshake connects two configurations over a socket. Each side sends a byte
// afterwards, because with TLS 1.3 a client hears only then that it was refused.
func Handshake(t *testing.T, server, client *tls.Config) (o Outcome) {
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
			o.ServerErr = err
			return
		}
		c := tls.Server(raw, server)
		defer c.Close()
		o.ServerErr = speak(c)
		o.Server = c.ConnectionState()
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, client)
	o.ClientErr = speak(c)
	o.Client = c.ConnectionState()
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

// Shown is the common name of the certificate that the server showed. A handshake that
// failed fails the test.
func (o *Outcome) Shown(t *testing.T) string {
	t.Helper()
	if o.ClientErr != nil || o.ServerErr != nil {
		t.Fatalf("client: %v; server: %v", o.ClientErr, o.ServerErr)
	}
	return o.Client.PeerCertificates[0].Subject.CommonName
}

// WriteFile makes a file in dir and returns its path.
func WriteFile(t testing.TB, dir, name string, parts ...[]byte) string {
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

// WantError asserts what an error is and says, and that it is one line.
func WantError(t *testing.T, err, target error, words ...string) {
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
