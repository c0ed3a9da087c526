package std

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// verification says how a client verifies the certificate of the server.
type verification uint8

const (
	verifyName  verification = iota // it must be trusted, and be for the host
	verifyChain                     // it must be trusted, for any name
	verifyNone                      // any certificate will do
)

// tlsDial is a place to connect to by TLS.
type tlsDial struct {
	tlsPlace
	host     string        // to ask for, and to verify
	source   *certs.Source // of the certificate to show; nil: none
	argument string        // the name of the argument for the certificate
	roots    string        // file or directory of trusted authorities; "": the platform's
	rootsArg string        // the name of the argument for roots
	verify   verification
	timeout  time.Duration // for connecting and the handshake together; zero: none of its own
}

// within sets the limit for connecting and the handshake together: the Timeout of a TCPClient.
func (d *tlsDial) within(timeout time.Duration) {
	if timeout == 0 {
		timeout = defaultTimeout
	}
	d.timeout = max(timeout, 0)
}

// defaultTimeout is that of reactor.DialConfig.
const defaultTimeout = 30 * time.Second

// certificate sets the certificate for servers that ask for one.
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

// config reads and checks the files, and returns a configuration.
func (d *tlsDial) config() (*tls.Config, error) {
	if err := d.parse(); err != nil {
		return nil, err
	}
	o := &certs.ClientOptions{
		NextProtos: d.protos, MinVersion: d.minVersion, MaxVersion: d.maxVersion,
		InsecureSkipVerify: d.verify == verifyNone, Logger: d.Logger,
	}
	if d.verify == verifyNone && d.roots != "" {
		return nil, d.fail(d.rootsArg, d.roots, fmt.Errorf("%w: trust roots %q and verify=none, which asks none", ErrContradiction, d.roots))
	}
	var err error
	if d.source != nil {
		o.Store, err = certs.Load(&certs.StoreOptions{Sources: []certs.Source{*d.source}})
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
		o.Roots = certs.Roots{Pool: pool}
	}
	cfg, err := certs.ClientConfig(d.host, o)
	if err != nil {
		return nil, d.fail("host", d.host, err)
	}
	if d.verify == verifyChain {
		roots := cfg.RootCAs
		cfg.InsecureSkipVerify = true // crypto/tls would verify the name as well
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return trusted(s.PeerCertificates, roots) }
	}
	return cfg, nil
}

// trusted returns nil if a chain leads from the first of certs to roots, else the
// reason.
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

// connect connects to over and begins TLS there.
func (d *tlsDial) connect(r *reactor.Reactor, over endpoint.Client, cfg *tls.Config, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	g := &explainFactory{Factory: f, host: d.host}
	g.r.Store(r)
	if d.timeout > 0 {
		g.due = r.Now() + d.timeout
	}
	return over.Connect(r, tlsio.Client(cfg, g, d.Options), func(p reactor.Protocol, err error) { done(application(p), err) })
}

// prepared is a client's place after its fields and files have been read.
type prepared struct {
	tlsDial
	cfg  *tls.Config
	over endpoint.Client
}

// preparation reads the fields and files once. Several goroutines may use it.
type preparation struct{ ready atomic.Pointer[prepared] }

// of returns the result of the first prepare that succeeded. prepare fills all of p but
// cfg.
func (x *preparation) of(prepare func(p *prepared) error) (*prepared, error) {
	if p := x.ready.Load(); p != nil {
		return p, nil
	}
	p := new(prepared)
	err := prepare(p)
	if err != nil {
		return nil, err
	}
	if p.cfg, err = p.config(); err != nil {
		return nil, err
	}
	x.ready.Store(p)
	return p, nil
}
