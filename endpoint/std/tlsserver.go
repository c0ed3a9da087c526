package std

import (
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// TLSServer is tls:port:certificates[:interface[:backlog]] for listening: TLS on
// TCP, with package tlsio.
//
// The certificates are read when the description is (TLS-2), again by Listen, and
// looked at from time to time while the port is open: new connections get what has
// changed, see [tlsio.Reloader]. A handshake that fails ends its connection, with a
// [*tlsio.Error] in words, and is told to the Logger in one line.
type TLSServer struct {
	_ struct{} `help:"Listens on TCP for TLS 1.2 and 1.3. Certificate files that change are read again."`

	// Certificates is a PEM file of a certificate, its chain and, unless PrivateKey
	// is set, its key; or a directory of such files, among which the name counts that
	// a client asks for.
	Certificates string `ep:"certificates,1" help:"PEM file of a certificate, its chain and its key; or a directory of such .pem files, one for each name"`
	// PrivateKey is the PEM file of the key, if it is not in the certificate's.
	PrivateKey string `ep:"privateKey" help:"PEM file of the private key, if it is another"`
	// ExtraCertChain is a PEM file of more certificates of the chain.
	ExtraCertChain string `ep:"extraCertChain" help:"PEM file of more certificates of the chain"`
	// ClientCAs is a PEM file or a directory of the authorities of which clients must
	// show a certificate (TLS-46). Empty: they are asked for none.
	ClientCAs string `ep:"clientCAs" help:"PEM file or directory of authorities; clients must show a certificate of one"`
	// OptionalClientCert lets clients in that show none.
	OptionalClientCert bool `ep:"optionalClientCert" help:"let clients in that show no certificate"`
	// TLSParameters are ALPN, MinVersion and MaxVersion.
	TLSParameters
	// Reload is the time between two looks at the certificates' files; what is new is
	// used when it has stayed the same for so long, or 1 s. Zero: 30 s; negative: they
	// are read once.
	Reload time.Duration `ep:"reload" help:"time between two looks at the certificates' files; without it, 30 s; negative: never"`
	// TCPServer is where it listens.
	TCPServer `ep:"interface,2,optional backlog,3,optional"`
	// TLSSettings are Logger and Options. They are no arguments.
	TLSSettings
}

// Check reads the files, and fails if no server can be made of them: with an
// [*endpoint.ArgumentError] and, below it, a [*tlsio.FileError] or another error of tlsio.
func (e *TLSServer) Check() error { return e.plain().check() }

// Listen opens the port; see [endpoint.Server]. It reads files.
func (e *TLSServer) Listen(r *reactor.Reactor, f reactor.Factory) (endpoint.Listener, error) {
	return e.plain().listen(r, f)
}

// String is the description.
func (e *TLSServer) String() string { return endpoint.Describe("tls", e) }

func (e *TLSServer) plain() *tlsListen {
	return &tlsListen{
		tlsPlace: tlsPlace{scheme: "tls", TLSParameters: e.TLSParameters, TLSSettings: e.TLSSettings},
		tcp:      e.TCPServer,
		source:   sourceAt(e.Certificates, e.PrivateKey, e.ExtraCertChain), argument: "certificates",
		clients: e.ClientCAs, optional: e.OptionalClientCert, every: e.Reload,
	}
}
