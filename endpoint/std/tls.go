package std

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

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

// TLSParameters are what a place of TLS offers in a handshake.
type TLSParameters struct {
	// ALPN is what is offered by ALPN, best first, with commas between. A factory that
	// is a tlsio.Protocols takes its place (TLS-51).
	ALPN string `ep:"alpn" help:"application protocols, best first, separated by commas"`
	// MinVersion and MaxVersion are 1.2 or 1.3. Empty: 1.2 and the newest there is.
	MinVersion string `ep:"minVersion" help:"least version of TLS, 1.2 or 1.3; without it, 1.2"`
	MaxVersion string `ep:"maxVersion" help:"greatest version of TLS; without it, the newest"`
}

// TLSSettings are what a place of TLS has besides its arguments.
type TLSSettings struct {
	// Logger is told of files that were skipped in a directory; of certificates that
	// were read again; of handshakes that failed on a server, at most ten lines a second
	// for each port, of which the next one says how many were left out; and of
	// connections that Verify exposes. Nil: silence.
	Logger *slog.Logger
	// Options are those of the connections; places that share them share their bounds.
	// Nil: the defaults.
	Options *tlsio.Options
}

// tlsPlace is what all places of TLS have in common: what their arguments say, and
// what that means.
type tlsPlace struct {
	scheme string
	TLSParameters
	TLSSettings
	minVersion uint16
	maxVersion uint16
	protos     []string
}

// fail is an error about an argument.
func (t *tlsPlace) fail(argument, value string, err error) error {
	return &endpoint.ArgumentError{Scheme: t.scheme, Argument: argument, Value: value, Err: err}
}

// renamed is an error about an argument of TCP as one about this scheme's.
func (t *tlsPlace) renamed(err error) error {
	if e, ok := errors.AsType[*endpoint.ArgumentError](err); ok {
		return t.fail(e.Argument, e.Value, e.Err)
	}
	return err
}

// parse reads the TLSParameters.
func (t *tlsPlace) parse() (err error) {
	if t.minVersion, err = version(t.MinVersion); err != nil {
		return t.fail("minVersion", t.MinVersion, err)
	}
	if t.maxVersion, err = version(t.MaxVersion); err != nil {
		return t.fail("maxVersion", t.MaxVersion, err)
	}
	if t.maxVersion != 0 && t.maxVersion < t.minVersion {
		return t.fail("maxVersion", t.MaxVersion, fmt.Errorf("%w: %q is less than minVersion, %q", ErrContradiction, t.MaxVersion, t.MinVersion))
	}
	if t.ALPN == "" {
		return nil
	}
	t.protos = strings.Split(t.ALPN, ",")
	for _, p := range t.protos {
		if len(p) == 0 || len(p) > 255 {
			return t.fail("alpn", t.ALPN, fmt.Errorf("%q holds a name of %d bytes: names have 1 to 255, and a comma between them", t.ALPN, len(p)))
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
func (t *tlsPlace) protocolsFor(f reactor.Factory) []string {
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
