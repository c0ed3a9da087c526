package std

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// TCPClient is tcp:host:port for connecting, with timeout=, bindAddress= and the
// others by keyword (EP-11, GRAM-18); and tcp4 and tcp6 with the Family of that
// name (EP-12, GRAM-23).
//
// A name is looked up with the reactor's resolver, and its addresses are tried: those
// of the two families in turn, beginning with the resolver's first. The next attempt
// starts AttemptDelay after the last one, or at once when one fails. The first to
// succeed wins, and the others are given up (HOST-4, HOST-5, HOST-7).
type TCPClient struct {
	_ struct{} `help:"Connects with TCP: tcp over either version of IP, tcp4 and tcp6 over that one alone."`

	// Host is a name or an IP literal.
	Host endpoint.Host `ep:"host,0" help:"host name or IP address, an IPv6 address in brackets"`
	// Port is the port number.
	Port uint16 `ep:"port,1" help:"port number or service name"`
	// Timeout is how long the look-up may take, and after it each attempt. Zero:
	// 30 s; negative: no limit.
	Timeout time.Duration `ep:"timeout" help:"for the look-up, and for each attempt; without it, 30 s; negative: no limit"`
	// BindAddress is the local address. The zero Addr leaves it to the system.
	BindAddress netip.Addr `ep:"bindAddress" help:"local IP address"`
	// AttemptDelay is the time between the starts of two attempts. Zero: 300 ms;
	// negative: the next attempt waits until the last one has failed.
	AttemptDelay time.Duration `ep:"attemptDelay" help:"before the next address is tried as well; without it, 0.3 s; negative: until the last has failed"`
	// StreamOptions are NoDelay and KeepAlive.
	kernel.StreamOptions
	// Family is the family of all addresses. It is no argument.
	Family Family
}

// Check fails if Host is not a host, or if Host or BindAddress is of the wrong family.
func (e *TCPClient) Check() error {
	fail := func(argument, value string, err error) error {
		return &endpoint.ArgumentError{Scheme: e.Family.scheme(), Argument: argument, Value: value, Err: err}
	}
	if _, err := endpoint.ParseHost(string(e.Host)); err != nil {
		return fail("host", string(e.Host), err)
	}
	ip, literal := e.Host.IP()
	if literal && !e.Family.holds(ip) {
		return fail("host", ip.String(), fmt.Errorf("%q is not an %v address", ip, e.Family))
	}
	bind := e.BindAddress.Unmap()
	if !bind.IsValid() {
		return nil
	}
	if !e.Family.holds(bind) {
		return fail("bindAddress", bind.String(), fmt.Errorf("%q is not an %v address", bind, e.Family))
	}
	if literal && ip.Is4() != bind.Is4() {
		return fail("bindAddress", bind.String(), fmt.Errorf("%q is not of the family of %q", bind, ip))
	}
	return nil
}

// Connect starts connecting; see [endpoint.Client]. If Host is an IP literal, the error
// is that of the one attempt (EP-5). If it is a name with addresses, the error is an
// [*reactor.OpError] to that name that wraps an [*AttemptsError] (HOST-6).
func (e *TCPClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	c := e.connecting(r, f, done)
	if err := e.Check(); err != nil {
		c.refuse(err)
	} else {
		c.start(e.AttemptDelay)
	}
	return c.cancel
}

// refused is a Connect that fails with err.
func (e *TCPClient) refused(r *reactor.Reactor, done func(reactor.Protocol, error), err error) (cancel func()) {
	c := e.connecting(r, nil, done)
	c.refuse(err)
	return c.cancel
}

// connecting returns a Connect that has not begun. Check may still refuse e.
func (e *TCPClient) connecting(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) *connecting {
	c := newConnecting(r, f, done)
	c.family = e.family()
	c.cfg.StreamOptions, c.cfg.Timeout = e.StreamOptions, e.Timeout
	if bind := e.BindAddress.Unmap(); bind.IsValid() {
		c.cfg.Bind = kernel.TCPAddr(bind, 0)
	}
	host, err := endpoint.ParseHost(string(e.Host))
	if err != nil {
		host = e.Host
	}
	c.dest = kernel.HostAddr(string(host), e.Port)
	if ip, literal := host.IP(); literal {
		c.dest = kernel.TCPAddr(ip, e.Port)
	}
	return c
}

// family returns the family of the addresses to try: Family, or BindAddress's.
func (e *TCPClient) family() Family {
	switch {
	case e.Family != AnyFamily || !e.BindAddress.IsValid():
		return e.Family
	case e.BindAddress.Unmap().Is4():
		return IPv4
	}
	return IPv6
}

// String is the description.
func (e *TCPClient) String() string { return endpoint.Describe(e.Family.scheme(), e) }
