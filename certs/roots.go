package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
)

// ErrNoRoots: trust roots were asked for and none was found.
var ErrNoRoots = errors.New("no trust roots")

// Roots says which authorities are trusted: all of what is set, together. The zero
// value names none; what that means is said where a Roots stands. (TLS-45)
type Roots struct {
	// Platform trusts what the system trusts.
	Platform bool
	// Files are PEM files, each of at least one certificate. Private keys in them are
	// not looked at.
	Files []string
	// Dirs are directories: each file in them whose name ends in .pem is read, and
	// those that cannot be read or hold no certificates are skipped, with the reason
	// in the log (GRAM-21).
	Dirs []string
	// Certificates are authorities, or single servers, given in memory.
	Certificates []*x509.Certificate
	// Pool is a pool made elsewhere. It is copied. It excludes Platform.
	Pool *x509.CertPool
}

// IsZero tells whether r names nothing.
func (r *Roots) IsZero() bool {
	return !r.Platform && r.Files == nil && r.Dirs == nil && r.Certificates == nil && r.Pool == nil
}

// Load reads what r names into a new pool: so it may block, and belongs before Run.
// log hears of files skipped; it may be nil. Errors are [*Error]; ErrNoRoots if
// nothing was found, so that nobody trusts the platform, or nobody, by mistake; and
// ErrOptions if r contradicts itself (TLS-47).
func (r *Roots) Load(log *slog.Logger) (*x509.CertPool, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pool := x509.NewCertPool()
	found := 0
	switch {
	case r.Platform && r.Pool != nil:
		return nil, fmt.Errorf("%w: Roots.Platform and Roots.Pool: add to a pool of x509.SystemCertPool by hand", ErrOptions)
	case r.Platform:
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("%w: the platform's cannot be had: %w: name a file of them", ErrNoRoots, err)
		}
		pool, found = system, 1
	case r.Pool != nil:
		pool, found = r.Pool.Clone(), 1
	}
	add := func(certs []*x509.Certificate) {
		for _, c := range certs {
			pool.AddCert(c)
			found++
		}
	}
	for _, path := range r.Files {
		certs, err := readRoots(path)
		if err != nil {
			return nil, err
		}
		add(certs)
	}
	for _, dir := range r.Dirs {
		certs, err := readRootDir(dir, log)
		if err != nil {
			return nil, err
		}
		add(certs)
	}
	for _, c := range r.Certificates {
		if c == nil || len(c.Raw) == 0 {
			return nil, fmt.Errorf("%w: Roots.Certificates has one that was not parsed: use x509.ParseCertificate", ErrOptions)
		}
	}
	add(r.Certificates)
	if found == 0 {
		return nil, fmt.Errorf("%w: Roots names nothing: name a file, a directory or the platform", ErrNoRoots)
	}
	return pool, nil
}

// readRoots is the certificates of a file.
func readRoots(path string) (found []*x509.Certificate, err error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	certs, _, err := sortBlocks(path, data)
	if err != nil {
		return nil, err
	}
	for _, b := range certs {
		c, err := b.parseCert()
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return nil, &Error{Path: path, Err: ErrNoCertificate, Remedy: "name a file with the certificates of the authorities"}
	}
	return found, nil
}

// readRootDir is the certificates of all files of a directory that hold some.
func readRootDir(dir string, log *slog.Logger) (found []*x509.Certificate, err error) {
	paths, err := pemFiles(dir)
	if err != nil {
		return nil, err
	}
	none := ErrNoRoots
	for _, path := range paths {
		certs, err := readRoots(path)
		if err != nil {
			log.Warn("trust roots: file skipped", slog.String("file", path), slog.Any("err", err))
			if none == ErrNoRoots { // the first reason will do
				none = fmt.Errorf("%w: %w", ErrNoRoots, err)
			}
			continue
		}
		found = append(found, certs...)
	}
	if len(found) == 0 {
		return nil, &Error{Path: dir, Err: none,
			Detail: fmt.Sprintf("%d of its files end in .pem, and none could be used", len(paths)),
			Remedy: "put the authorities' certificates into it, as .pem"}
	}
	return found, nil
}
