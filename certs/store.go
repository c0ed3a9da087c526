package certs

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// StoreOptions is what a [Store] is made of.
type StoreOptions struct {
	// Sources are the certificates, at least one. The first is what clients get that
	// ask for no name, or for a name that no certificate has.
	Sources []Source
	// AllowExpired takes certificates whose time is over or still to come. By default
	// they are refused with ErrExpired, because peers would refuse them.
	AllowExpired bool
	// Time is the clock for that, called on any goroutine. Nil: the system's.
	Time func() time.Time
}

// Store holds certificates and their keys, and picks one for each handshake. A
// [Watcher] replaces those whose files change. Its methods may be called from any
// goroutine.
type Store struct {
	sources []Source
	loader  loader
	live    []*entry // the reloader's, once there is one
	set     atomic.Pointer[certSet]
	watched atomic.Bool
}

// entry is a certificate in use, and what its files held.
type entry struct {
	unit unit
	cert *tls.Certificate
	sum  sum
}

// Load reads and checks all sources, in order: so it may block, and belongs
// before Run. The first thing that is wrong is the error (TLS-2): an [*Error], or
// ErrOptions for sources that contradict themselves (TLS-47).
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

// publish makes new handshakes see what is live now.
func (s *Store) publish() {
	set := &certSet{names: map[string][]*tls.Certificate{}}
	for _, e := range s.live {
		set.add(e.cert)
	}
	s.set.Store(set)
}

// Certificates is what new handshakes pick from, in order. What they point to must
// not be changed.
func (s *Store) Certificates() []*tls.Certificate { return slices.Clone(s.set.Load().all) }

// GetCertificate is for tls.Config: the certificate for a client. That is the first
// whose names include the one asked for, then the first with a wildcard for it; a
// client that sends no name is given one for the IP address it has connected to.
// Among several with the name it is the first whose key the client can use. If there
// is none, it is the first of all that the client can use.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	set := s.set.Load()
	anyName := *hello
	anyName.ServerName = "" // names are matched here; this asks about keys alone
	for _, key := range keysFor(hello) {
		for _, c := range set.names[key] {
			if anyName.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
	}
	for _, c := range set.all {
		if anyName.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return set.all[0], nil // crypto/tls finds the words for why it does not serve
}

// GetClientCertificate is for tls.Config: the first certificate that the server
// takes, by its list of authorities and of algorithms; an empty one if it takes none.
func (s *Store) GetClientCertificate(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	for _, c := range s.set.Load().all {
		if asked.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return new(tls.Certificate), nil
}

// certSet is what handshakes pick from. It never changes.
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

// keysFor is where to look for a client's certificate, best first.
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
