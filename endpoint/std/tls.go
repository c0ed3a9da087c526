package std

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/tlsio"
)

// Errors about the arguments of TLS, to be asked for with errors.Is.
var (
	// ErrVersion: the version of TLS is unknown, or refused because it is broken
	// (TLS-48).
	ErrVersion = kernel.Sentinel("wrong version of TLS")
	// ErrNotSupported: Twisted has the argument, and crypto/tls has nothing for it.
	ErrNotSupported = kernel.Sentinel("not supported")
	// ErrContradiction: two arguments exclude each other.
	ErrContradiction = kernel.Sentinel("arguments exclude each other")
)

// TLSParameters are the arguments for the handshake.
type TLSParameters struct {
	// ALPN lists the application protocols to offer, best first, separated by commas.
	// If the factory is a tlsio.Protocols, its list is used instead (TLS-51).
	ALPN string `ep:"alpn" help:"application protocols, best first, separated by commas"`
	// MinVersion and MaxVersion are 1.2 or 1.3. Empty: from 1.2 to the newest version.
	MinVersion string `ep:"minVersion" help:"least version of TLS, 1.2 or 1.3; without it, 1.2"`
	MaxVersion string `ep:"maxVersion" help:"greatest version of TLS; without it, the newest"`
}

// TLSSettings are what a place of TLS has besides its arguments.
type TLSSettings struct {
	// Logger is told of files that were skipped in a directory, of certificates that
	// were read again, of handshakes that failed on a server, and of connections that
	// do not verify the server. A port logs at most ten failed handshakes a second; the
	// next line says how many were left out. Nil: nothing is logged.
	Logger *slog.Logger
	// Options are the options of the connections. Places with equal Options share
	// the limits in them. Nil: the defaults.
	Options *tlsio.Options
}

// tlsPlace is the common part of all places of TLS.
type tlsPlace struct {
	scheme string
	TLSParameters
	TLSSettings
	minVersion uint16 // set by parse, like the rest
	maxVersion uint16
	protos     []string
}

// fail returns an error about an argument.
func (t *tlsPlace) fail(argument, value string, err error) error {
	return &endpoint.ArgumentError{Scheme: t.scheme, Argument: argument, Value: value, Err: err}
}

// renamed gives an error about an argument of TCP the name of this scheme.
func (t *tlsPlace) renamed(err error) error {
	if e, ok := errors.AsType[*endpoint.ArgumentError](err); ok {
		return t.fail(e.Argument, e.Value, e.Err)
	}
	return err
}

// parse checks the TLSParameters and turns them into numbers and a list.
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

// version returns the number of the version in text, 0 if text is empty.
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

// isDir tells whether path is a directory. If that cannot be found out it returns
// false; reading path as a file then fails with the reason.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// rootsAt returns the authorities in a file or a directory, none for "".
func rootsAt(path string) certs.Roots {
	switch {
	case path == "":
		return certs.Roots{}
	case isDir(path):
		return certs.Roots{Dirs: []string{path}}
	}
	return certs.Roots{Files: []string{path}}
}

// sourceAt returns the certificate in a file, or all certificates in a directory.
func sourceAt(path, key, chain string) certs.Source {
	if isDir(path) {
		return certs.Source{Dir: path, KeyFile: key, ChainFile: chain}
	}
	if key == path {
		key = ""
	}
	return certs.Source{File: path, KeyFile: key, ChainFile: chain}
}
