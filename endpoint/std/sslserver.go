package std

import (
	"fmt"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// SSLServer is Twisted's
// ssl:port[:privateKey[:certKey[:sslmethod[:interface[:backlog[:extraCertChain[:dhParameters]]]]]]]
// for listening (GRAM-13), with the security of a [TLSServer]: TLS 1.2 at least.
type SSLServer struct {
	_ struct{} `help:"Listens on TCP for TLS, described as for Twisted. New descriptions should use tls."`

	// PrivateKey is the PEM file of the key. Empty: server.pem.
	PrivateKey string `ep:"privateKey,1,optional" help:"PEM file of the private key; without it, server.pem"`
	// CertKey is the PEM file of the certificate. Empty: the file of the key.
	CertKey string `ep:"certKey,2,optional" help:"PEM file of the certificate; without it, the file of the key"`
	// SSLMethod is the name of a method of OpenSSL. TLS_METHOD and SSLv23_METHOD
	// negotiate the version, as "" does; TLSv1_2_METHOD allows TLS 1.2 alone. The others
	// are refused with ErrVersion.
	SSLMethod string `ep:"sslmethod,3,optional" help:"TLS_METHOD or SSLv23_METHOD, the same as none; or TLSv1_2_METHOD"`
	// ExtraCertChain is a PEM file of more certificates of the chain (GRAM-14).
	ExtraCertChain string `ep:"extraCertChain,6,optional" help:"PEM file of more certificates of the chain"`
	// DHParameters must be empty: crypto/tls exchanges keys on elliptic curves alone.
	DHParameters string `ep:"dhParameters,7,optional" help:"refused: keys are exchanged on elliptic curves"`
	// TCPServer is where it listens.
	TCPServer `ep:"interface,4,optional backlog,5,optional"`
	// TLSSettings are Logger and Options. They are no arguments.
	TLSSettings
}

// Check reads the files, as [TLSServer.Check] does.
func (e *SSLServer) Check() error {
	l, err := e.plain()
	if err != nil {
		return err
	}
	return l.check()
}

// Listen opens the port; see [endpoint.Server]. It reads files.
func (e *SSLServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	l, err := e.plain()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: l.tcp.local(), Err: err}
	}
	return l.listen(on, f)
}

// String is the description.
func (e *SSLServer) String() string { return endpoint.Describe("ssl", e) }

// plain returns the tlsListen that listens. It is not nil when there is an error.
func (e *SSLServer) plain() (*tlsListen, error) {
	key, argument := e.PrivateKey, "privateKey"
	if key == "" {
		key = "server.pem"
	}
	cert := key
	if e.CertKey != "" {
		cert, argument = e.CertKey, "certKey"
	}
	l := &tlsListen{
		tlsPlace: tlsPlace{scheme: "ssl", TLSSettings: e.TLSSettings},
		tcp:      e.TCPServer,
		source:   sourceAt(cert, key, e.ExtraCertChain), argument: argument,
	}
	switch e.SSLMethod {
	case "", "TLS_METHOD", "TLS_SERVER_METHOD", "SSLv23_METHOD":
	case "TLSv1_2_METHOD":
		l.MinVersion, l.MaxVersion = "1.2", "1.2"
	case "SSLv2_METHOD", "SSLv3_METHOD", "TLSv1_METHOD", "TLSv1_1_METHOD":
		return l, l.fail("sslmethod", e.SSLMethod, fmt.Errorf("%w: %q is broken: leave it out, or use TLSv1_2_METHOD", ErrVersion, e.SSLMethod))
	default:
		return l, l.fail("sslmethod", e.SSLMethod, fmt.Errorf("%w: %q is not TLS_METHOD, SSLv23_METHOD or TLSv1_2_METHOD", ErrVersion, e.SSLMethod))
	}
	if e.DHParameters != "" {
		return l, l.fail("dhParameters", e.DHParameters, fmt.Errorf("%w: %q: crypto/tls exchanges keys on elliptic curves, which need no parameters: leave it out", ErrNotSupported, e.DHParameters))
	}
	return l, nil
}
