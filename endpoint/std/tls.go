package std

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// What may be wrong with a place of TLS besides its files, to be asked for with
// errors.Is.
var (
	// ErrVersion: a version of TLS that is unknown, or that is not spoken because it is
	// broken (TLS-48).
	ErrVersion = kernel.Sentinel("wrong version of TLS")
	// ErrNotSupported: what Twisted's descriptions can say and crypto/tls cannot do.
	ErrNotSupported = kernel.Sentinel("not supported")
	// ErrContradiction: two arguments that exclude each other.
	ErrContradiction = kernel.Sentinel("arguments exclude each other")
)

// guests is the factory between TLS and that of the application. Its protocols
// stand between a tlsio.Conn and the application's, to say what went wrong in words.
type guests struct {
	reactor.Factory
	host  string       // that was asked for; empty on a server
	log   *slog.Logger // hears of handshakes that failed; nil: nobody
	quota quota        // of lines there
	r     *reactor.Reactor
	begin func() // at the first use
	end   func() // after the last
}

// BuildProtocol builds a protocol of the application.
func (f *guests) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	p := f.Factory.BuildProtocol(peer)
	if p == nil {
		return nil
	}
	return &guest{Protocol: p, of: f}
}

// Unwrap is the application's factory, which the reactor starts and stops.
func (f *guests) Unwrap() reactor.Factory { return f.Factory }

// StartFactory begins what goes on while there is a port.
func (f *guests) StartFactory() error {
	if f.begin != nil {
		f.begin()
	}
	return nil
}

// StopFactory ends it.
func (f *guests) StopFactory() error {
	if f.end != nil {
		f.end()
	}
	return nil
}

// LogPrefix keeps the name of the application's factory in the log.
func (f *guests) LogPrefix() string { return reactor.LogPrefixOf(f.Factory) }

// guest is the application's protocol, but for the words of an error.
type guest struct {
	reactor.Protocol
	of *guests
}

// Unwrap is the application's protocol.
func (g *guest) Unwrap() reactor.Protocol { return g.Protocol }

// LogPrefix keeps the name of the application's protocol in the log.
func (g *guest) LogPrefix() string { return reactor.LogPrefixOf(g.Protocol) }

// ConnectionLost says which certificate, which name and which rule, if TLS has
// failed because of them, to the log and to the protocol.
func (g *guest) ConnectionLost(err error) {
	if e, ok := err.(*tlsio.Error); ok {
		said := *e
		said.Err = tlsio.Explain(e.Err, g.of.host)
		err = &said
		if errors.Is(err, tlsio.ErrHandshake) {
			g.of.tell(&said)
		}
	}
	g.Protocol.ConnectionLost(err)
}

// tell writes to the log that a handshake has failed, unless many have of late.
func (f *guests) tell(e *tlsio.Error) {
	if f.log == nil {
		return
	}
	missing, ok := f.quota.take(f.r.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("on", e.Local.String()), slog.String("peer", e.Remote.String()), slog.Any("err", e.Err)}
	if missing > 0 {
		attrs = append(attrs, slog.Int("notLogged", missing))
	}
	f.log.LogAttrs(context.Background(), slog.LevelWarn, "TLS handshake failed", attrs...)
}

// unguest is the application's protocol in what a connector gives.
func unguest(p reactor.Protocol) reactor.Protocol {
	if g, ok := reactor.ProtocolAs[*guest](p); ok {
		return g.Protocol
	}
	return p
}

// terms is what the descriptions of all places of TLS may say, as text, and what is
// made of it.
type terms struct {
	scheme     string
	alpn       string
	low, high  string // versions
	log        *slog.Logger
	o          *tlsio.Options
	minVersion uint16
	maxVersion uint16
	protos     []string
}

// fail is an error about an argument.
func (t *terms) fail(argument, value string, err error) error {
	return &endpoint.ArgumentError{Scheme: t.scheme, Argument: argument, Value: value, Err: err}
}

// renamed is an error of TCP's type as one of this.
func (t *terms) renamed(err error) error {
	if e, ok := errors.AsType[*endpoint.ArgumentError](err); ok {
		return t.fail(e.Argument, e.Value, e.Err)
	}
	return err
}

// read makes something of the texts.
func (t *terms) read() (err error) {
	if t.minVersion, err = version(t.low); err != nil {
		return t.fail("minVersion", t.low, err)
	}
	if t.maxVersion, err = version(t.high); err != nil {
		return t.fail("maxVersion", t.high, err)
	}
	if t.maxVersion != 0 && t.maxVersion < t.minVersion {
		return t.fail("maxVersion", t.high, fmt.Errorf("%w: %q is less than minVersion, %q", ErrContradiction, t.high, t.low))
	}
	if t.alpn == "" {
		return nil
	}
	t.protos = strings.Split(t.alpn, ",")
	for _, p := range t.protos {
		if len(p) == 0 || len(p) > 255 {
			return t.fail("alpn", t.alpn, fmt.Errorf("%q holds a name of %d bytes: names have 1 to 255, and a comma between them", t.alpn, len(p)))
		}
	}
	return nil
}

