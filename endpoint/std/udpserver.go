package std

import (
	"fmt"
	"net/netip"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// UDPServer is udp:port[:interface] for receiving datagrams, with groups=, ttl= and the options of sockets by keyword
// (EP-26); and udp4 and udp6 with the Family of that name.
//
// A place has one socket, so it is one family: without an interface it is IPv4, unless the Family is IPv6.
type UDPServer struct {
	_ struct{} `help:"Receives datagrams by UDP: udp and udp4 over IPv4, unless udp has an IPv6 interface; udp6 over IPv6."`

	// Port is the port number. Zero takes a free one.
	Port uint16 `ep:"port,0" help:"port number or service name; 0 takes a free one"`
	// Interface is the local address, with its scope; an IPv6 socket is for IPv6 alone. The zero Addr is every IPv4
	// address, or in the family IPv6 every IPv6 address; see Loopback.
	Interface netip.Addr `ep:"interface,1,optional" help:"local IP address, 0.0.0.0 or [::] for every one of a family; without it, every one, or what the program says"`
	// Multicast are the groups to join, and how to send to groups.
	Multicast
	// PacketConfig are the options of the socket, and the limits of the port, which are no arguments. Bind must be
	// zero. SetUp is called after the groups were joined.
	reactor.PacketConfig
	// Family is the family of Interface. It is no argument.
	Family reactor.Family
	// Loopback makes the zero Interface 127.0.0.1, or ::1 in the family IPv6. It is no argument.
	Loopback bool
}

// Multicast says which groups a place of UDP joins, and how it sends to groups.
type Multicast struct {
	// Groups are IP addresses with a comma between them. Each may have the interface at which to join, after a '@': its
	// name, its number or one of its addresses. The list may stand in brackets, which IPv6 needs. To receive from groups a
	// socket must be bound to no address, or to that of the group.
	Groups string `ep:"groups" help:"multicast groups to join, with commas between them, each with @ and an interface if it is not to be the system's choice: 224.0.0.251@eth0, or [ff02::fb@eth0,ff02::1@eth0]; needs interface=0.0.0.0 or [::]"`
	Sending
}

// Sending says how a place of UDP sends to groups.
type Sending struct {
	// TTL is how many routers datagrams to groups may pass, plus one, from 0 to 255. Empty: 1.
	TTL string `ep:"ttl" help:"how far datagrams to a group may go: 0 stays on this host, 1 in this network; without it, 1"`
	// GroupInterface is the interface that datagrams to groups leave by: its name, its number or one of its
	// addresses. Empty: the routes decide.
	GroupInterface string `ep:"groupInterface" help:"interface that datagrams to a group leave by, by its name, number or address; without it, the routes decide"`
}

// Check fails if Interface is not of the Family, if a group is none of the Interface's family, or if an option has a value
// that it cannot have.
func (e *UDPServer) Check() error {
	scheme := udpScheme(e.Family)
	ip := e.Interface.Unmap()
	if ip.IsValid() && !e.Family.Has(ip) {
		return badArgument(scheme, "interface", ip.String(), "%q is not an %v address", ip, e.Family)
	}
	if err := checkPacketOptions(scheme, e.local(), &e.PacketOptions); err != nil {
		return err
	}
	groups, err := e.groups(scheme)
	if err != nil {
		return err
	}
	for _, g := range groups {
		at := e.local().IP.Addr()
		switch {
		case g.IP.Is4() != at.Is4():
			return badArgument(scheme, "groups", e.Groups, "%s is not of the family of the address %s: use udp6 for groups of IPv6, or interface=", g.IP, at)
		case !at.IsUnspecified() && at != g.IP:
			return badArgument(scheme, "groups", e.Groups, "a socket at %s gets nothing that is sent to %s: say interface=%s", at, g.IP, bracketed(unspecified(at)))
		}
	}
	return nil
}

// ListenPacket opens the port; see [endpoint.PacketServer]. The groups have been joined before p is started.
func (e *UDPServer) ListenPacket(r *reactor.Reactor, p reactor.PacketProtocol) (*reactor.PacketPort, error) {
	at := e.local()
	if err := e.Check(); err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: at, Err: err}
	}
	groups, _ := e.groups("") // Check has read them
	cfg := e.PacketConfig
	cfg.SetUp = e.setUp(groups, cfg.SetUp)
	return r.ListenPacket(at, p, &cfg)
}

// local is the address to bind.
func (e *UDPServer) local() kernel.Addr {
	return kernel.UDPAddr(localIP(e.Interface, e.Family, e.Loopback), e.Port)
}

// String is the description.
func (e *UDPServer) String() string { return endpoint.Describe(udpScheme(e.Family), e) }

// udpScheme is the name of the scheme of UDP for f.
func udpScheme(f reactor.Family) string {
	switch f {
	case reactor.IPv4:
		return "udp4"
	case reactor.IPv6:
		return "udp6"
	}
	return "udp"
}

func unspecified(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// bracketed is ip as a description has it.
func bracketed(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	return "[" + ip.String() + "]"
}

func badArgument(scheme, argument, value, format string, a ...any) error {
	return &endpoint.ArgumentError{Scheme: scheme, Argument: argument, Value: value, Err: fmt.Errorf(format, a...)}
}
