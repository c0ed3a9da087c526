package std

import (
	"fmt"
	"log/slog"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// SSLClient is Twisted's ssl:host:port for connecting (GRAM-20), but verifies as a
// [TLSClient] does unless Verify says otherwise.
type SSLClient struct {
	_ struct{} `help:"Connects by TLS, described as for Twisted, but verifies unless told otherwise. New descriptions should use tls."`

	// TCPClient says where the server is and how to connect to it.
	TCPClient
	// CertKey is a PEM file of a certificate for servers that ask for one. Empty: none.
	CertKey string `ep:"certKey" help:"PEM file of a certificate to show"`
	// PrivateKey is the PEM file of its key. Empty: the file of the certificate.
	PrivateKey string `ep:"privateKey" help:"PEM file of its private key; without it, the file of the certificate"`
	// CACertsDir is a directory of PEM files of authorities (GRAM-21), or one such
	// file. Empty: the authorities of the platform.
	CACertsDir string `ep:"caCertsDir" empty:"no" help:"directory of .pem files of trusted authorities, or one such file; without it, the platform's"`
	// Hostname is the name that the certificate must be for, and that SNI asks for.
	// Empty: Host.
	Hostname endpoint.Host `ep:"hostname" help:"what the certificate must be for; without it, the host"`
	// Verify says how the server is verified:
	//
	//   - "name", or empty: its certificate must be trusted, and be for the name.
	//   - "chain": it must be trusted, for any name. So does Twisted with caCertsDir and
	//     no hostname. Anybody with a trusted certificate may answer.
	//   - "none": any certificate will do. So does Twisted without either. Anybody on
	//     the way can read and change everything.
	//
	// With the last two the Logger gets a warning for each connection, ten a second at most.
	Verify string `ep:"verify" help:"name; chain: trusted, for any name; none: anybody may answer; without it, name"`
	// TLSSettings are Logger and Options. They are no arguments.
	TLSSettings

	preparation
}

// unverifiedLimit limits the warnings about connections of a reactor that are not verified. A
// forwarder makes a connection whenever a client does.
type unverifiedLimit struct{ reactor.LogLimit }

// Check reads the files, as [TLSClient.Check] does.
func (e *SSLClient) Check() error {
	_, err := e.prepare()
	return err
}

// Connect starts connecting; see [endpoint.Client] and [TLSClient].
func (e *SSLClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	p, err := e.prepare()
	if err != nil {
		return e.refuse(r, done, err)
	}
	if p.verify != verifyName {
		l := reactor.Shared(r, func() *unverifiedLimit { return &unverifiedLimit{reactor.LogLimit{PerSecond: 10}} })
		l.Log(r, e.Logger, slog.LevelWarn, "TLS without verification: the peer may be anybody", slog.String("endpoint", e.String()))
	}
	return p.connect(r, p.over, p.cfg, f, done)
}

// String is the description.
func (e *SSLClient) String() string { return endpoint.Describe("ssl", e) }

// prepare reads the files, the first time.
func (e *SSLClient) prepare() (*prepared, error) {
	return e.preparation.of(func(p *prepared) error {
		p.tlsDial = tlsDial{
			tlsPlace: tlsPlace{scheme: "ssl", TLSSettings: e.TLSSettings},
			host:     string(e.Host), roots: e.CACertsDir, rootsArg: "caCertsDir", argument: "certKey",
		}
		if err := e.TCPClient.Check(); err != nil {
			return p.renamed(err)
		}
		p.over = &e.TCPClient
		p.within(e.Timeout)
		switch e.Verify {
		case "", "name":
		case "chain":
			p.verify = verifyChain
		case "none":
			p.verify = verifyNone
		default:
			return p.fail("verify", e.Verify, fmt.Errorf("%q is not name, chain or none", e.Verify))
		}
		if e.Hostname != "" {
			p.host = string(e.Hostname)
		}
		return p.certificate(e.CertKey, e.PrivateKey)
	})
}
