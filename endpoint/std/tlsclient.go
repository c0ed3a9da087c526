package std

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// TLSClient is tls:host:port for connecting by TLS (GRAM-22): over TCP, by the
// rules of a [TCPClient], or over another place (EP-18). The server must show a
// certificate for Host that a trusted authority has issued (TLS-40).
//
// done is called when the connection below has been made, after ConnectionMade and
// before the handshake (EP-2, TLS-3). A protocol learns by being a
// tlsio.HandshakeListener that the server is who it should be; ConnectionLost is
// given a [*tlsio.Error] that says which certificate, which name and which rule, if
// it is not. What is written before is sent only if it is.
//
// Its files are read when the description is, or else by the first Connect, and
// not again. Fields must not be changed after that.
type TLSClient struct {
	_ struct{} `help:"Connects by TLS, to a server that shows a trusted certificate for the host."`

	// Host is a name or an IP literal: the peer, unless there is an Endpoint, and
	// in any case what its certificate must be for.
	Host endpoint.Host `ep:"host,0" help:"host name or IP address, an IPv6 address in brackets; the certificate must be for it"`
	// Port is the port number. It means nothing if there is an Endpoint.
	Port uint16 `ep:"port,1" help:"port number or service name"`
	// Timeout, BindAddress and AttemptDelay are those of a TCPClient.
	Timeout      time.Duration `ep:"timeout" help:"for the look-up, and for each attempt; without it, 30 s; negative: no limit"`
	BindAddress  netip.Addr    `ep:"bindAddress" help:"local IP address"`
	AttemptDelay time.Duration `ep:"attemptDelay" help:"before the next address is tried as well; without it, 0.3 s; negative: until the last has failed"`
	// Certificate is a PEM file of a certificate to be shown to a server that asks for
	// one, its chain and, unless PrivateKey is set, its key. Empty: none.
	Certificate string `ep:"certificate" help:"PEM file of a certificate to show, its chain and its key"`
	// PrivateKey is the PEM file of the key, if it is not in Certificate.
	PrivateKey string `ep:"privateKey" help:"PEM file of the private key, if it is another"`
	// TrustRoots is a PEM file of authorities, or a directory of such files (GRAM-21).
	// Empty: those of the platform.
	TrustRoots string `ep:"trustRoots" help:"PEM file of trusted authorities, or directory of such .pem files; without it, the platform's"`
	// Endpoint describes what to connect over, in the place of TCP to Host and Port.
	Endpoint string `ep:"endpoint" help:"what to connect over, as a description with its ':' written '\\:'; without it, tcp"`
	// ALPN is what is offered by ALPN, best first, with commas between. A factory that
	// is a tlsio.Protocols takes its place (TLS-51).
	ALPN string `ep:"alpn" help:"application protocols, best first, separated by commas"`
	// MinVersion and MaxVersion are 1.2 or 1.3. Empty: 1.2 and the newest there is.
	MinVersion string `ep:"minVersion" help:"least version of TLS, 1.2 or 1.3; without it, 1.2"`
	MaxVersion string `ep:"maxVersion" help:"greatest version of TLS; without it, the newest"`
	// NoDelay and KeepAlive are those of a TCPClient.
	NoDelay   bool `ep:"nodelay" help:"send small segments at once"`
	KeepAlive bool `ep:"keepalive" help:"probe an idle peer"`
	// Over is a place to connect over, in the place of Endpoint. It is no argument.
	Over endpoint.Client
	// Known is where Endpoint is looked up. It is no argument.
	Known endpoint.Schemes
	// Logger hears of files that were skipped in a directory. Nil: nobody. It is no
	// argument.
	Logger *slog.Logger
	// Options are those of the connections; places that share them share their bounds.
	// Nil: the defaults. It is no argument.
	Options *tlsio.Options

	ready atomic.Pointer[prepared]
}

// prepared is what a client place has made of its fields.
type prepared struct {
	dialling
	cfg  *tls.Config
	over endpoint.Client
}

// Check reads the files, and fails if no connection can be made with them, or with
// the other arguments: with an [*endpoint.ArgumentError].
func (e *TLSClient) Check() error {
	_, err := e.prepare()
	return err
}

// Connect starts connecting; see [endpoint.Client]. Errors are those of a TCPClient, or of
// the other place.
func (e *TLSClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	p, err := e.prepare()
	if err != nil {
		return refused(r, e.Host, e.Port, done, err)
	}
	return p.connect(r, p.over, p.cfg, f, done)
}

// String is the description.
func (e *TLSClient) String() string { return endpoint.Describe("tls", e) }

func (e *TLSClient) prepare() (*prepared, error) {
	if p := e.ready.Load(); p != nil {
		return p, nil
	}
	p := &prepared{dialling: dialling{
		terms: terms{scheme: "tls", alpn: e.ALPN, low: e.MinVersion, high: e.MaxVersion, log: e.Logger, o: e.Options},
		host:  string(e.Host), roots: e.TrustRoots, rootsArg: "trustRoots", argument: "certificate",
	}}
	if p.o == nil {
		p.o = new(tlsio.Options)
	}
	var err error
	if p.over, err = e.below(p); err != nil {
		return nil, err
	}
	switch {
	case e.Certificate != "":
		s := sourceAt(e.Certificate, e.PrivateKey, "")
		p.source = &s
	case e.PrivateKey != "":
		return nil, p.fail("privateKey", e.PrivateKey, fmt.Errorf("%w: a key without a certificate: name it with certificate=", ErrContradiction))
	}
	if p.cfg, err = p.config(); err != nil {
		return nil, err
	}
	e.ready.Store(p)
	return p, nil
}

// below is what to connect over.
func (e *TLSClient) below(p *prepared) (endpoint.Client, error) {
	tcp := &TCPClient{
		Host: e.Host, Port: e.Port, Timeout: e.Timeout, BindAddress: e.BindAddress,
		AttemptDelay: e.AttemptDelay, NoDelay: e.NoDelay, KeepAlive: e.KeepAlive,
	}
	if err := tcp.Check(); err != nil {
		return nil, p.renamed(err)
	}
	if e.Over == nil && e.Endpoint == "" {
		return tcp, nil
	}
	for _, a := range []struct {
		name string
		set  bool
	}{
		{"timeout", e.Timeout != 0}, {"bindAddress", e.BindAddress.IsValid()},
		{"attemptDelay", e.AttemptDelay != 0}, {"keepalive", e.KeepAlive},
	} {
		if a.set {
			return nil, p.fail(a.name, "", fmt.Errorf("%w: it is not for TLS: say it in the description of the endpoint", ErrContradiction))
		}
	}
	if e.Over != nil {
		if e.Endpoint != "" {
			return nil, p.fail("endpoint", e.Endpoint, fmt.Errorf("%w: there is Over as well: use one of them", ErrContradiction))
		}
		return e.Over, nil
	}
	over, err := e.Known.Client(e.Endpoint)
	if err != nil {
		return nil, p.fail("endpoint", e.Endpoint, fmt.Errorf("%q: %w", e.Endpoint, err))
	}
	return over, nil
}
