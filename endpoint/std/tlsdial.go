package std

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
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

// dialling is a place to connect to by TLS.
type dialling struct {
	terms
	host     string // to be asked for, and verified
	source   *tlsio.CertSource
	argument string // that names the certificate
	roots    string
	rootsArg string
	verify   verification
}

// config reads and checks the files, and makes a configuration of them.
func (d *dialling) config() (*tls.Config, error) {
	if err := d.read(); err != nil {
		return nil, err
	}
	o := &tlsio.ClientOptions{
		NextProtos: d.protos, MinVersion: d.minVersion, MaxVersion: d.maxVersion,
		InsecureSkipVerify: d.verify == verifyNone, Logger: d.log,
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
		pool, err := roots.Load(d.log)
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
func (d *dialling) connect(r *reactor.Reactor, over endpoint.Client, cfg *tls.Config, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	if p, ok := f.(tlsio.Protocols); ok {
		cfg = cfg.Clone()
		cfg.NextProtos = p.NextProtos() // TLS-51
	}
	g := &guests{Factory: f, r: r, host: d.host}
	return over.Connect(r, tlsio.Client(cfg, g, d.o), func(p reactor.Protocol, err error) { done(unguest(p), err) })
}

// refused is a Connect that fails because of what the place is.
func refused(r *reactor.Reactor, host endpoint.Host, port uint16, done func(reactor.Protocol, error), err error) (cancel func()) {
	c := newConnecting(r, nil, done)
	c.dest = kernel.HostAddr(string(host), port)
	if ip, literal := host.IP(); literal {
		c.dest = kernel.TCPAddr(ip, port)
	}
	c.refuse(err)
	return c.cancel
}
