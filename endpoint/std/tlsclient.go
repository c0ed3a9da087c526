package std

import (
	"fmt"
	"slices"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// TLSClient is tls:host:port for connecting by TLS (GRAM-22): over TCP, by the
// rules of a [TCPClient], or over another place (EP-18). The server must show a
// certificate for Host that a trusted authority has issued (TLS-40).
//
// done is called when the connection below has been made, after ConnectionMade and
// before the handshake (EP-2, TLS-3). When the server has been verified, a protocol
// that is a tlsio.HandshakeListener is told so. If it is the wrong server,
// ConnectionLost gets a [*tlsio.Error] that names the certificate, the name and the
// rule, and nothing that was written before is sent.
//
// Timeout limits connecting and the handshake together. If the handshake is not over then,
// ConnectionLost gets a [*tlsio.Error] that is tlsio.ErrHandshakeTimeout. The handshake alone is
// also limited by Options.HandshakeTimeout, and over another place by that alone.
//
// The files are read once: with the description, or else by the first Connect. Fields
// must not be changed after that.
type TLSClient struct {
	_ struct{} `help:"Connects by TLS, to a server that shows a trusted certificate for the host."`

	// TCPClient says where the server is and how to connect to it. The certificate must
	// be for its Host, also if there is an Endpoint; the rest is not used then.
	TCPClient
	// Certificate is a PEM file of a certificate, its chain and, unless PrivateKey is
	// set, its key, for servers that ask for one. Empty: none.
	Certificate string `ep:"certificate" help:"PEM file of a certificate to show, its chain and its key"`
	// PrivateKey is the PEM file of the key, if it is not in Certificate.
	PrivateKey string `ep:"privateKey" help:"PEM file of the private key, if it is another"`
	// TrustRoots is a PEM file of authorities, or a directory of such files (GRAM-21).
	// Empty: the authorities of the platform.
	TrustRoots string `ep:"trustRoots" empty:"no" help:"PEM file of trusted authorities, or directory of such .pem files; without it, the platform's"`
	// Endpoint describes a place to connect over instead of TCP to Host and Port. It may stand in brackets.
	Endpoint string `ep:"endpoint" help:"what to connect over, as a description in brackets, or with its ':' written '\\:'; without it, tcp"`
	// TLSParameters are ALPN, MinVersion and MaxVersion.
	TLSParameters
	// Over is a place to connect over, without a description. It is no argument.
	Over endpoint.Client
	// Known has the types that Endpoint may name. Nil: none. It is no argument.
	Known *endpoint.Schemes
	// TLSSettings are Logger and Options. They are no arguments.
	TLSSettings

	defaults kernel.StreamOptions // of the set
	preparation
}

// Check reads the files, and fails if no connection can be made with them or with
// the other arguments. The error is an [*endpoint.ArgumentError].
func (e *TLSClient) Check() error {
	_, err := e.prepare()
	return err
}

// Connect starts connecting; see [endpoint.Client]. Its errors are those of a
// TCPClient, or of the place to connect over.
func (e *TLSClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	p, err := e.prepare()
	if err != nil {
		return e.refuse(r, done, err)
	}
	return p.connect(r, p.over, p.cfg, f, done)
}

// String is the description.
func (e *TLSClient) String() string { return endpoint.Describe("tls", e) }

// prepare reads the files, the first time.
func (e *TLSClient) prepare() (*prepared, error) {
	return e.preparation.of(func(p *prepared) (err error) {
		p.tlsDial = tlsDial{
			tlsPlace: tlsPlace{scheme: "tls", TLSParameters: e.TLSParameters, TLSSettings: e.TLSSettings},
			host:     string(e.Host), roots: e.TrustRoots, rootsArg: "trustRoots", argument: "certificate",
		}
		if p.over, err = e.below(p); err != nil {
			return err
		}
		if p.over == endpoint.Client(&e.TCPClient) {
			p.within(e.Timeout)
		}
		return p.certificate(e.Certificate, e.PrivateKey)
	})
}

// below returns the place to connect over.
func (e *TLSClient) below(p *prepared) (endpoint.Client, error) {
	if err := e.TCPClient.Check(); err != nil {
		return nil, p.renamed(err)
	}
	if e.Over == nil && e.Endpoint == "" {
		return &e.TCPClient, nil
	}
	defaults := endpoint.Arguments(&TCPClient{StreamOptions: e.defaults})
	for _, a := range endpoint.Arguments(&e.TCPClient) {
		// Host and Port have no name here.
		if a.Name != "" && !slices.Contains(defaults, a) {
			return nil, p.fail(a.Name, a.Value, fmt.Errorf("%w: it is not for TLS: say it in the description of the endpoint", ErrContradiction))
		}
	}
	if e.Over != nil {
		if e.Endpoint != "" {
			return nil, p.fail("endpoint", e.Endpoint, fmt.Errorf("%w: there is Over as well: use one of them", ErrContradiction))
		}
		return e.Over, nil
	}
	known := e.Known
	if known == nil {
		known = new(endpoint.Schemes)
	}
	over, err := known.Client(unbracketed(e.Endpoint))
	if err != nil {
		return nil, p.fail("endpoint", e.Endpoint, wrongBelow(e.Endpoint, err))
	}
	return over, nil
}
