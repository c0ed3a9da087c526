package endpoint

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

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
// [*ArgumentError] and, below it, a [*tlsio.FileError] or another error of tlsio.
func (e *TLSServer) Check() error { return e.plain().check() }

// Listen opens the port; see [Server]. It reads files.
func (e *TLSServer) Listen(r *reactor.Reactor, f reactor.Factory) (Listener, error) {
	return e.plain().listen(r, f)
}

// String is the description.
func (e *TLSServer) String() string { return Describe("tls", e) }

func (e *TLSServer) plain() *listening {
	return &listening{
		terms:  terms{scheme: "tls", alpn: e.ALPN, low: e.MinVersion, high: e.MaxVersion, log: e.Logger, o: e.Options},
		tcp:    TCPServer{Port: e.Port, Interface: e.Interface, Backlog: e.Backlog, NoDelay: e.NoDelay, KeepAlive: e.KeepAlive},
		source: sourceAt(e.Certificates, e.PrivateKey, e.ExtraCertChain), argument: "certificates",
		clients: e.ClientCAs, optional: e.OptionalClientCert, every: e.Reload,
	}
}

// SSLServer is Twisted's
// ssl:port[:privateKey[:certKey[:sslmethod[:interface[:backlog[:extraCertChain[:dhParameters]]]]]]]
// for listening (GRAM-13), with the security of a [TLSServer]: TLS 1.2 at least.
type SSLServer struct {
	_ struct{} `help:"Listens on TCP for TLS, described as for Twisted. New descriptions should use tls."`

	// Port is the port number. Zero takes a free one.
	Port uint16 `ep:"port,0" help:"port number or service name; 0 takes a free one"`
	// PrivateKey is the PEM file of the key. Empty: server.pem.
	PrivateKey string `ep:"privateKey,1,optional" help:"PEM file of the private key; without it, server.pem"`
	// CertKey is the PEM file of the certificate. Empty: the file of the key.
	CertKey string `ep:"certKey,2,optional" help:"PEM file of the certificate; without it, the file of the key"`
	// SSLMethod is a name of OpenSSL: TLS_METHOD or SSLv23_METHOD, which negotiate, and
	// are the same as none; or TLSv1_2_METHOD. The others are refused, with ErrVersion.
	SSLMethod string `ep:"sslmethod,3,optional" help:"TLS_METHOD or SSLv23_METHOD, the same as none; or TLSv1_2_METHOD"`
	// Interface is the local address, as in a TCPServer.
	Interface netip.Addr `ep:"interface,4,optional" help:"local IP address; without it, every IPv4 address"`
	// Backlog is how many connections may wait to be accepted. Zero or negative:
	// as many as the system allows.
	Backlog int `ep:"backlog,5,optional" help:"connections that may wait; without it, as many as the system allows"`
	// ExtraCertChain is a PEM file of more certificates of the chain (GRAM-14).
	ExtraCertChain string `ep:"extraCertChain,6,optional" help:"PEM file of more certificates of the chain"`
	// DHParameters must be empty: crypto/tls has key exchange on elliptic curves alone.
	DHParameters string `ep:"dhParameters,7,optional" help:"refused: keys are exchanged on elliptic curves"`
	// NoDelay sends small segments at once.
	NoDelay bool `ep:"nodelay" help:"send small segments at once"`
	// KeepAlive probes idle peers.
	KeepAlive bool `ep:"keepalive" help:"probe idle peers"`
	// Logger is as in a TLSServer. It is no argument.
	Logger *slog.Logger
	// Options are as in a TLSServer. It is no argument.
	Options *tlsio.Options
}

// Check is that of a TLSServer.
func (e *SSLServer) Check() error {
	l, err := e.plain()
	if err != nil {
		return err
	}
	return l.check()
}

// Listen opens the port; see [Server]. It reads files.
func (e *SSLServer) Listen(r *reactor.Reactor, f reactor.Factory) (Listener, error) {
	l, err := e.plain()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: l.tcp.local(), Err: err}
	}
	return l.listen(r, f)
}

// String is the description.
func (e *SSLServer) String() string { return Describe("ssl", e) }

// plain is what is to be listened on. It is not nil when there is an error.
func (e *SSLServer) plain() (*listening, error) {
	key, argument := e.PrivateKey, "privateKey"
	if key == "" {
		key = "server.pem"
	}
	cert := key
	if e.CertKey != "" {
		cert, argument = e.CertKey, "certKey"
	}
	l := &listening{
		terms:  terms{scheme: "ssl", log: e.Logger, o: e.Options},
		tcp:    TCPServer{Port: e.Port, Interface: e.Interface, Backlog: e.Backlog, NoDelay: e.NoDelay, KeepAlive: e.KeepAlive},
		source: sourceAt(cert, key, e.ExtraCertChain), argument: argument,
	}
	switch e.SSLMethod {
	case "", "TLS_METHOD", "TLS_SERVER_METHOD", "SSLv23_METHOD":
	case "TLSv1_2_METHOD":
		l.low, l.high = "1.2", "1.2"
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
