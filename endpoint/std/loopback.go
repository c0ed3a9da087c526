package std

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// loopbackTries is how many ports the system may choose for IPv4 before one is free for IPv6 too.
const loopbackTries = 16

// listenLoopback listens on the loopback addresses of both families, on one port. If this machine
// has no address of one family, the other serves alone. Limits hold for both together (EP-21).
func (e *TCPServer) listenLoopback(on reactor.Loops, f reactor.Factory, cfg *reactor.ListenConfig) (endpoint.Listener, error) {
	for try := 1; ; try++ {
		four, err := on.ListenAt(kernel.TCPAddr(loopback4(), e.Port), f, cfg)
		if err != nil && !noFamily(err) {
			return nil, err
		}
		at := e.Port
		if err == nil {
			at = four.Addr().Port()
		}
		both := *cfg
		both.ShareLimits = four
		six, err6 := on.ListenAt(kernel.TCPAddr(netip.IPv6Loopback(), at), f, &both)
		switch {
		case err6 == nil && err == nil:
			return &listeners{four, six}, nil
		case err6 == nil:
			return six, nil
		case err != nil:
			return nil, err
		case noFamily(err6):
			return four, nil
		}
		four.StopListening(nil)
		if e.Port != 0 || try == loopbackTries || !errors.Is(err6, kernel.ErrAddrInUse) {
			return nil, err6
		}
	}
}

// localIP is the address that a server binds: at, if it is valid, or else the loopback address or every address of f, IPv4's
// for AnyFamily.
func localIP(at netip.Addr, f reactor.Family, loopback bool) netip.Addr {
	switch {
	case at.IsValid():
		return at.Unmap()
	case loopback && f == reactor.IPv6:
		return netip.IPv6Loopback()
	case loopback:
		return loopback4()
	case f == reactor.IPv6:
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func loopback4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// noFamily tells whether err says that this machine has no address of a family, or that this process may have no socket of it at all, as
// the profiles of AppArmor and seccomp say of IPv6.
func noFamily(err error) bool {
	if errors.Is(err, kernel.ErrAddrUnavailable) || errors.Is(err, kernel.ErrUnsupported) {
		return true
	}
	var e *kernel.SysError
	return errors.As(err, &e) && e.Op == kernel.OpSocket && e.Kind == kernel.ErrPermission
}

// listeners are two ports that are one place. They share the limits of the first.
type listeners struct{ first, second reactor.Listening }

// Addr is the address of the first.
func (l *listeners) Addr() kernel.Addr { return l.first.Addr() }

// Addrs are both addresses; see [endpoint.Addrs].
func (l *listeners) Addrs() []kernel.Addr { return []kernel.Addr{l.first.Addr(), l.second.Addr()} }

// Ports are both ports; see [endpoint.Ports].
func (l *listeners) Ports() (all []*reactor.Port) {
	for _, one := range l.Listenings() {
		if p, ok := one.(*reactor.Port); ok {
			all = append(all, p)
		}
	}
	return all
}

// Listenings are both ports; see [endpoint.Listenings].
func (l *listeners) Listenings() []reactor.Listening { return []reactor.Listening{l.first, l.second} }

// PauseAccepting pauses both.
func (l *listeners) PauseAccepting() {
	l.first.PauseAccepting()
	l.second.PauseAccepting()
}

// ResumeAccepting ends the pause of both.
func (l *listeners) ResumeAccepting() {
	l.first.ResumeAccepting()
	l.second.ResumeAccepting()
}

// StopListening stops both. done gets the errors of both.
func (l *listeners) StopListening(done func(error)) {
	var mu sync.Mutex // two loops of a group may call one
	var errs []error
	one := func(err error) {
		mu.Lock()
		errs = append(errs, err)
		last := len(errs) == 2
		mu.Unlock()
		if last && done != nil {
			done(errors.Join(errs...))
		}
	}
	l.first.StopListening(one)
	l.second.StopListening(one)
}
