package std

import (
	"fmt"
	"net/netip"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// TCPServer is tcp:port[:interface[:backlog]] for listening (EP-10, GRAM-10),
// and tcp4 with the Family of that name.
type TCPServer struct {
	_ struct{} `help:"Listens on TCP: tcp on either version of IP, tcp4 on IPv4 alone."`

	// Port is the port number. Zero takes a free one.
	Port uint16 `ep:"port,0" help:"port number or service name; 0 takes a free one"`
	// Interface is the local address, with its scope; an IPv6 socket is for IPv6
	// alone. The zero Addr is every IPv4 address, or, in the family of that name,
	// every IPv6 address; see Loopback.
	Interface netip.Addr `ep:"interface,1,optional" help:"local IP address, 0.0.0.0 or [::] for every one of a family; without it, every IPv4 address, or what the program says"`
	// ListenOptions are Backlog, ReusePort and the options of sockets. Control is no argument.
	kernel.ListenOptions `ep:"backlog,2,optional"`
	// PortLimits are MaxConnections, MaxPerPeer and AcceptRate. With Loopback they hold for both
	// addresses together.
	reactor.PortLimits
	// StreamConfig configures the buffers of the connections. It is no argument.
	reactor.StreamConfig
	// Family is the family of Interface. It is no argument.
	Family reactor.Family
	// Loopback makes the zero Interface 127.0.0.1 and ::1, both on the same port, or in a
	// Family the one of it. If this machine has no IPv6, or no IPv4, the other serves alone.
	// [endpoint.Ports] of the Listener has the ports. It is no argument.
	Loopback bool
}

// Check fails if Interface is not of the Family, or if an option of sockets has a value that
// it cannot have.
func (e *TCPServer) Check() error {
	ip := e.Interface.Unmap()
	if !ip.IsValid() || e.Family.Has(ip) {
		return checkOptions(schemeOf(e.Family), &e.StreamOptions)
	}
	err := fmt.Errorf("%q is not an %v address", ip, e.Family)
	return &endpoint.ArgumentError{Scheme: schemeOf(e.Family), Argument: "interface", Value: ip.String(), Err: err}
}

// Listen opens the port; see [endpoint.Server].
func (e *TCPServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	at := e.local()
	if err := e.Check(); err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: at, Err: err}
	}
	cfg := &reactor.ListenConfig{StreamConfig: e.StreamConfig, ListenOptions: e.ListenOptions, PortLimits: e.PortLimits}
	if e.Loopback && e.Family == reactor.AnyFamily && !e.Interface.IsValid() {
		return e.listenLoopback(on, f, cfg)
	}
	return listening(on.ListenAt(at, f, cfg))
}

// listening is the result of ListenAt as one of Listen: nil stays nil.
func listening(l reactor.Listening, err error) (endpoint.Listener, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}

// local is the address to listen on.
func (e *TCPServer) local() kernel.Addr {
	return kernel.TCPAddr(localIP(e.Interface, e.Family, e.Loopback), e.Port)
}

// String is the description.
func (e *TCPServer) String() string { return endpoint.Describe(schemeOf(e.Family), e) }

// TCP6Server is tcp6:port[:backlog[:interface]] for listening (EP-10, GRAM-11). It
// differs from a [TCPServer] of family IPv6 in the order of its arguments.
type TCP6Server struct {
	_ struct{} `help:"Listens on TCP over IPv6 alone."`

	// Port is the port number. Zero takes a free one.
	Port uint16 `ep:"port,0" help:"port number or service name; 0 takes a free one"`
	// ListenOptions are Backlog, ReusePort and the options of sockets. Control is no argument.
	kernel.ListenOptions `ep:"backlog,1,optional"`
	// PortLimits are MaxConnections, MaxPerPeer and AcceptRate.
	reactor.PortLimits
	// Interface is the local address, with its scope. The zero Addr is "::",
	// every IPv6 address.
	Interface netip.Addr `ep:"interface,2,optional" help:"local IPv6 address, [::] for every one; without it, every one, or what the program says"`
	// StreamConfig configures the buffers of the connections. It is no argument.
	reactor.StreamConfig
	// Loopback makes the zero Interface ::1. It is no argument.
	Loopback bool
}

// Check fails as that of a [TCPServer], for the family IPv6.
func (e *TCP6Server) Check() error { return e.plain().Check() }

// Listen opens the port; see [endpoint.Server].
func (e *TCP6Server) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	return e.plain().Listen(on, f)
}

// String is the description.
func (e *TCP6Server) String() string { return endpoint.Describe("tcp6", e) }

// plain returns the TCPServer that listens.
func (e *TCP6Server) plain() *TCPServer {
	return &TCPServer{
		Port: e.Port, Interface: e.Interface, Family: reactor.IPv6, Loopback: e.Loopback,
		ListenOptions: e.ListenOptions, PortLimits: e.PortLimits, StreamConfig: e.StreamConfig,
	}
}
