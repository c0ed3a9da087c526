package std

import (
	"fmt"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// FDPacketServer is fd:number for receiving datagrams at a socket that this process has inherited, of UDP or UNIX. It is used
// as an [FDServer] is, once (EP-30).
type FDPacketServer struct {
	_ struct{} `help:"Receives datagrams at a socket that the process has inherited, by its descriptor."`

	// FD is the descriptor.
	FD int `ep:"number,0" help:"number of a descriptor of a datagram socket"`
	// PacketConfig has the limits of the port, and options that are set for everybody who has the socket. Bind, ReusePort, Shared
	// and UNIX must be zero. It is no argument.
	PacketConfig reactor.PacketConfig

	used bool
}

// Check fails if FD is negative, or the descriptor of a socket for connections (EP-25).
func (e *FDPacketServer) Check() error { return checkFD(e.FD, true) }

// ListenPacket adopts the socket; see [endpoint.PacketServer] and [reactor.Reactor.AdoptPacketPort].
func (e *FDPacketServer) ListenPacket(r *reactor.Reactor, p reactor.PacketProtocol) (*reactor.PacketPort, error) {
	err := e.Check()
	if err == nil && e.used {
		err = fmt.Errorf("descriptor %d: %w", e.FD, ErrUsed)
	}
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	e.used = true
	port, err := r.AdoptPacketPort(e.FD, p, &e.PacketConfig)
	if err == nil {
		closeFD(e.FD)
	}
	return port, err
}

// String is the description.
func (e *FDPacketServer) String() string { return endpoint.Describe("fd", e) }

// FDPacketClient is fd:number for sending datagrams by a socket that is connected already, and that this process has
// inherited. It is used as an [FDClient] is, once (EP-30).
type FDPacketClient struct {
	_ struct{} `help:"Sends datagrams by a connected socket that the process has inherited, by its descriptor."`

	// FD is the descriptor.
	FD int `ep:"number,0" help:"number of a descriptor of a datagram socket that is connected"`
	// PacketConfig is that of an FDPacketServer. It is no argument.
	PacketConfig reactor.PacketConfig

	used bool
}

// Check fails if FD is negative, or the descriptor of a socket for connections (EP-25).
func (e *FDPacketClient) Check() error { return checkFD(e.FD, true) }

// ConnectPacket adopts the socket in the next turn; see [endpoint.PacketClient]. A socket without a peer is
// kernel.ErrNotConnected.
func (e *FDPacketClient) ConnectPacket(r *reactor.Reactor, p reactor.PacketProtocol, done func(*reactor.PacketPort, error)) (cancel func()) {
	c := &packetConnecting{r: r, done: done}
	err := e.Check()
	if err == nil && e.used {
		err = fmt.Errorf("descriptor %d: %w", e.FD, ErrUsed)
	}
	if err != nil {
		return c.refuse(err)
	}
	e.used = true
	return c.later(func() (*reactor.PacketPort, error) {
		cfg := e.PacketConfig
		then := cfg.SetUp
		cfg.SetUp = func(s kernel.PacketConn) error {
			if s.Remote().IsZero() {
				return kernel.ErrNotConnected
			}
			if then != nil {
				return then(s)
			}
			return nil
		}
		port, err := r.AdoptPacketPort(e.FD, p, &cfg)
		if err != nil {
			return nil, c.failure(err)
		}
		closeFD(e.FD)
		return port, nil
	})
}

// String is the description.
func (e *FDPacketClient) String() string { return endpoint.Describe("fd", e) }

// SystemdPacketServer is systemd:domain=INET|INET6|UNIX, with index or name, for receiving datagrams at a socket that a service
// manager has passed, as by ListenDatagram= of systemd (EP-30). It is described and used as a [SystemdServer] is.
type SystemdPacketServer struct {
	_ struct{} `help:"Receives datagrams at a socket that a service manager such as systemd has passed."`

	// Domain is INET, INET6 or UNIX; empty: any of them. A socket of another is refused.
	Domain string `ep:"domain" help:"INET, INET6 or UNIX; without it, what the socket is"`
	// Index is the place of the socket among those that were passed, a number from 0. Empty: Name
	// says which it is.
	Index string `ep:"index" help:"place among the sockets that were passed, from 0"`
	// Name is its name. It must be that of one socket only.
	Name string `ep:"name" help:"name of the socket, FileDescriptorName= in the unit"`
	// Activation are the sockets that were passed. It is no argument.
	Activation *activation.Sockets
	// PacketConfig is that of an FDPacketServer. It is no argument.
	PacketConfig reactor.PacketConfig

	socket *FDPacketServer
}

// Check fails as that of a SystemdServer does.
func (e *SystemdPacketServer) Check() error {
	_, err := e.find()
	return err
}

func (e *SystemdPacketServer) find() (*FDPacketServer, error) {
	if e.socket != nil {
		return e.socket, nil
	}
	one, err := passed{e.Domain, e.Index, e.Name, true}.find(e.Activation)
	if err != nil {
		return nil, err
	}
	e.socket = &FDPacketServer{FD: one.FD, PacketConfig: e.PacketConfig}
	return e.socket, nil
}

// ListenPacket adopts the socket; see [endpoint.PacketServer].
func (e *SystemdPacketServer) ListenPacket(r *reactor.Reactor, p reactor.PacketProtocol) (*reactor.PacketPort, error) {
	s, err := e.find()
	if err == nil {
		err = use(e.Activation, s.FD)
	}
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	return s.ListenPacket(r, p)
}

// String is the description.
func (e *SystemdPacketServer) String() string { return endpoint.Describe("systemd", e) }
