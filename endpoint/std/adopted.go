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

// Check fails if FD is negative, or the descriptor of a datagram socket (EP-25).
func (e *FDServer) Check() error { return checkFD(e.FD, false) }

// checkFD fails if fd is negative, or of a socket of the other kind. What else it may be the adoption finds out.
func checkFD(fd int, datagrams bool) error {
	if fd < 0 {
		return badArgument("fd", "number", fmt.Sprint(fd), "%d is no descriptor", fd)
	}
	if err := checkKind(fd, datagrams); err != nil {
		return badArgument("fd", "number", fmt.Sprint(fd), "%w", err)
	}
	return nil
}

// checkKind returns an endpoint.ErrKind if fd is a socket of the other kind.
func checkKind(fd int, datagrams bool) error {
	switch is := socketKind(fd); {
	case is == kindGrams && !datagrams:
		return kernel.Sentinel(fmt.Sprintf("descriptor %d takes datagrams, not connections", fd), endpoint.ErrKind)
	case is == kindStream && datagrams:
		return kernel.Sentinel(fmt.Sprintf("descriptor %d takes connections, not datagrams", fd), endpoint.ErrKind)
	}
	return nil
}

// kindOfSocket is what a descriptor is.
type kindOfSocket uint8

const (
	kindOther kindOfSocket = iota
	kindStream
	kindGrams
)

// Listen adopts the socket; see [endpoint.Server] and [reactor.Reactor.AdoptPort].
func (e *FDServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	if err := e.Check(); err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	if e.used {
		return nil, &reactor.OpError{Op: "listen", Err: fmt.Errorf("descriptor %d: %w", e.FD, ErrUsed)}
	}
	e.used = true
	cfg := &reactor.ListenConfig{StreamConfig: e.StreamConfig, PortLimits: e.PortLimits}
	cfg.StreamOptions = e.StreamOptions
	port, err := on.AdoptPortAt(e.FD, f, cfg)
	if err != nil {
		return nil, err // not an endpoint.Listener that holds nil
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

// Check fails if FD is negative, or the descriptor of a datagram socket (EP-25).
func (e *FDClient) Check() error { return checkFD(e.FD, false) }

// Connect adopts the connection in the next turn; see [endpoint.Client] and
// [reactor.Reactor.AdoptConnection].
func (e *FDClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	err := e.Check()
	if err == nil && e.used {
		err = fmt.Errorf("descriptor %d: %w", e.FD, ErrUsed)
	}
	e.used = true
	cancelled := false
	r.Tell(func(stopped error) {
		var p reactor.Protocol
		if err == nil {
			err = stopped
		}
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
// description is read. It is used as that of an [FDServer], once: another place that names the same socket is ErrUsed.
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
	one, err := passed{e.Domain, e.Index, e.Name, false}.find(e.Activation)
	if err != nil {
		return nil, err
	}
	e.socket = &FDServer{FD: one.FD, PortLimits: e.PortLimits, StreamOptions: e.StreamOptions, StreamConfig: e.StreamConfig}
	return e.socket, nil
}

// passed says which of the sockets that a service manager has passed is meant.
type passed struct {
	domain, index, name string
	datagrams           bool
}

// find returns the socket.
func (p passed) find(from *activation.Sockets) (one activation.Socket, err error) {
	bad := func(argument, value, format string, a ...any) (activation.Socket, error) {
		return one, badArgument("systemd", argument, value, format, a...)
	}
	domain := strings.ToUpper(p.domain)
	switch domain {
	case "", "INET", "INET6", "UNIX":
	default:
		return bad("domain", p.domain, "%q is not INET, INET6 or UNIX", p.domain)
	}
	by, value := "name", p.name
	switch named := from.Named(p.name); {
	case p.name != "" && p.index != "":
		return bad("name", p.name, "there must be either index or name, not both")
	case p.name == "" && p.index == "":
		return bad("index", "", "there must be index or name")
	case p.name == "":
		by, value = "index", p.index
		i, err := strconv.Atoi(p.index)
		if err != nil || i < 0 {
			return bad("index", p.index, "%q is not a number of 0 or more", p.index)
		}
		var ok bool
		if one, ok = from.Index(i); !ok {
			return bad("index", p.index, "there is no socket %d: %d were passed", i, len(from.All()))
		}
	case len(named) != 1:
		return bad("name", p.name, "%s", whichPassed(from.All(), p.name))
	default:
		one = named[0]
	}
	if from.Used(one.FD) { // the number may be another file's
		return bad(by, value, "descriptor %d: %w", one.FD, ErrUsed)
	}
	if is := domainOf(one.FD); domain != "" && is != domain {
		return bad("domain", p.domain, "the socket is not of %s, but of %s", domain, is)
	}
	if err := checkKind(one.FD, p.datagrams); err != nil {
		return bad(by, value, "%w", err)
	}
	return one, nil
}

// use marks a socket as used, whichever place names it.
func use(all *activation.Sockets, fd int) error {
	if !all.Use(fd) {
		return fmt.Errorf("descriptor %d: %w", fd, ErrUsed)
	}
	return nil
}

// whichPassed tells why name is not that of one socket of all, and which there are.
func whichPassed(all []activation.Socket, name string) string {
	var same, others []string
	for i, one := range all {
		switch index := fmt.Sprintf("index=%d", i); {
		case one.Name == name:
			same = append(same, index)
		case len(others) < 10: // what tells which name was meant
			others = append(others, fmt.Sprintf("%q (%s)", one.Name, index))
		}
	}
	switch {
	case len(all) == 0:
		return "no sockets were passed to this process"
	case len(same) == 0:
		return fmt.Sprintf("no socket called %q was passed; there are %s", name, strings.Join(others, ", "))
	}
	return fmt.Sprintf("%d sockets called %q were passed; say which by %s", len(same), name, strings.Join(same, " or "))
}

// Listen adopts the socket; see [endpoint.Server].
func (e *SystemdServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	s, err := e.find()
	if err == nil {
		err = use(e.Activation, s.FD)
	}
	if err != nil {
		return nil, &reactor.OpError{Op: "listen", Err: err}
	}
	return s.Listen(on, f)
}

// String is the description.
func (e *SystemdServer) String() string { return endpoint.Describe("systemd", e) }
