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
