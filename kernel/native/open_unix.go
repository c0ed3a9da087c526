//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// Listen opens a listener. If it fails it leaves no descriptor open.
func (b *base) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	if o == nil {
		o = new(kernel.ListenOptions)
	}
	if err := kernel.CheckListen(a, o); err != nil {
		return nil, err
	}
	if a.Net == kernel.UNIX {
		return b.listenUNIX(a, o)
	}
	p, s, err := b.openFor(kernel.OpListen, a)
	if err != nil {
		return nil, err
	}
	l := &listener{s}
	l.remote.kind = noAddr
	return setUp[kernel.Listener](b, &l.sock, l, l.Close, func() error { return l.listen(&p, o) })
}

// setUp makes s, which is in h, the owner of its number and has set do the rest. If set fails, or
// panics in Control, it calls undo, which closes h. H is an interface, so that a failure returns nil.
func setUp[H kernel.Handle](b *base, s *sock, h H, undo, set func() error) (_ H, err error) {
	var none H
	b.own(s)
	done := false
	defer func() {
		if !done {
			_ = undo() // err says more
		}
	}()
	if err := set(); err != nil {
		return none, err
	}
	done = true
	return h, nil
}

func (s *listener) listen(p *shortAddr, o *kernel.ListenOptions) error {
	fd := int(s.fd)
	// TCP-3: connections of an earlier listener may be in TIME_WAIT. They do not
	// keep the port.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return opError("setsockopt", err)
	}
	if o.ReusePort {
		if err := s.setOption(kernel.OpListen, "ReusePort", unix.SOL_SOCKET, reusePort, 1); err != nil {
			return err
		}
	}
	if err := s.options(kernel.OpListen, &o.StreamOptions); err != nil {
		return err
	}
	if err := unix.Bind(fd, p.sockaddr()); err != nil {
		return opError(kernel.OpBind, err)
	}
	if err := unix.Listen(fd, backlogOf(o)); err != nil {
		return opError(kernel.OpListen, err)
	}
	return nil
}

func backlogOf(o *kernel.ListenOptions) int {
	if o.Backlog > 0 {
		return min(o.Backlog, maxBacklog)
	}
	return maxBacklog
}

// Dial begins a connection. If it fails at once it leaves no descriptor open.
func (b *base) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	if o == nil {
		o = new(kernel.DialOptions)
	}
	if err := kernel.CheckDial(a, o); err != nil {
		return nil, err
	}
	if a.Net == kernel.UNIX {
		return b.dialUNIX(a, o)
	}
	p, s, err := b.openFor(kernel.OpConnect, a)
	if err != nil {
		return nil, err
	}
	c := &conn{streamSock{s}}
	c.remote.set(p)
	return setUp[kernel.Conn](b, &c.sock, c, c.Close, func() error { return c.dial(&p, o) })
}

func (s *conn) dial(p *shortAddr, o *kernel.DialOptions) error {
	if o.ReuseAddr {
		if err := s.setOption(kernel.OpConnect, "ReuseAddr", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	if err := s.options(kernel.OpConnect, &o.StreamOptions); err != nil {
		return err
	}
	if err := s.bind(o.Bind); err != nil {
		return err
	}
	s.setState(dialling)
	switch err := unix.Connect(int(s.fd), p.sockaddr()); err {
	case nil, unix.EINPROGRESS, unix.EINTR:
		return nil
	default:
		return opError(kernel.OpConnect, err)
	}
}

// bind sets the local address of a socket that dials. The zero Addr leaves the choice to
// the system.
func (s *conn) bind(a kernel.Addr) error {
	if a.IsZero() {
		return nil
	}
	from, err := shortAddrOf(kernel.OpBind, a, int(s.fd))
	if err != nil {
		return err
	}
	if from.port == 0 {
		choosePortLater(int(s.fd))
	}
	if err := unix.Bind(int(s.fd), from.sockaddr()); err != nil {
		return opError(kernel.OpBind, err)
	}
	s.ownLocal().port = from.port
	return nil
}

// openFor opens a socket for the address family of a, for the operation op.
func (b *base) openFor(op string, a kernel.Addr) (shortAddr, sock, error) {
	failed := func(err error) (shortAddr, sock, error) { return shortAddr{}, sock{}, err }
	if b.closed {
		return failed(kernel.ErrClosed)
	}
	if err := kernel.CheckAddr(op, a); err != nil {
		return failed(err)
	}
	s, err := b.openSock(familyOf(a))
	if err != nil {
		return failed(err)
	}
	fd := int(s.fd)
	p, err := shortAddrOf(op, a, fd)
	if err != nil {
		unix.Close(fd)
		return failed(err)
	}
	if p.kind == inet6 {
		// TCP-6: an IPv6 socket is for IPv6 alone, whatever the system's default is.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			unix.Close(fd)
			return failed(opError("setsockopt", err))
		}
	}
	return p, s, nil
}

// openSock opens a stream socket. The caller makes it the owner of its number.
func (b *base) openSock(family int) (sock, error) { return b.openKind(family, unix.SOCK_STREAM) }

// openKind is openSock for any kind of socket.
func (b *base) openKind(family, kind int) (sock, error) {
	if b.closed {
		return sock{}, kernel.ErrClosed
	}
	fd, err := openSocket(family, kind)
	if err != nil {
		return sock{}, opError(kernel.OpSocket, err)
	}
	b.given(int32(fd), nil)
	if err := b.fits(kernel.OpSocket, fd); err != nil {
		unix.Close(fd)
		return sock{}, err
	}
	return sock{b: b, fd: int32(fd)}, nil
}
