package std

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// HAProxyServer is haproxy:[description] for listening behind a proxy that sends the PROXY protocol, such as
// haproxy:[tcp:80]. It listens at the place of the description. Remote and Local of its connections are those that the header says
// (flow.ReadProxy).
type HAProxyServer struct {
	_ struct{} `help:"Listens at another place, behind a proxy that sends the PROXY protocol, version 1 or 2."`

	// Endpoint describes the place to listen at. It may stand in brackets.
	Endpoint string `ep:"endpoint,0" help:"where to listen, as a description in brackets, or with its ':' written '\\:': [tcp:80]"`
	// Trusted lists the networks of the proxies, such as 10.0.0.0/8, or addresses, separated by commas. Empty: everybody.
	Trusted string `ep:"trusted" empty:"no" help:"networks or addresses of the proxies, separated by commas, in brackets if there are IPv6 ones; without it, everybody"`
	// Direct lets others than Trusted in, without a header.
	Direct bool `ep:"direct" help:"let others than trusted in, without a header, instead of refusing them"`
	// Optional lets connections of proxies in that begin with no header.
	Optional bool `ep:"optional" help:"let proxies in that send no header"`
	// Timeout is the time for the header. Zero: 10 s; negative: no limit.
	Timeout time.Duration `ep:"timeout" help:"time for the header; without it, 10 s"`
	// Over is a place to listen at, without a description. It is no argument.
	Over endpoint.Server
	// Known has the types that Endpoint may name. Nil: none. It is no argument.
	Known *endpoint.Schemes
}

// Check fails if no server can be made of the arguments. The error is an [*endpoint.ArgumentError].
func (e *HAProxyServer) Check() error {
	if _, err := e.options(); err != nil {
		return err
	}
	_, err := e.below()
	return err
}

// Listen opens the place; see [endpoint.Server].
func (e *HAProxyServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	o, err := e.options()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	below, err := e.below()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	return below.Listen(on, flow.ReadProxy(f, o))
}

// String is the description.
func (e *HAProxyServer) String() string { return endpoint.Describe("haproxy", e) }

// options are those of flow.
func (e *HAProxyServer) options() (*flow.ReadProxyOptions, error) {
	o := &flow.ReadProxyOptions{Direct: e.Direct, Optional: e.Optional, Timeout: e.Timeout}
	if e.Trusted == "" {
		if e.Direct {
			return nil, badArgument("haproxy", "direct", "yes", "it needs trusted, the networks of the proxies")
		}
		return o, nil
	}
	for one := range strings.SplitSeq(unbracketed(e.Trusted), ",") {
		p, err := network(strings.TrimSpace(one))
		if err != nil {
			return nil, badArgument("haproxy", "trusted", e.Trusted, "%q is no network, such as 10.0.0.0/8, and no address", one)
		}
		o.Trusted = append(o.Trusted, p)
	}
	return o, nil
}

// network reads a network, or an address, which is one of its own.
func network(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return ip.Unmap().WithZone("").Prefix(ip.Unmap().BitLen())
}

// below is the place to listen at.
func (e *HAProxyServer) below() (endpoint.Server, error) {
	if e.Over != nil {
		return e.Over, nil
	}
	return placeBelow(e.Known.Server, e.Known, e.Endpoint)
}

// placeBelow finds what a description means.
func placeBelow[T any](find func(string) (T, error), known *endpoint.Schemes, text string) (T, error) {
	var none T
	if known == nil {
		return none, badArgument("haproxy", "endpoint", text, "no types are known: set Known or Over")
	}
	p, err := find(unbracketed(text))
	if err != nil {
		return none, &endpoint.ArgumentError{Scheme: "haproxy", Argument: "endpoint", Value: text, Err: wrongBelow(text, err)}
	}
	return p, nil
}

// wrongBelow is an error about text, the description of a place below another. It is no endpoint.ErrKind: the place below is
// of the wrong kind, and not the one above, which callers would then look for among those of the other kind.
func wrongBelow(text string, err error) error {
	if errors.Is(err, endpoint.ErrKind) {
		return fmt.Errorf("%q: %v", text, err)
	}
	return fmt.Errorf("%q: %w", text, err)
}

// HAProxyClient is haproxy:[description] for connecting with a header of the PROXY protocol, such as haproxy:[tcp:example.com:80]. The
// header has the addresses of the connection itself: to say others, use flow.SendProxy.
type HAProxyClient struct {
	_ struct{} `help:"Connects to another place, and sends a header of the PROXY protocol with the connection's own addresses."`

	// Endpoint describes the place to connect to. It may stand in brackets.
	Endpoint string `ep:"endpoint,0" help:"where to connect, as a description in brackets, or with its ':' written '\\:': [tcp:example.com:80]"`
	// Version is that of the header, 1 or 2. Zero: 2.
	Version int `ep:"version" help:"version of the header, 1 or 2; without it, 2"`
	// Over is a place to connect to, without a description. It is no argument.
	Over endpoint.Client
	// Known has the types that Endpoint may name. Nil: none. It is no argument.
	Known *endpoint.Schemes
}

// Check fails if no client can be made of the arguments. The error is an [*endpoint.ArgumentError].
func (e *HAProxyClient) Check() error {
	if e.Version < 0 || e.Version > 2 {
		return badArgument("haproxy", "version", fmt.Sprint(e.Version), "there are versions 1 and 2")
	}
	_, err := e.below()
	return err
}

// Connect connects to the place; see [endpoint.Client].
func (e *HAProxyClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	below, err := e.below()
	if err == nil {
		err = e.Check()
	}
	if err != nil {
		return refuse(r, kernel.Addr{}, new(reactor.DialConfig), done, err)
	}
	o := &flow.SendProxyOptions{Version: e.Version}
	return below.Connect(r, flow.SendProxy(f, o), func(p reactor.Protocol, err error) { done(unwrapped(p), err) })
}

// unwrapped is the protocol that p, the one of SendProxy, wraps.
func unwrapped(p reactor.Protocol) reactor.Protocol {
	if u, ok := p.(interface{ Unwrap() reactor.Protocol }); ok {
		return u.Unwrap()
	}
	return p
}

// String is the description.
func (e *HAProxyClient) String() string { return endpoint.Describe("haproxy", e) }

// below is the place to connect to.
func (e *HAProxyClient) below() (endpoint.Client, error) {
	if e.Over != nil {
		return e.Over, nil
	}
	return placeBelow(e.Known.Client, e.Known, e.Endpoint)
}