// version is what text means, 0 for nothing.
func version(text string) (uint16, error) {
	switch strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(text), "TLS"), "V") {
	case "":
		return 0, nil
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	case "1.0", "1", "1.1":
		return 0, fmt.Errorf("%w: %q is broken: use 1.2 or 1.3", ErrVersion, text)
	}
	return 0, fmt.Errorf("%w: %q is not 1.2 or 1.3", ErrVersion, text)
}

// protocolsFor is what is offered by ALPN: the factory's own choice comes before
// that of the description (TLS-51).
func (t *terms) protocolsFor(f reactor.Factory) []string {
	if p, ok := f.(tlsio.Protocols); ok {
		return p.NextProtos()
	}
	return t.protos
}

// isDir tells whether path is a directory. One that cannot be looked at is none: to
// read it fails with the reason.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// rootsAt are the authorities in a file or a directory; of nothing for "".
func rootsAt(path string) tlsio.Roots {
	switch {
	case path == "":
		return tlsio.Roots{}
	case isDir(path):
		return tlsio.Roots{Dirs: []string{path}}
	}
	return tlsio.Roots{Files: []string{path}}
}

// sourceAt is a certificate in a file, or all that are in a directory.
func sourceAt(path, key, chain string) tlsio.CertSource {
	if isDir(path) {
		return tlsio.CertSource{Dir: path, KeyFile: key, ChainFile: chain}
	}
	if key == path {
		key = ""
	}
	return tlsio.CertSource{File: path, KeyFile: key, ChainFile: chain}
}

// listening is a place to listen for TLS, on TCP.
type listening struct {
	terms
	tcp      TCPServer
	source   tlsio.CertSource
	argument string // that names the certificate
	clients  string // where the authorities of clients are
	optional bool   // clients need none
	every    time.Duration
}

// config reads and checks the files, and makes a configuration of them, with a
// store of its own.
func (l *listening) config(f reactor.Factory) (*tls.Config, *tlsio.Store, error) {
	if err := l.tcp.Check(); err != nil {
		return nil, nil, l.renamed(err)
	}
	if err := l.read(); err != nil {
		return nil, nil, err
	}
	store, err := tlsio.NewStore(&tlsio.StoreOptions{Sources: []tlsio.CertSource{l.source}})
	if err != nil {
		argument, value := l.argument, l.source.File+l.source.Dir
		if e, ok := errors.AsType[*tlsio.FileError](err); ok && e.Path != "" {
			switch e.Path {
			case l.source.ChainFile:
				argument, value = "extraCertChain", e.Path
			case l.source.KeyFile:
				argument, value = "privateKey", e.Path
			}
		}
		return nil, nil, l.fail(argument, value, err)
	}
	if l.optional && l.clients == "" {
		return nil, nil, l.fail("optionalClientCert", "yes", fmt.Errorf("%w: it needs clientCAs, the authorities of the clients", ErrContradiction))
	}
	cfg, err := tlsio.ServerConfig(&tlsio.ServerOptions{
		Store: store, ClientCAs: rootsAt(l.clients), OptionalClientCert: l.optional,
		NextProtos: l.protocolsFor(f), MinVersion: l.minVersion, MaxVersion: l.maxVersion, Logger: l.log,
	})
	if err != nil {
		return nil, nil, l.fail("clientCAs", l.clients, err)
	}
	return cfg, store, nil
}

// check is for the Check of a scheme: what is read is not kept, for it may change
// until Listen.
func (l *listening) check() error {
	_, _, err := l.config(nil)
	return err
}

func (l *listening) listen(r *reactor.Reactor, f reactor.Factory) (endpoint.Listener, error) {
	cfg, store, err := l.config(f)
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: l.tcp.local(), Err: err}
	}
	g := &guests{Factory: f, r: r, log: l.log}
	if l.every >= 0 {
		var reloader *tlsio.Reloader
		g.begin = func() {
			c := &tlsio.ReloadConfig{Every: l.every, Logger: l.log}
			if l.every > 0 {
				c.Settle = min(l.every, time.Second)
			}
			reloader = tlsio.NewReloader(r, store, c)
		}
		g.end = func() { reloader.Stop() }
	}
	return l.tcp.Listen(r, tlsio.Server(cfg, g, l.o))
}

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
