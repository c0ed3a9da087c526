package std

import (
	"errors"
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
	// Timeout is how long the look-up and the attempts may take together; each address
	// gets its share of it. Under TLS it limits the handshake too. Zero: 30 s; negative: no
	// limit.
	Timeout time.Duration `ep:"timeout" help:"for the look-up, all attempts and the handshake of TLS together; without it, 30 s; negative: no limit"`
	// BindAddress is the local address. The zero Addr leaves it to the system.
	BindAddress netip.Addr `ep:"bindAddress" help:"local IP address"`
	// AttemptDelay is the time between the starts of two attempts. Zero: 300 ms;
	// negative: one address at a time.
	AttemptDelay time.Duration `ep:"attemptDelay" help:"before the next address is tried as well; without it, 0.3 s; negative: one address at a time"`
	// StreamOptions are the options of sockets. Control is no argument.
	kernel.StreamOptions
	// StreamConfig configures the buffers of the connection. It is no argument.
	reactor.StreamConfig
	// Family is the family of all addresses. It is no argument.
	Family reactor.Family
}

// Check fails if Host is not a host, if Host or BindAddress is of the wrong family, if Port is
// zero, or if an option of sockets has a value that it cannot have.
func (e *TCPClient) Check() error {
	fail := func(argument, value string, err error) error {
		return &endpoint.ArgumentError{Scheme: schemeOf(e.Family), Argument: argument, Value: value, Err: err}
	}
	if _, err := endpoint.ParseHost(string(e.Host)); err != nil {
		return fail("host", string(e.Host), err)
	}
	ip, literal := e.Host.IP()
	if literal && !e.Family.Has(ip) {
		return fail("host", ip.String(), fmt.Errorf("%q is not an %v address", ip, e.Family))
	}
	bind := e.BindAddress.Unmap()
	switch {
	case bind.IsValid() && !e.Family.Has(bind):
		return fail("bindAddress", bind.String(), fmt.Errorf("%q is not an %v address", bind, e.Family))
	case bind.IsValid() && literal && ip.Is4() != bind.Is4():
		return fail("bindAddress", bind.String(), fmt.Errorf("%q is not of the family of %q", bind, ip))
	case e.Port == 0:
		return fail("port", "0", errors.New("there is no port 0 to connect to"))
	}
	return checkOptions(schemeOf(e.Family), &e.StreamOptions)
}

// Connect starts connecting; see [endpoint.Client]. The connector of the reactor does it;
// [reactor.Reactor.Dial] tells how and with which errors (EP-5, HOST-6).
func (e *TCPClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	if err := e.Check(); err != nil {
		return e.refuse(r, done, err)
	}
	return e.start(r, f, done)
}

func (e *TCPClient) start(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	dest, cfg := e.dial()
	return start(r, dest, cfg, f, done)
}

func (e *TCPClient) refuse(r *reactor.Reactor, done func(reactor.Protocol, error), err error) (cancel func()) {
	dest, cfg := e.dial()
	return refuse(r, dest, cfg, done, err)
}

// dial is where the connection goes, and how. Check may still refuse e.
func (e *TCPClient) dial() (kernel.Addr, *reactor.DialConfig) {
	cfg := &reactor.DialConfig{Timeout: e.Timeout, AttemptDelay: e.AttemptDelay, Family: e.family()}
	cfg.StreamOptions, cfg.StreamConfig = e.StreamOptions, e.StreamConfig
	if bind := e.BindAddress.Unmap(); bind.IsValid() {
		cfg.Bind = kernel.TCPAddr(bind, 0)
	}
	host, err := endpoint.ParseHost(string(e.Host))
	if err != nil {
		host = e.Host
	}
	if ip, literal := host.IP(); literal {
		return kernel.TCPAddr(ip, e.Port), cfg
	}
	return kernel.HostAddr(string(host), e.Port), cfg
}

// family returns the family of the addresses to try: Family, or BindAddress's.
func (e *TCPClient) family() reactor.Family {
	switch {
	case e.Family != reactor.AnyFamily || !e.BindAddress.IsValid():
		return e.Family
	case e.BindAddress.Unmap().Is4():
		return reactor.IPv4
	}
	return reactor.IPv6
}

// String is the description.
func (e *TCPClient) String() string { return endpoint.Describe(schemeOf(e.Family), e) }

// schemeOf is the name of the scheme of TCP for f.
func schemeOf(f reactor.Family) string {
	switch f {
	case reactor.IPv4:
		return "tcp4"
	case reactor.IPv6:
		return "tcp6"
	}
	return "tcp"
}
