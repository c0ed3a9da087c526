package std

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// UDPClient is udp:host:port for sending datagrams, with timeout=, bindAddress= and the others by keyword (EP-27); and
// udp4 and udp6 with the Family of that name.
//
// A name is looked up with the reactor's resolver. Nobody can tell whether anybody is at an address before something was
// sent there, so the first address to which there is a route is taken; those of IPv4 come first, because that is where a
// [UDPServer] without an interface is.
//
// The port receives from that address alone. What others answer to a datagram for a group or a broadcast address does
// not come from it: a [UDPServer] receives that.
type UDPClient struct {
	_ struct{} `help:"Sends datagrams by UDP, and receives those of that address alone: udp over either version of IP, udp4 and udp6 over that one alone."`

	// Host is a name or an IP literal.
	Host endpoint.Host `ep:"host,0" help:"host name or IP address, an IPv6 address in brackets; of a name with both, IPv4"`
	// Port is the port number.
	Port uint16 `ep:"port,1" help:"port number or service name"`
	// Timeout is how long the look-up may take. Zero: 30 s; negative: no limit.
	Timeout time.Duration `ep:"timeout" help:"for the look-up of the name; without it, 30 s; negative: no limit"`
	// BindAddress and BindPort are the local address. The zero value leaves it to the system.
	BindAddress netip.Addr `ep:"bindAddress" help:"local IP address"`
	BindPort    uint16     `ep:"bindPort" help:"local port; without it, the system chooses"`
	Sending
	// PacketConfig are the options of the socket, and the limits of the port, which are no arguments. Bind must be
	// zero. SetUp is called last.
	reactor.PacketConfig
	// Family is the family of all addresses. It is no argument.
	Family reactor.Family
}

// Check fails if Host is not a host, if Host or BindAddress is of the wrong family, if Port is
// zero, or if an option has a value that it cannot have.
func (e *UDPClient) Check() error {
	scheme := udpScheme(e.Family)
	if _, err := endpoint.ParseHost(string(e.Host)); err != nil {
		return badArgument(scheme, "host", string(e.Host), "%w", err)
	}
	ip, literal := e.Host.IP()
	bind := e.BindAddress.Unmap()
	switch {
	case literal && !e.Family.Has(ip):
		return badArgument(scheme, "host", ip.String(), "%q is not an %v address", ip, e.Family)
	case bind.IsValid() && !e.Family.Has(bind):
		return badArgument(scheme, "bindAddress", bind.String(), "%q is not an %v address", bind, e.Family)
	case bind.IsValid() && literal && ip.Is4() != bind.Is4():
		return badArgument(scheme, "bindAddress", bind.String(), "%q is not of the family of %q", bind, ip)
	case e.Port == 0:
		return badArgument(scheme, "port", "0", "there is no port 0 to send to")
	}
	if err := e.Sending.check(scheme); err != nil {
		return err
	}
	return checkPacketOptions(scheme, e.dest(), &e.PacketOptions)
}

// dest is where the datagrams go.
func (e *UDPClient) dest() kernel.Addr {
	if ip, literal := e.Host.IP(); literal {
		return kernel.UDPAddr(ip, e.Port)
	}
	host, err := endpoint.ParseHost(string(e.Host))
	if err != nil {
		host = e.Host
	}
	return kernel.Addr{Net: kernel.UDP, IP: netip.AddrPortFrom(netip.Addr{}, e.Port), Name: string(host)}
}

// ConnectPacket opens a port; see [endpoint.PacketClient].
func (e *UDPClient) ConnectPacket(r *reactor.Reactor, p reactor.PacketProtocol, done func(*reactor.PacketPort, error)) (cancel func()) {
	dest := e.dest()
	c := &packetConnecting{r: r, dest: dest, done: done}
	if err := e.Check(); err != nil {
		return c.refuse(err)
	}
	host := dest.Name
	if host == "" {
		host = dest.IP.Addr().String()
	}
	limit := e.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	return c.lookUp(host, max(limit, 0), func(found []netip.Addr) (*reactor.PacketPort, error) { return e.open(r, p, found) })
}

// open connects to the first of found that can be.
func (e *UDPClient) open(r *reactor.Reactor, p reactor.PacketProtocol, found []netip.Addr) (*reactor.PacketPort, error) {
	bind := e.BindAddress.Unmap()
	usable := slices.DeleteFunc(slices.Clone(found), func(ip netip.Addr) bool {
		return !e.Family.Has(ip) || bind.IsValid() && ip.Is4() != bind.Is4()
	})
	slices.SortStableFunc(usable, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	if len(usable) == 0 {
		return nil, &reactor.OpError{Op: "dial", Remote: e.dest(), Err: fmt.Errorf("%w: no %v address", reactor.ErrUnknownHost, e.Family)}
	}
	cfg := e.PacketConfig
	cfg.SetUp = e.setUp(nil, cfg.SetUp)
	var errs []error
	for _, ip := range usable {
		if from := bind; from.IsValid() || e.BindPort != 0 {
			if !from.IsValid() {
				from = unspecified(ip)
			}
			cfg.Bind = kernel.UDPAddr(from, e.BindPort)
		}
		port, err := r.DialPacket(kernel.UDPAddr(ip, e.Port), p, &cfg)
		if err == nil {
			return port, nil
		}
		if _, panicked := errors.AsType[*reactor.PanicError](err); panicked {
			return nil, err // p was started
		}
		errs = append(errs, e.explain(err))
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, &reactor.OpError{Op: "dial", Remote: e.dest(), Err: &reactor.AttemptsError{Errs: errs}}
}

// explain adds to the error of a broadcast address what it needs. Systems say no more than that it is not permitted.
func (e *UDPClient) explain(err error) error {
	op, ok := errors.AsType[*reactor.OpError](err)
	if !ok || e.Broadcast || !errors.Is(err, kernel.ErrPermission) {
		return err
	}
	if s, ok := errors.AsType[*kernel.SysError](err); ok && s.Op == kernel.OpConnect {
		op.Err = fmt.Errorf("%w: a broadcast address needs broadcast=yes", op.Err)
	}
	return err
}

// String is the description.
func (e *UDPClient) String() string { return endpoint.Describe(udpScheme(e.Family), e) }
