package std

import (
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// TLSServer is tls:port:certificates[:interface[:backlog]] for listening: TLS on
// TCP, with package tlsio.
//
// The certificates are read with the description (TLS-2) and again by Listen. While the
// port is open the files are looked at from time to time, and new connections use the
// certificates that have changed; see [tlsio.Reloader]. A handshake that fails ends its
// connection with a [*tlsio.Error], which names the certificate, the name and the rule.
// The Logger gets one line about it, within the limit of TLSSettings.
type TLSServer struct {
	_ struct{} `help:"Listens on TCP for TLS 1.2 and 1.3. Certificate files that change are read again."`

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
	ClientCAs string `ep:"clientCAs" help:"PEM file or directory of authorities; clients must show a certificate of one"`
	// OptionalClientCert admits clients that show no certificate.
	OptionalClientCert bool `ep:"optionalClientCert" help:"let clients in that show no certificate"`
	// TLSParameters are ALPN, MinVersion and MaxVersion.
	TLSParameters
	// Reload is the time between two looks at the certificates' files. A changed file
	// is used once it has stayed the same for that time, at most 1 s. Zero: 30 s;
	// negative: they are looked at only when tlsio.CheckAll is called, as package whorl
	// does on SIGHUP.
	Reload time.Duration `ep:"reload" help:"time between two looks at the certificates' files; without it, 30 s; negative: only when the program is told to, as by SIGHUP"`
	// TCPServer is where it listens.
	TCPServer `ep:"interface,2,optional backlog,3,optional"`
	// TLSSettings are Logger and Options. They are no arguments.
	TLSSettings
}

// Check reads the files and fails if no server can be made of them. The error is an
// [*endpoint.ArgumentError] that wraps a [*certs.Error] or another error of package certs or
// of this package.
func (e *TLSServer) Check() error { return e.plain().check() }

// Listen opens the port; see [endpoint.Server]. It reads files.
func (e *TLSServer) Listen(r *reactor.Reactor, f reactor.Factory) (endpoint.Listener, error) {
	return e.plain().listen(r, f)
}

// String is the description.
func (e *TLSServer) String() string { return endpoint.Describe("tls", e) }

// plain returns the tlsListen that listens.
func (e *TLSServer) plain() *tlsListen {
	return &tlsListen{
		tlsPlace: tlsPlace{scheme: "tls", TLSParameters: e.TLSParameters, TLSSettings: e.TLSSettings},
		tcp:      e.TCPServer,
		source:   sourceAt(e.Certificates, e.PrivateKey, e.ExtraCertChain), argument: "certificates",
		clients: e.ClientCAs, optional: e.OptionalClientCert, every: e.Reload,
	}
}
