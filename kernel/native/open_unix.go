//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Listen opens a listening sock. Nothing is left open when it fails.
func (b *base) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Sock, error) {
	if b.closed {
		return nil, kernel.ErrClosed
	}
	p, err := placeOf(a)
	if err != nil {
		return nil, err
	}
	s, err := b.newSock(&p)
	if err != nil {
		return nil, err
	}
	s.remote.kind = nowhere
	if err := s.listen(&p, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *sock) listen(p *place, o *kernel.ListenOptions) error {
	fd := int(s.fd)
	// TCP-3: connections of an earlier listener, still in TIME_WAIT, do not keep
	// the port.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fail("setsockopt", err)
	}
	if err := unix.Bind(fd, p.sockaddr()); err != nil {
		return fail("bind", err)
	}
	backlog := maxBacklog
	if o != nil {
		if o.Backlog > 0 {
			backlog = min(o.Backlog, maxBacklog)
		}
		if err := s.options(&o.StreamOptions); err != nil {
			return err
		}
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fail("listen", err)
	}
	return nil
}

// Dial begins a connection. Nothing is left open when it fails at once.
func (b *base) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Sock, error) {
	if b.closed {
		return nil, kernel.ErrClosed
	}
	p, err := placeOf(a)
	if err != nil {
		return nil, err
	}
	s, err := b.newSock(&p)
	if err != nil {
		return nil, err
	}
	s.remote.set(p)
	if err := s.dial(&p, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *sock) dial(p *place, o *kernel.DialOptions) error {
	if o != nil {
		if err := s.options(&o.StreamOptions); err != nil {
			return err
		}
		if err := s.bind(o.Bind); err != nil {
			return err
		}
	}
	s.local.more = dialling
	switch err := unix.Connect(int(s.fd), p.sockaddr()); err {
	case nil, unix.EINPROGRESS, unix.EINTR:
		return nil
	default:
		return fail("connect", err)
	}
}

// bind sets the local address of a socket that dials, unless it is the zero Addr.
func (s *sock) bind(a kernel.Addr) error {
	if a.IsZero() {
		return nil
	}
	from, err := placeOf(a)
	if err != nil {
		return err
	}
	if err := unix.Bind(int(s.fd), from.sockaddr()); err != nil {
		return fail("bind", err)
	}
	return nil
}

// newSock opens a socket for p's family.
func (b *base) newSock(p *place) (*sock, error) {
	fd, err := openSocket(p.family())
	if err != nil {
		return nil, fail("socket", err)
	}
	if p.kind == inet6 {
		// TCP-6: both stacks are two listeners, whatever the system's default is.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			unix.Close(fd)
			return nil, fail("setsockopt", err)
		}
	}
	return &sock{b: b, fd: int32(fd)}, nil
}

// options sets what o asks for. What it does not ask for is off (TCP-63).
func (s *sock) options(o *kernel.StreamOptions) error {
	if o.NoDelay {
		if err := s.SetNoDelay(true); err != nil {
			return err
		}
	}
	if o.KeepAlive {
		return s.SetKeepAlive(true)
	}
	return nil
}
