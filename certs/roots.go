package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
)

// ErrNoRoots: trust roots were asked for, and none was found.
var ErrNoRoots = errors.New("no trust roots")

// Roots says which authorities are trusted: all that its fields name, together. The
// zero value names none. Each user of a Roots says what that means (TLS-45).
type Roots struct {
	// Platform adds the authorities that the system trusts.
	Platform bool
	// Files are PEM files, each of at least one certificate. Private keys in them are
	// ignored.
	Files []string
	// Dirs are directories. Each file in them whose name ends in .pem is read. A file
	// that cannot be read or holds no certificate is skipped, and the log says why
	// (GRAM-21).
	Dirs []string
	// Certificates are authorities, or certificates of single servers, in memory.
	Certificates []*x509.Certificate
	// Pool was made elsewhere. It is copied. It cannot be combined with Platform.
	Pool *x509.CertPool
}

// IsZero tells whether r names nothing.
func (r *Roots) IsZero() bool {
	return !r.Platform && r.Files == nil && r.Dirs == nil && r.Certificates == nil && r.Pool == nil
}

// Load reads what r names into a new pool, so it may block: call it before Run. log
// is told which files were skipped; it may be nil. The error is an [*Error], ErrNoRoots
// if nothing was found, or ErrOptions if r contradicts itself (TLS-47). An empty pool is
// an error because crypto/tls would trust nobody, and a nil one the platform.
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

// readRoots returns the certificates of a file.
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

// readRootDir returns the certificates of all files of a directory that hold some.
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
			if none == ErrNoRoots { // the first reason is enough
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
