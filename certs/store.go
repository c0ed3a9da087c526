package certs

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// StoreOptions says what a [Store] holds.
type StoreOptions struct {
	// Sources are the certificates, at least one. Clients that ask for no name, or for
	// a name that no certificate has, get the first.
	Sources []Source
	// AllowExpired accepts certificates that have expired or are not yet valid. By
	// default they are refused with ErrExpired, because peers would refuse them.
	AllowExpired bool
	// Time is the clock for that, and for the choice among several certificates. It is
	// called on any goroutine. Nil: the system's.
	Time func() time.Time
}

// Store holds certificates and their keys, and picks one for each handshake. A
// [Watcher] replaces those whose files change. Its methods may be called from any
// goroutine.
type Store struct {
	sources []Source
	loader  loader
	live    []*entry // the watcher's, once there is one
	set     atomic.Pointer[certSet]
	watched atomic.Bool
}

// entry is a certificate in use, and a sum of what its files held.
type entry struct {
	unit unit
	cert *tls.Certificate
	sum  sum
}

// Load makes a store. It reads and checks all sources, in order, so it may block: call
// it before Run. The error is the first fault that it finds (TLS-2): an [*Error], or
// ErrOptions for a source that contradicts itself (TLS-47).
func Load(o *StoreOptions) (*Store, error) {
	s := &Store{sources: slices.Clone(o.Sources), loader: loader{time: o.Time, allowExpired: o.AllowExpired}}
	for i := range s.sources {
		src := &s.sources[i]
		if err := src.check(); err != nil {
			return nil, err
		}
		units, err := src.units(i)
		if err != nil {
			return nil, err
		}
		for _, u := range units {
			f, err := u.read()
			if err != nil {
				return nil, err
			}
			cert, err := s.loader.parse(&u, f)
			if err != nil {
				return nil, err
			}
			s.live = append(s.live, &entry{unit: u, cert: cert, sum: f.sum()})
		}
	}
	if len(s.live) == 0 {
		return nil, &Error{Err: ErrNoCertificate, Remedy: "give at least one Source"}
	}
	s.publish()
	return s, nil
}

// publish makes new handshakes use the entries that are live now.
func (s *Store) publish() {
	set := &certSet{names: map[string][]*tls.Certificate{}}
	for _, e := range s.live {
		set.add(e.cert)
	}
	s.set.Store(set)
}

// Certificates returns the certificates that new handshakes pick from, in order. The
// slice is the caller's; the certificates must not be changed.
func (s *Store) Certificates() []*tls.Certificate { return slices.Clone(s.set.Load().all) }

// GetCertificate is for tls.Config. It returns the first of these certificates whose
// key the client can use:
//
//   - those for the name that the client asks for or, if it asks for none, for the IP
//     address that it has connected to;
//   - those with a wildcard for that name;
//   - all.
//
// Of several for the name, one that is valid now goes before those that have expired
// since they were loaded, or were let in by StoreOptions.AllowExpired.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	set := s.set.Load()
	anyName := *hello
	anyName.ServerName = "" // names are matched here; this asks about keys alone
	keys := keysFor(hello)
	named := 0
	for _, key := range keys {
		named += len(set.names[key])
	}
	var expired *tls.Certificate
	for _, key := range keys {
		for _, c := range set.names[key] {
			switch {
			case anyName.SupportsCertificate(c) != nil:
			case named == 1 || s.loader.expired(c.Leaf) == nil:
				return c, nil
			case expired == nil:
				expired = c
			}
		}
	}
	if expired != nil {
		return expired, nil
	}
	for _, c := range set.all {
		if anyName.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return set.all[0], nil // crypto/tls reports why the client cannot use it
}

// GetClientCertificate is for tls.Config. It returns the first certificate that the
// server accepts, by its lists of authorities and algorithms, or an empty one. Of
// several, one that is valid now goes before those that are not.
func (s *Store) GetClientCertificate(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	all := s.set.Load().all
	var expired *tls.Certificate
	for _, c := range all {
		switch {
		case asked.SupportsCertificate(c) != nil:
		case len(all) == 1 || s.loader.expired(c.Leaf) == nil:
			return c, nil
		case expired == nil:
			expired = c
		}
	}
	if expired != nil {
		return expired, nil
	}
	return new(tls.Certificate), nil
}

// certSet is the certificates that handshakes pick from. It never changes.
type certSet struct {
	all   []*tls.Certificate
	names map[string][]*tls.Certificate // by DNS name in lower case, wildcards included, and by IP address
}

func (s *certSet) add(c *tls.Certificate) {
	s.all = append(s.all, c)
	for _, name := range c.Leaf.DNSNames {
		name = strings.ToLower(name)
		s.names[name] = append(s.names[name], c)
	}
	for _, ip := range c.Leaf.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			key := a.Unmap().String()
			s.names[key] = append(s.names[key], c)
		}
	}
}

// keysFor returns the keys of certSet.names that suit a client, best first.
func keysFor(hello *tls.ClientHelloInfo) []string {
	name := strings.ToLower(hello.ServerName)
	if name == "" {
		if hello.Conn == nil {
			return nil
		}
		local := hello.Conn.LocalAddr()
		if local == nil {
			return nil
		}
		at, err := netip.ParseAddrPort(local.String())
		if err != nil {
			return nil
		}
		return []string{at.Addr().Unmap().WithZone("").String()}
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		return []string{name, "*." + parent} // a wildcard stands for one label
	}
	return []string{name}
}
