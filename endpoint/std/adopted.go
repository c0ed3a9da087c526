package std

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ErrUsed: the descriptor of this place has been adopted already, or that was tried.
var ErrUsed = errors.New("the descriptor can be used once")

// FDServer is fd:number for listening on a socket that listens already (EP-17), whose descriptor this
// process has inherited. Listen adopts a duplicate and closes the original, so it works once: a
// second one is ErrUsed. If the adoption fails, the original stays open.
type FDServer struct {
	_ struct{} `help:"Listens on a socket that the process has inherited, by its descriptor."`

	// FD is the descriptor, of TCP or of a UNIX stream.
	FD int `ep:"number,0" help:"number of a descriptor that listens"`
	// PortLimits are MaxConnections, MaxPerPeer and AcceptRate.
	reactor.PortLimits
	// StreamOptions are set for everybody who has the socket. They are no arguments.
	StreamOptions kernel.StreamOptions
	// StreamConfig configures the buffers of the connections. It is no argument.
	StreamConfig reactor.StreamConfig

	used bool
}

// Check fails if FD is negative.
func (e *FDServer) Check() error { return checkFD(e.FD) }

func checkFD(fd int) error {
	if fd < 0 {
		return &endpoint.ArgumentError{Scheme: "fd", Argument: "number", Value: fmt.Sprint(fd), Err: fmt.Errorf("%d is no descriptor", fd)}
	}
	return nil
}

// Listen adopts the socket; see [endpoint.Server] and [reactor.Reactor.AdoptPort].
func (e *FDServer) Listen(r *reactor.Reactor, f reactor.Factory) (endpoint.Listener, error) {
	if err := e.Check(); err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	if e.used {
		return nil, &reactor.OpError{Op: "listen", Err: fmt.Errorf("descriptor %d: %w", e.FD, ErrUsed)}
	}
	e.used = true
	cfg := &reactor.ListenConfig{StreamConfig: e.StreamConfig, PortLimits: e.PortLimits}
	cfg.StreamOptions = e.StreamOptions
	port, err := r.AdoptPort(e.FD, f, cfg)
	if err != nil {
		return nil, err // not an endpoint.Listener that holds a nil *reactor.Port
	}
	closeFD(e.FD)
	return port, nil
}

// String is the description.
func (e *FDServer) String() string { return endpoint.Describe("fd", e) }

// closeFD closes a descriptor of which there is a duplicate.
func closeFD(fd int) { _ = os.NewFile(uintptr(fd), "adopted").Close() }

// FDClient is fd:number for a connection that exists already, whose descriptor this process has
// inherited. Connect adopts a duplicate and closes the original, so it works once.
type FDClient struct {
	_ struct{} `help:"Uses a connection that the process has inherited, by its descriptor."`

	// FD is the descriptor, of TCP or of a UNIX stream.
	FD int `ep:"number,0" help:"number of a descriptor that is connected"`
	// StreamOptions are set. They are no arguments.
	StreamOptions kernel.StreamOptions
	// StreamConfig configures the buffers of the connection. It is no argument.
	StreamConfig reactor.StreamConfig

	used bool
}

// Check fails if FD is negative.
func (e *FDClient) Check() error { return checkFD(e.FD) }

// Connect adopts the connection in the next turn; see [endpoint.Client] and
// [reactor.Reactor.AdoptConnection].
func (e *FDClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	err := e.Check()
	if err == nil && e.used {
		err = fmt.Errorf("descriptor %d: %w", e.FD, ErrUsed)
	}
	e.used = true
	cancelled := false
	r.Post(func() {
		var p reactor.Protocol
		if err == nil && !cancelled {
			p, err = e.adopt(r, f, &cancelled)
		}
		if cancelled {
			err = reactor.ErrCancelled
		}
		if err != nil {
			done(nil, &reactor.OpError{Op: "dial", Err: err})
			return
		}
		done(p, nil)
	})
	return func() { cancelled = true }
}

