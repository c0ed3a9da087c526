package std

import (
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

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

// Listen opens the port; see [endpoint.Server]. It reads files.
func (e *SSLServer) Listen(r *reactor.Reactor, f reactor.Factory) (endpoint.Listener, error) {
	l, err := e.plain()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: l.tcp.local(), Err: err}
	}
	return l.listen(r, f)
}

// String is the description.
func (e *SSLServer) String() string { return endpoint.Describe("ssl", e) }

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
