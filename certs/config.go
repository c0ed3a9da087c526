package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// ErrOptions: options that contradict each other, or lack what they need (TLS-47).
var ErrOptions = errors.New("options do not fit together")

// ServerOptions are the arguments of [ServerConfig].
type ServerOptions struct {
	// Certificates are shown to clients that ask for one of their names. Clients that
	// ask for another name, or for none, get the first. The files are read once. Expired
	// certificates are refused; StoreOptions.AllowExpired accepts them.
	Certificates []Source
	// Store takes the place of Certificates, for a [Watcher], which replaces
	// those whose files change.
	Store *Store
	// ClientCAs makes TLS mutual: clients must show a certificate that one of these
	// authorities issued (TLS-46). The zero value asks clients for none. The files are
	// read once; a Watcher does not look at them.
	ClientCAs Roots
	// OptionalClientCert accepts clients that show no certificate. A certificate that is
	// shown must still be good.
	OptionalClientCert bool
	// NextProtos are the protocols offered by ALPN, the server's favourite first.
	NextProtos []string
	// MinVersion and MaxVersion bound the version, as in tls.Config. Zero: TLS 1.2
	// and the newest there is (TLS-48).
	MinVersion, MaxVersion uint16
	// InsecureOldVersions allows versions below TLS 1.2, which are broken. It does
	// nothing unless MinVersion or MaxVersion asks for one.
	InsecureOldVersions bool
	// Time is the clock for certificates. Nil: the system's.
	Time func() time.Time
	// Logger is told which files in directories of ClientCAs were skipped. Nil: nobody.
	Logger *slog.Logger
}