// adopt adopts the connection. A cancel inside ConnectionMade closes it (EP-6).
func (e *FDClient) adopt(r *reactor.Reactor, f reactor.Factory, cancelled *bool) (reactor.Protocol, error) {
	s, err := r.AdoptConnection(e.FD, f, &reactor.AdoptConfig{StreamConfig: e.StreamConfig, StreamOptions: e.StreamOptions})
	if err != nil {
		return nil, err
	}
	closeFD(e.FD)
	if *cancelled {
		s.Close()
	}
	return s.Protocol(), nil
}

// String is the description.
func (e *FDClient) String() string { return endpoint.Describe("fd", e) }

// SystemdServer is systemd:domain=INET|INET6|UNIX, with index or name, for listening on a socket
// that a service manager has passed (GRAM-16). One that was not passed is an error when the
// description is read. It is used as that of an [FDServer].
type SystemdServer struct {
	_ struct{} `help:"Listens on a socket that a service manager such as systemd has passed."`

	// Domain is INET, INET6 or UNIX; empty: any of them. A socket of another is refused.
	Domain string `ep:"domain" help:"INET, INET6 or UNIX; without it, what the socket is"`
	// Index is the place of the socket among those that were passed, a number from 0. Empty: Name
	// says which it is.
	Index string `ep:"index" help:"place among the sockets that were passed, from 0"`
	// Name is its name. It must be that of one socket only.
	Name string `ep:"name" help:"name of the socket, FileDescriptorName= in the unit"`
	// PortLimits are MaxConnections, MaxPerPeer and AcceptRate.
	reactor.PortLimits
	// Activation are the sockets that were passed. It is no argument.
	Activation *activation.Sockets
	// StreamOptions and StreamConfig are as those of an FDServer. They are no arguments.
	StreamOptions kernel.StreamOptions
	StreamConfig  reactor.StreamConfig

	socket *FDServer
}

// Check fails unless exactly one of Index and Name is given, the socket was passed, and it is of the
// Domain.
func (e *SystemdServer) Check() error {
	_, err := e.find()
	return err
}

func (e *SystemdServer) find() (*FDServer, error) {
	if e.socket != nil {
		return e.socket, nil
	}
	bad := func(argument, value, reason string) (*FDServer, error) {
		return nil, &endpoint.ArgumentError{Scheme: "systemd", Argument: argument, Value: value, Err: errors.New(reason)}
	}
	domain := strings.ToUpper(e.Domain)
	switch domain {
	case "", "INET", "INET6", "UNIX":
	default:
		return bad("domain", e.Domain, fmt.Sprintf("%q is not INET, INET6 or UNIX", e.Domain))
	}
	var one activation.Socket
	switch passed := e.Activation.Named(e.Name); {
	case e.Name != "" && e.Index != "":
		return bad("name", e.Name, "there must be either index or name, not both")
	case e.Name == "" && e.Index == "":
		return bad("index", "", "there must be index or name")
	case e.Name == "":
		i, err := strconv.Atoi(e.Index)
		if err != nil || i < 0 {
			return bad("index", e.Index, fmt.Sprintf("%q is not a number of 0 or more", e.Index))
		}
		var ok bool
		if one, ok = e.Activation.Index(i); !ok {
			return bad("index", e.Index, fmt.Sprintf("there is no socket %d: %d were passed", i, len(e.Activation.All())))
		}
	case len(passed) != 1:
		return bad("name", e.Name, fmt.Sprintf("%d sockets called %q were passed", len(passed), e.Name))
	default:
		one = passed[0]
	}
	if is := domainOf(one.FD); domain != "" && is != domain {
		return bad("domain", e.Domain, fmt.Sprintf("the socket is not of %s, but of %s", domain, is))
	}
	e.socket = &FDServer{FD: one.FD, PortLimits: e.PortLimits, StreamOptions: e.StreamOptions, StreamConfig: e.StreamConfig}
	return e.socket, nil
}

// Listen adopts the socket; see [endpoint.Server].
func (e *SystemdServer) Listen(r *reactor.Reactor, f reactor.Factory) (endpoint.Listener, error) {
	s, err := e.find()
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	return s.Listen(r, f)
}

// String is the description.
func (e *SystemdServer) String() string { return endpoint.Describe("systemd", e) }
