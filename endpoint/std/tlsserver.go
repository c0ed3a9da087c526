package std

import (
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// TLSServer is tls:port:certificates[:interface[:backlog]] for listening: TLS on
// TCP, with package tlsio. Or it is tls:certificates=...:endpoint=... without a port: TLS over another place, such as
// endpoint=[unix:/run/s] (EP-29).
//
// The certificates are read with the description (TLS-2) and again by Listen. While the
// port is open the files are looked at from time to time, and new connections use the
// certificates that have changed; see [tlsio.Reloader]. A handshake that fails ends its
// connection with a [*tlsio.Error], which names the certificate, the name and the rule.
// The Logger gets one line about it, within the limit of TLSSettings.
type TLSServer struct {
	_ struct{} `help:"Listens on TCP, or at another place that endpoint= names, for TLS 1.2 and 1.3. Certificate files that change are read again."`

	// Certificates is a PEM file of a certificate, its chain and, unless PrivateKey
	// is set, its key; or a directory of such files. The name that a client asks for
	// selects the certificate.
	Certificates string `ep:"certificates,1" help:"PEM file of a certificate, its chain and its key; or a directory of such .pem files, one for each name"`
	// PrivateKey is the PEM file of the key, if it is not in the certificate's.
	PrivateKey string `ep:"privateKey" help:"PEM file of the private key, if it is another"`
	// ExtraCertChain is a PEM file of more certificates of the chain.
	ExtraCertChain string `ep:"extraCertChain" help:"PEM file of more certificates of the chain"`
	// ClientCAs is a PEM file or a directory of authorities. Clients must show a
	// certificate of one of them (TLS-46). Empty: clients are not asked for one.
	ClientCAs string `ep:"clientCAs" empty:"no" help:"PEM file or directory of authorities; clients must show a certificate of one"`
	// OptionalClientCert admits clients that show no certificate.
	OptionalClientCert bool `ep:"optionalClientCert" help:"let clients in that show no certificate"`
	// TLSParameters are ALPN, MinVersion and MaxVersion.
	TLSParameters
	// Reload is the time between two looks at the certificates' files. A changed file
	// is used once it has stayed the same for that time, at most 1 s. Zero: 30 s;
	// negative: they are looked at only when tlsio.CheckAll is called, as package whorl
	// does on SIGHUP.
	Reload time.Duration `ep:"reload" help:"time between two looks at the certificates' files; without it, 30 s; negative: only when the program is told to, as by SIGHUP"`
	// TCPServer is where it listens, unless there is an Endpoint or Over. Then it must be the zero value, or the defaults of
	// the set.
	TCPServer `ep:"port,0,unless=endpoint interface,2,optional backlog,3,optional"`
	// Endpoint describes a place to listen at instead of TCP. It may stand in brackets.
	Endpoint string `ep:"endpoint" help:"what to listen at instead of tcp and a port, as a description in brackets, or with its ':' written '\\:': endpoint=[unix:/run/s]"`
	// Over is a place to listen at instead of TCP, without a description. It is no argument.
	Over endpoint.Server
	// Known has the types that Endpoint may name. Nil: none. It is no argument.
	Known *endpoint.Schemes
	// TLSSettings are Logger and Options. They are no arguments.
	TLSSettings

	defaults TCPServer // of the set
}

// Check reads the files and fails if no server can be made of them. The error is an
// [*endpoint.ArgumentError] that wraps a [*certs.Error] or another error of package certs or
// of this package.
func (e *TLSServer) Check() error {
	l, err := e.plain()
	if err != nil {
		return err
	}
	return l.check()
}

// Listen opens the place; see [endpoint.Server]. It reads files.
func (e *TLSServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	l, err := e.plain()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	return l.listen(on, f)
}

// String is the description.
func (e *TLSServer) String() string { return endpoint.Describe("tls", e) }

// plain returns the tlsListen that listens.
func (e *TLSServer) plain() (*tlsListen, error) {
	l := &tlsListen{
		tlsPlace: tlsPlace{scheme: "tls", TLSParameters: e.TLSParameters, TLSSettings: e.TLSSettings},
		tcp:      e.TCPServer,
		source:   sourceAt(e.Certificates, e.PrivateKey, e.ExtraCertChain), argument: "certificates",
		clients: e.ClientCAs, optional: e.OptionalClientCert, every: e.Reload,
	}
	if e.Certificates == "" {
		return nil, l.fail("certificates", "", fmt.Errorf("%w: it is empty", certs.ErrNoCertificate))
	}
	var err error
	l.over, err = e.below(l)
	return l, err
}

// below returns the place to listen at instead of TCP, nil for TCP.
func (e *TLSServer) below(l *tlsListen) (endpoint.Server, error) {
	if e.Over == nil && e.Endpoint == "" {
		return nil, nil
	}
	defaults := endpoint.Arguments(&e.defaults)
	for i, a := range endpoint.Arguments(&e.TCPServer) {
		switch {
		case i == 0 && e.Port == 0: // it has no name here
		case i == 0:
			a.Name = "port"
			fallthrough
		case !slices.Contains(defaults, a):
			return nil, l.fail(a.Name, a.Value, fmt.Errorf("%w: it is not for TLS: say it in the description of the endpoint", ErrContradiction))
		}
	}
	if e.Over != nil {
		if e.Endpoint != "" {
			return nil, l.fail("endpoint", e.Endpoint, fmt.Errorf("%w: there is Over as well: use one of them", ErrContradiction))
		}
		return e.Over, nil
	}
	known := e.Known
	if known == nil {
		known = new(endpoint.Schemes)
	}
	over, err := known.Server(unbracketed(e.Endpoint))
	if err != nil {
		return nil, l.fail("endpoint", e.Endpoint, wrongBelow(e.Endpoint, err))
	}
	return over, nil
}
