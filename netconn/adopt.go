package netconn

import (
	"net"
	"syscall"

	"github.com/whorl-go/whorl/reactor"
)

// AdoptConn gives c, which goroutine code has made, to the loop: f builds its protocol, as Reactor.AdoptConnection says. c must have a
// descriptor, as those of package net have. Nobody may be about to read or write it. On success c is closed, and the
// connection goes on as the Stream. On failure c is as it was. AdoptConn is for the loop's goroutine.
//
// An error is a *reactor.OpError. It is ErrNoDescriptor for a c that is no syscall.Conn, such as one of crypto/tls, whose
// keys the loop would not have.
func AdoptConn(r *reactor.Reactor, c net.Conn, f reactor.Factory, o *reactor.AdoptConfig) (*reactor.Stream, error) {
	var s *reactor.Stream
	err := withDescriptor(c, func(fd int) (err error) {
		s, err = r.AdoptConnection(fd, f, o)
		return err
	})
	if err != nil {
		return nil, asOpError("attach", err)
	}
	_ = c.Close() // the connection has another descriptor now
	return s, nil
}

// AdoptListener gives l, which goroutine code has made, to the loop, as Reactor.AdoptPort says. On success l is closed, but
// the socket goes on listening as the Port, and the file of a UNIX socket stays; the port does not remove it either. On failure l is as it was.
// AdoptListener is for the loop's goroutine, or before the reactor runs. Errors are those of AdoptConn, and reactor.ErrListen.
func AdoptListener(r *reactor.Reactor, l net.Listener, f reactor.Factory, o *reactor.ListenConfig) (*reactor.Port, error) {
	var p *reactor.Port
	err := withDescriptor(l, func(fd int) (err error) {
		p, err = r.AdoptPort(fd, f, o)
		return err
	})
	if err != nil {
		return nil, asOpError("listen", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	_ = l.Close()
	return p, nil
}

// withDescriptor calls fn with the descriptor of v. An error is that of fn, or why there is no descriptor.
func withDescriptor(v any, fn func(fd int) error) error {
	s, ok := v.(syscall.Conn)
	if !ok {
		return ErrNoDescriptor
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = fn(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func asOpError(op string, err error) error {
	if _, ok := err.(*reactor.OpError); ok {
		return err
	}
	return &reactor.OpError{Op: op, Err: err}
}
