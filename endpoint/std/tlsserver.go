package std

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
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

	// Port is the port number. Zero takes a free one.
	Port uint16 `ep:"port,0" help:"port number or service name; 0 takes a free one"`
	// Certificates is a PEM file of a certificate, its chain and, unless PrivateKey
	// is set, its key; or a directory of such files, among which the name counts that
	// a client asks for.
	Certificates string `ep:"certificates,1" help:"PEM file of a certificate, its chain and its key; or a directory of such .pem files, one for each name"`
	// Interface is the local address, as in a TCPServer.
	Interface netip.Addr `ep:"interface,2,optional" help:"local IP address; without it, every IPv4 address"`
	// Backlog is how many connections may wait to be accepted. Zero or negative:
	// as many as the system allows.
	Backlog int `ep:"backlog,3,optional" help:"connections that may wait; without it, as many as the system allows"`
	// PrivateKey is the PEM file of the key, if it is not in the certificate's.
	PrivateKey string `ep:"privateKey" help:"PEM file of the private key, if it is another"`
	// ExtraCertChain is a PEM file of more certificates of the chain.
	ExtraCertChain string `ep:"extraCertChain" help:"PEM file of more certificates of the chain"`
	// ClientCAs is a PEM file or a directory of the authorities of which clients must
	// show a certificate (TLS-46). Empty: they are asked for none.
	ClientCAs string `ep:"clientCAs" help:"PEM file or directory of authorities; clients must show a certificate of one"`
	// OptionalClientCert lets clients in that show none.
	OptionalClientCert bool `ep:"optionalClientCert" help:"let clients in that show no certificate"`
	// ALPN is what is offered by ALPN, best first, with commas between. A factory that
	// is a tlsio.Protocols takes its place (TLS-51).
	ALPN string `ep:"alpn" help:"application protocols, best first, separated by commas"`
	// MinVersion and MaxVersion are 1.2 or 1.3. Empty: 1.2 and the newest there is.
	MinVersion string `ep:"minVersion" help:"least version of TLS, 1.2 or 1.3; without it, 1.2"`
	MaxVersion string `ep:"maxVersion" help:"greatest version of TLS; without it, the newest"`
	// Reload is the time between two looks at the certificates' files; what is new is
	// used when it has stayed the same for so long, or 1 s. Zero: 30 s; negative: they
	// are read once.
	Reload time.Duration `ep:"reload" help:"time between two looks at the certificates' files; without it, 30 s; negative: never"`
	// NoDelay sends small segments at once.
	NoDelay bool `ep:"nodelay" help:"send small segments at once"`
	// KeepAlive probes idle peers.
	KeepAlive bool `ep:"keepalive" help:"probe idle peers"`
	// Logger hears of handshakes that failed, of certificates that were read again,
	// and of files that were skipped. Of failures there are at most ten lines a second
	// for each port; the next one says how many were not logged. Nil: nobody. It is no
	// argument.
	Logger *slog.Logger
	// Options are those of the connections; places that share them share their bounds.
	// Nil: the defaults. It is no argument.
	Options *tlsio.Options
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

func (e *TLSServer) plain() *listening {
	return &listening{
		terms:  terms{scheme: "tls", alpn: e.ALPN, low: e.MinVersion, high: e.MaxVersion, log: e.Logger, o: e.Options},
		tcp:    TCPServer{Port: e.Port, Interface: e.Interface, Backlog: e.Backlog, NoDelay: e.NoDelay, KeepAlive: e.KeepAlive},
		source: sourceAt(e.Certificates, e.PrivateKey, e.ExtraCertChain), argument: "certificates",
		clients: e.ClientCAs, optional: e.OptionalClientCert, every: e.Reload,
	}
}
