package std

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// SSLClient is Twisted's ssl:host:port for connecting (GRAM-20), but verifies as a
// [TLSClient] does unless Verify says otherwise.
type SSLClient struct {
	_ struct{} `help:"Connects by TLS, described as for Twisted, but verifies unless told otherwise. New descriptions should use tls."`

	// Host is a name or an IP literal.
	Host endpoint.Host `ep:"host,0" help:"host name or IP address, an IPv6 address in brackets"`
	// Port is the port number.
	Port uint16 `ep:"port,1" help:"port number or service name"`
	// Timeout and BindAddress are those of a TCPClient.
	Timeout     time.Duration `ep:"timeout" help:"for the look-up, and for each attempt; without it, 30 s; negative: no limit"`
	BindAddress netip.Addr    `ep:"bindAddress" help:"local IP address"`
	// CertKey is a PEM file of a certificate to be shown to a server that asks for one.
	CertKey string `ep:"certKey" help:"PEM file of a certificate to show"`
	// PrivateKey is the PEM file of its key. Empty: the file of the certificate.
	PrivateKey string `ep:"privateKey" help:"PEM file of its private key; without it, the file of the certificate"`
	// CACertsDir is a directory of PEM files of authorities (GRAM-21), or one such
	// file. Empty: those of the platform.
	CACertsDir string `ep:"caCertsDir" help:"directory of .pem files of trusted authorities, or one such file; without it, the platform's"`
	// Hostname is what the certificate must be for, and what is asked for by SNI.
	// Empty: Host.
	Hostname endpoint.Host `ep:"hostname" help:"what the certificate must be for; without it, the host"`
	// Verify is "name", which is the same as empty; "chain", which takes a trusted
	// certificate for any name, as Twisted does with caCertsDir and no hostname; or
	// "none", which takes any certificate, as Twisted does without either. With these
	// two, whoever sits in between can read and change everything, or may be anybody
	// with a certificate: the Logger is warned.
	Verify string `ep:"verify" help:"name; chain: trusted, for any name; none: anybody may answer; without it, name"`
	// NoDelay and KeepAlive are those of a TCPClient.
	NoDelay   bool `ep:"nodelay" help:"send small segments at once"`
	KeepAlive bool `ep:"keepalive" help:"probe an idle peer"`
	// Logger hears of files that were skipped in a directory, and of connections that
	// Verify exposes. Nil: nobody. It is no argument.
	Logger *slog.Logger
	// Options are as in a TLSClient. It is no argument.
	Options *tlsio.Options

	ready atomic.Pointer[prepared]
}

// Check is that of a TLSClient.
func (e *SSLClient) Check() error {
	_, err := e.prepare()
	return err
}

// Connect starts connecting; see [endpoint.Client] and [TLSClient].
func (e *SSLClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	p, err := e.prepare()
	if err != nil {
		return refused(r, e.Host, e.Port, done, err)
	}
	if p.verify != verifyName && e.Logger != nil {
		e.Logger.Warn("TLS without verification: the peer may be anybody", slog.String("endpoint", e.String()))
	}
	return p.connect(r, p.over, p.cfg, f, done)
}

// String is the description.
func (e *SSLClient) String() string { return endpoint.Describe("ssl", e) }

func (e *SSLClient) prepare() (*prepared, error) {
	if p := e.ready.Load(); p != nil {
		return p, nil
	}
	p := &prepared{dialling: dialling{
		terms: terms{scheme: "ssl", log: e.Logger, o: e.Options},
		host:  string(e.Host), roots: e.CACertsDir, rootsArg: "caCertsDir", argument: "certKey",
	}}
	if p.o == nil {
		p.o = new(tlsio.Options)
	}
	tcp := &TCPClient{
		Host: e.Host, Port: e.Port, Timeout: e.Timeout, BindAddress: e.BindAddress,
		NoDelay: e.NoDelay, KeepAlive: e.KeepAlive,
	}
	if err := tcp.Check(); err != nil {
		return nil, p.renamed(err)
	}
	p.over = tcp
	switch e.Verify {
	case "", "name":
	case "chain":
		p.verify = verifyChain
	case "none":
		p.verify = verifyNone
	default:
		return nil, p.fail("verify", e.Verify, fmt.Errorf("%q is not name, chain or none", e.Verify))
	}
	if e.Hostname != "" {
		p.host = string(e.Hostname)
	}
	switch {
	case e.CertKey != "":
		s := sourceAt(e.CertKey, e.PrivateKey, "")
		p.source = &s
	case e.PrivateKey != "":
		return nil, p.fail("privateKey", e.PrivateKey, fmt.Errorf("%w: a key without a certificate: name it with certKey=", ErrContradiction))
	}
	var err error
	if p.cfg, err = p.config(); err != nil {
		return nil, err
	}
	e.ready.Store(p)
	return p, nil
}
