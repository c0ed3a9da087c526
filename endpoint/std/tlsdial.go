package std

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// verification is what a client asks of its server's certificate.
type verification uint8

const (
	verifyName  verification = iota // that it is trusted, and for the host
	verifyChain                     // that it is trusted, whoever it is for
	verifyNone                      // nothing
)

// tlsDial is a place to connect to by TLS.
type tlsDial struct {
	tlsPlace
	host     string // to be asked for, and verified
	source   *tlsio.CertSource
	argument string // that names the certificate
	roots    string
	rootsArg string
	verify   verification
}

// certificate sets what is shown to a server that asks for a certificate.
func (d *tlsDial) certificate(file, key string) error {
	if file == "" && key != "" {
		return d.fail("privateKey", key, fmt.Errorf("%w: a key without a certificate: name it with %s=", ErrContradiction, d.argument))
	}
	if file != "" {
		s := sourceAt(file, key, "")
		d.source = &s
	}
	return nil
}

// config reads and checks the files, and makes a configuration of them.
func (d *tlsDial) config() (*tls.Config, error) {
	if err := d.parse(); err != nil {
		return nil, err
	}
	o := &tlsio.ClientOptions{
		NextProtos: d.protos, MinVersion: d.minVersion, MaxVersion: d.maxVersion,
		InsecureSkipVerify: d.verify == verifyNone, Logger: d.Logger,
	}
	if d.verify == verifyNone && d.roots != "" {
		return nil, d.fail(d.rootsArg, d.roots, fmt.Errorf("%w: trust roots %q and verify=none, which asks none", ErrContradiction, d.roots))
	}
	var err error
	if d.source != nil {
		o.Store, err = tlsio.NewStore(&tlsio.StoreOptions{Sources: []tlsio.CertSource{*d.source}})
		if err != nil {
			return nil, d.fail(d.argument, d.source.File+d.source.Dir, err)
		}
	}
	if d.roots != "" {
		roots := rootsAt(d.roots)
		pool, err := roots.Load(d.Logger)
		if err != nil {
			return nil, d.fail(d.rootsArg, d.roots, err)
		}
		o.Roots = tlsio.Roots{Pool: pool}
	}
	cfg, err := tlsio.ClientConfig(d.host, o)
	if err != nil {
		return nil, d.fail("host", d.host, err)
	}
	if d.verify == verifyChain {
		roots := cfg.RootCAs
		cfg.InsecureSkipVerify = true // of crypto/tls's own, which is about the name as well
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return trusted(s.PeerCertificates, roots) }
	}
	return cfg, nil
}

// trusted tells why no chain leads from the first of certs to roots, or nil.
func trusted(certs []*x509.Certificate, roots *x509.CertPool) error {
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range certs[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := certs[0].Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: certs, Err: err}
	}
	return nil
}

// connect connects over another place.
func (d *tlsDial) connect(r *reactor.Reactor, over endpoint.Client, cfg *tls.Config, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	if p, ok := f.(tlsio.Protocols); ok {
		cfg = cfg.Clone()
		cfg.NextProtos = p.NextProtos() // TLS-51
	}
	g := &guests{Factory: f, r: r, host: d.host}
	return over.Connect(r, tlsio.Client(cfg, g, d.Options), func(p reactor.Protocol, err error) { done(unguest(p), err) })
}

// prepared is what a client's place has made of its fields.
type prepared struct {
	tlsDial
	cfg  *tls.Config
	over endpoint.Client
}

// preparation keeps what was prepared. Several goroutines may use it.
type preparation struct{ ready atomic.Pointer[prepared] }

// of is what was prepared, by prepare if there is nothing yet. prepare fills p, but for
// its cfg.
func (x *preparation) of(prepare func(p *prepared) error) (*prepared, error) {
	if p := x.ready.Load(); p != nil {
		return p, nil
	}
	p := new(prepared)
	err := prepare(p)
	if err != nil {
		return nil, err
	}
	if p.Options == nil {
		p.Options = new(tlsio.Options)
	}
	if p.cfg, err = p.config(); err != nil {
		return nil, err
	}
	x.ready.Store(p)
	return p, nil
}