// ServerConfig makes a configuration for servers. It reads files, so it may block: call
// it before Run. What cannot be used fails here and not in a handshake (TLS-2): with an
// [*Error], ErrOptions or ErrNoRoots.
//
// The result is the caller's, who may change it before it is used. Only what the
// options say is set. crypto/tls chooses the rest.
func ServerConfig(o *ServerOptions) (*tls.Config, error) {
	if o == nil {
		o = new(ServerOptions)
	}
	if err := checkALPN(o.NextProtos); err != nil {
		return nil, err
	}
	cfg := &tls.Config{NextProtos: slices.Clone(o.NextProtos), Time: o.Time}
	var err error
	if cfg.MinVersion, cfg.MaxVersion, err = versions(o.MinVersion, o.MaxVersion, o.InsecureOldVersions); err != nil {
		return nil, err
	}
	store, err := storeOf(o.Store, o.Certificates, o.Time)
	if err != nil {
		return nil, err
	}
	if store == nil {
		return nil, fmt.Errorf("%w: a server needs a certificate: %w: set Certificates or Store", ErrOptions, ErrNoCertificate)
	}
	cfg.GetCertificate = store.GetCertificate
	switch {
	case !o.ClientCAs.IsZero():
		if cfg.ClientCAs, err = o.ClientCAs.Load(o.Logger); err != nil {
			return nil, fmt.Errorf("client authorities: %w", err)
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		if o.OptionalClientCert {
			cfg.ClientAuth = tls.VerifyClientCertIfGiven
		}
	case o.OptionalClientCert:
		return nil, fmt.Errorf("%w: OptionalClientCert without ClientCAs: name the authorities of the clients", ErrOptions)
	}
	return cfg, nil
}

// ClientOptions are the arguments of [ClientConfig]. Nil and the zero value verify
// servers by the platform's trust roots.
type ClientOptions struct {
	// Roots are the authorities that may issue the server's certificate. The zero
	// value is the platform's. The files are read once; a Watcher does not look at them.
	Roots Roots
	// Certificates are for servers that ask for one. The client shows the first that the
	// server accepts. The files are read once.
	Certificates []Source
	// Store takes the place of Certificates, for a [Watcher], which replaces
	// those whose files change.
	Store *Store
	// NextProtos are the protocols offered by ALPN; the server chooses (TLS-50).
	NextProtos []string
	// MinVersion, MaxVersion and InsecureOldVersions are as in ServerOptions.
	MinVersion, MaxVersion uint16
	InsecureOldVersions    bool
	// InsecureSkipVerify accepts any certificate for any name. Whoever sits between the
	// two ends can then read and change everything. It is for tests. Together with Roots
	// it is ErrOptions.
	InsecureSkipVerify bool
	// Time is the clock for certificates. Nil: the system's.
	Time func() time.Time
	// Logger is told which files in directories of Roots were skipped. Nil: nobody.
	Logger *slog.Logger
}

// ClientConfig makes a configuration for connections to host, a DNS name or an IP
// address. The server must show a certificate for host that a trusted authority has
// issued (TLS-40). host must come from a person or a file, never from a look-up, whose
// answer may be forged. [ServerName] converts it.
//
// It reads files, if the options name any, so it may block: call it before Run. The
// errors and the result are as for [ServerConfig]. host may be empty only with
// InsecureSkipVerify; then no SNI is sent.
func ClientConfig(host string, o *ClientOptions) (*tls.Config, error) {
	if o == nil {
		o = new(ClientOptions)
	}
	if err := checkALPN(o.NextProtos); err != nil {
		return nil, err
	}
	cfg := &tls.Config{
		NextProtos: slices.Clone(o.NextProtos), Time: o.Time,
		InsecureSkipVerify: o.InsecureSkipVerify,
	}
	var err error
	if host != "" || !o.InsecureSkipVerify {
		if cfg.ServerName, err = ServerName(host); err != nil {
			return nil, err
		}
	}
	if cfg.MinVersion, cfg.MaxVersion, err = versions(o.MinVersion, o.MaxVersion, o.InsecureOldVersions); err != nil {
		return nil, err
	}
	store, err := storeOf(o.Store, o.Certificates, o.Time)
	if err != nil {
		return nil, err
	}
	if store != nil {
		cfg.GetClientCertificate = store.GetClientCertificate
	}
	switch {
	case o.Roots.IsZero():
		// A nil pool is the platform's, in crypto/tls.
	case o.InsecureSkipVerify:
		return nil, fmt.Errorf("%w: Roots with InsecureSkipVerify: trust roots that are never asked; drop one of them", ErrOptions)
	default:
		if cfg.RootCAs, err = o.Roots.Load(o.Logger); err != nil {
			return nil, fmt.Errorf("trust roots: %w", err)
		}
	}
	return cfg, nil
}

// storeOf returns the store that the options name, or nil.
func storeOf(s *Store, sources []Source, now func() time.Time) (*Store, error) {
	switch {
	case s != nil && len(sources) > 0:
		return nil, fmt.Errorf("%w: Store and Certificates: put the certificates into the store", ErrOptions)
	case s != nil || len(sources) == 0:
		return s, nil
	}
	return Load(&StoreOptions{Sources: sources, Time: now})
}

// versions completes and checks the bounds of the version (TLS-48). The minimum is
// always set, because GODEBUG may lower what zero means in a tls.Config.
func versions(low, high uint16, old bool) (minimum, maximum uint16, err error) {
	for _, v := range []uint16{low, high} {
		switch {
		case v == 0:
		case v < tls.VersionTLS10 || v > tls.VersionTLS13:
			return 0, 0, fmt.Errorf("%w: version %#04x is not one of TLS: use tls.VersionTLS12 or tls.VersionTLS13", ErrOptions, v)
		case v < tls.VersionTLS12 && !old:
			return 0, 0, fmt.Errorf("%w: %s is broken: use TLS 1.2 or later, or set InsecureOldVersions", ErrOptions, tls.VersionName(v))
		}
	}
	if low == 0 {
		low = tls.VersionTLS12
	}
	if high != 0 && high < low {
		return 0, 0, fmt.Errorf("%w: no version is at least %s and at most %s: raise MaxVersion", ErrOptions, tls.VersionName(low), tls.VersionName(high))
	}
	return low, high, nil
}

// checkALPN fails if a name cannot be sent.
func checkALPN(protos []string) error {
	for _, p := range protos {
		if len(p) == 0 || len(p) > 255 {
			return fmt.Errorf("%w: protocol %q in NextProtos has %d bytes: names have 1 to 255", ErrOptions, p, len(p))
		}
	}
	return nil
}
