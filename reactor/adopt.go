package reactor

import (
	"errors"

	"github.com/whorl-go/whorl/kernel"
)

// ErrAdopted: the port has been stopped, and its duplicate of the adopted socket is closed. Adopt the
// descriptor again.
var ErrAdopted = errors.New("an adopted port cannot listen again")

// AdoptPort makes a port of a socket that listens already, which somebody else has made: a parent,
// a service manager, package net. fd is its descriptor, of TCP or of a UNIX stream. The port works
// on a duplicate. fd stays the caller's, who may close it at once and has to close it some time
// (ADOPT-4). The socket becomes non-blocking, for the caller too (ADOPT-14).
//
// The port is one like those of Listen (ADOPT-8). Addr is what the socket has (ADOPT-7). At its end
// only the duplicate is closed, so that others who have the socket may go on accepting (ADOPT-6); the
// file of a UNIX socket stays (ADOPT-15). It cannot listen again: ErrAdopted. Of o.ListenOptions
// the StreamOptions are set, for everybody who has the socket; the others must be zero.
//
// An error is an [*OpError] that is ErrListen and its cause. A [*kernel.AdoptError] says that the
// socket was refused, and nothing of it has been changed. f is not in use then, and no duplicate is
// left (ADOPT-16). A kernel without descriptors is kernel.ErrUnsupported. AdoptPort is for the loop's goroutine, or before the reactor runs.
func (r *Reactor) AdoptPort(fd int, f Factory, o *ListenConfig) (*Port, error) {
	used := false
	return r.listen(kernel.Addr{}, f, o, func(c *ListenConfig) (kernel.Listener, error) {
		if used {
			return nil, ErrAdopted
		}
		used = true
		a, err := r.adopter()
		if err != nil {
			return nil, err
		}
		return a.AdoptListener(fd, &c.ListenOptions)
	})
}

// AdoptConnection makes a stream of a socket that is connected already. fd is its descriptor, as
// for AdoptPort. f builds the protocol, for the peer's address (ADOPT-12); it is neither started
// nor stopped (ADOPT-9). The connection counts as accepted, so that StartServer makes it TLS
// (ADOPT-11). Its end is the end of the connection, also for others who have the socket (ADOPT-13).
// The options of o are set; nil and the zero value are the defaults.
//
// ConnectionMade has been called when AdoptConnection returns. If f builds nothing, the duplicate is
// closed, the connection is still the caller's, and the error is ErrNoProtocol (ADOPT-10). Other
// errors are those of AdoptPort and of Attach; an error is an [*OpError]. AdoptConnection is for the
// loop's goroutine.
func (r *Reactor) AdoptConnection(fd int, f Factory, o *AdoptConfig) (*Stream, error) {
	if o == nil {
		o = new(AdoptConfig)
	}
	failed := func(err error) (*Stream, error) { return nil, &OpError{Op: "attach", Err: err} }
	cfg := o.StreamConfig
	if err := cfg.fill(); err != nil {
		return failed(err)
	}
	if r.is(lifeEnding) || r.is(lifeStopped) {
		return failed(ErrStopped)
	}
	switch {
	case o.Port != nil && o.Port.r != r:
		return failed(errOtherReactor)
	case f == nil:
		return failed(errNoFactory)
	}
	a, err := r.adopter()
	if err != nil {
		return failed(err)
	}
	c, err := protect(r, "Control", func() (kernel.Conn, error) { return a.AdoptConn(fd, &o.StreamOptions) })
	if err != nil {
		return failed(err)
	}
	p, err := r.build(f, c)
	if err == nil && p == nil {
		err = ErrNoProtocol
	}
	if err != nil {
		if a, ok := kernel.ConnAs[kernel.Adopted](c); ok {
			a.GiveBack() // the connection is still the caller's
		} else {
			c.Close()
		}
		return failed(err)
	}
	if o.Port != nil {
		return o.Port.adopted(c, p, o.Unsent), nil
	}
	return r.attach(c, p, cfg, adopted{}, o.Unsent), nil
}

// AdoptPacketPort makes a port of a datagram socket that somebody else has made, of UDP or UNIX, bound or connected or both. fd is its
// descriptor, as for AdoptPort: the port works on a duplicate, and fd stays the caller's (ADOPT-4). Addr is what the
// socket has (ADOPT-7). At its end only the duplicate is closed (ADOPT-6), and the file of a UNIX socket stays. Of
// o.PacketOptions, ReusePort, Shared and UNIX must be zero, and o.Bind too. In everything else it is like ListenPacket
// (ADOPT-8).
//
// An error is an [*OpError] that is ErrListen and its cause, as that of AdoptPort.
func (r *Reactor) AdoptPacketPort(fd int, p PacketProtocol, o *PacketConfig) (*PacketPort, error) {
	cfg := o.complete()
	failed := func(err error) error { return &OpError{Op: "listen", Err: err} }
	if !cfg.Bind.IsZero() {
		return nil, failed(&kernel.OptionError{Op: kernel.OpListen, Option: "Bind", Value: cfg.Bind, Err: kernel.ErrInvalidOption})
	}
	t, err := r.openPacket(p, cfg, failed, func() (kernel.PacketConn, error) {
		a, err := r.adopter()
		if err != nil {
			return nil, err
		}
		return a.AdoptPacketConn(fd, &cfg.PacketOptions)
	})
	if err == nil {
		t.shared = true
	}
	return t, err
}

// AdoptConfig configures an adopted connection.
type AdoptConfig struct {
	StreamConfig
	// StreamOptions are for the kernel: the options of the socket.
	kernel.StreamOptions
	// Port has the connection count as one that this port, of the same reactor, has accepted: in its counters, its
	// limits, which do not refuse it, and Stream.Port. The StreamConfig is that of the port. Nil: it belongs to no
	// port.
	Port *Port
	// Unsent is written before ConnectionMade is called, so it is sent before anything else. [Stream.Detach] has
	// returned it. It belongs to the caller again when AdoptConnection returns.
	Unsent []byte
}

// adopted is attach for a connection of a port.
func (p *Port) adopted(c kernel.Conn, proto Protocol, unsent []byte) *Stream {
	s := &Stream{r: p.r, conn: c, proto: proto, cfg: &p.params, session: p.sessions}
	s.token = p.r.assignToken(s)
	p.sessions++
	if p.limits.shared != nil {
		p.limits.shared.add(p.limits, p.peer(c))
	}
	p.opened(p.peer(c))
	p.publish()
	_ = s.connect(unsent)
	s.touch()
	return s
}

// adopter is the kernel, if it has descriptors.
func (r *Reactor) adopter() (kernel.Adopter, error) {
	if r.caps.adopter == nil {
		return nil, kernel.ErrUnsupported
	}
	return r.caps.adopter, nil
}

// adopted is the owner of a stream that AdoptConnection has made.
type adopted struct{ attached }

func (adopted) logPrefix(s *Stream) string { return LogPrefixOf(s.proto) + ",adopted" }
