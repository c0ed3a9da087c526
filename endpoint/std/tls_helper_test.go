package std_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// authority issues certificates into files.
type authority struct {
	*tlstest.Authority
	t      *testing.T
	dir    string
	file   string // of its certificate
	serial int64  // of the last certificate, so that no two are the same
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	return newFiles(t, tlstest.NewAuthorityAt(name, time.Now()))
}

func newFiles(t *testing.T, of *tlstest.Authority) *authority {
	t.Helper()
	a := &authority{Authority: of, t: t, dir: t.TempDir()}
	a.file = a.write("ca.pem", a.PEM())
	return a
}

func (a *authority) write(name string, parts ...[]byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue writes a certificate for the names, to be used by either side, and its key
// into one file, and returns the two apart as well.
func (a *authority) issue(file string, names ...string) (both, cert, key string) {
	a.t.Helper()
	c := a.Issue(func(c *x509.Certificate) {
		a.serial++
		c.SerialNumber.SetInt64(a.serial)
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}, names...)
	// Without the chain, which tests give by extraCertChain.
	certPEM, keyPEM := tlstest.CertPEM(c.Leaf.Raw), tlstest.KeyPEM(c.PrivateKey)
	return a.write(file+".pem", certPEM, keyPEM), a.write(file+".crt", certPEM), a.write(file+".key", keyPEM)
}

// describe is a description of scheme, whose arguments may hold any character.
func describe(scheme string, arguments ...string) string {
	d := endpoint.Description{Scheme: scheme}
	for _, a := range arguments {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			name, value = "", a
		}
		d.Args = append(d.Args, endpoint.Argument{Name: name, Value: value})
	}
	return d.String()
}

// secure is a proto that notes its handshake.
type secure struct {
	halfProto
	state []tls.ConnectionState
}

func (p *secure) HandshakeCompleted(s tls.ConnectionState) { p.state = append(p.state, s) }

// sites makes secure protos and keeps them.
type sites struct {
	built []*secure
	log   []string
}

func (s *sites) BuildProtocol(kernel.Addr) reactor.Protocol {
	s.built = append(s.built, new(secure))
	return s.built[len(s.built)-1]
}

func (s *sites) StartFactory() error { s.log = append(s.log, "start"); return nil }
func (s *sites) StopFactory() error  { s.log = append(s.log, "stop"); return nil }

// last is the newest proto of s that has had its handshake or has ended, or nil.
func (s *sites) last() *secure {
	if n := len(s.built); n > 0 && (len(s.built[n-1].state) > 0 || s.built[n-1].lost != nil) {
		return s.built[n-1]
	}
	return nil
}

// lines is a log as text.
type lines struct{ bytes.Buffer }

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// with are the standard schemes, whose places of TLS log to l.
func (l *lines) with() *endpoint.Schemes {
	return std.Schemes(&std.Options{TLSSettings: std.TLSSettings{Logger: l.logger()}})
}

func (l *lines) count() int { return strings.Count(l.String(), "\n") }

// tlsPlace is a server at TLS, and what it has to say.
type tlsPlace struct {
	endpoint.Listener
	served sites
	log    lines
}

func listenTLS(t *testing.T, r *reactor.Reactor, description string) *tlsPlace {
	t.Helper()
	p := new(tlsPlace)
	e, err := p.log.with().Server(description)
	if err != nil {
		t.Fatal(err)
	}
	if p.Listener, err = e.Listen(r, &p.served); err != nil {
		t.Fatal(err)
	}
	return p
}

// dialTLS connects and waits for the handshake, or for the end.
func dialTLS(t *testing.T, r *reactor.Reactor, description string) *secure {
	t.Helper()
	var got result
	var f sites
	client(t, description).Connect(r, &f, func(p reactor.Protocol, err error) {
		if s, ok := p.(*secure); ok && s.made != 1 {
			t.Errorf("EP-2: done came after %d calls of ConnectionMade", s.made)
		}
		got.done(p, err)
	})
	until(t, r, func() bool { return got.calls > 0 && f.last() != nil })
	p := f.last()
	if got.err != nil || got.p != reactor.Protocol(p) {
		t.Fatalf("EP-2: %v, %T", got.err, got.p)
	}
	return p
}

// newTLSReactor is on the first kernel of the system, for what is the same on all.
func newTLSReactor(t *testing.T, c reactor.Config) *reactor.Reactor {
	t.Helper()
	for _, w := range testworld.Worlds() {
		return w.New(t, c)
	}
	return nil
}
