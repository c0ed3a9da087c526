//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import "github.com/whorl-go/whorl/kernel"

var _ kernel.Mover = (*base)(nil)

// GiveConn takes c out of the table of numbers. What the system watches is nothing, because c is not armed.
func (b *base) GiveConn(c kernel.Conn) error {
	n, ok := kernel.ConnAs[numbered](c)
	switch {
	case !ok || n.self().b != b || n.self().isForeign():
		return errOtherKernel
	case n.self().fd < 0:
		return kernel.ErrClosed
	}
	b.disown(n.self())
	return nil
}

// TakeConn makes the number of c this kernel's.
func (b *base) TakeConn(c kernel.Conn) error {
	if b.closed {
		return kernel.ErrClosed
	}
	n, ok := kernel.ConnAs[numbered](c)
	if !ok {
		return errOtherKernel
	}
	s := n.self()
	if err := b.fits(kernel.OpAccept, int(s.fd)); err != nil {
		return err
	}
	s.b = b
	b.own(s)
	return nil
}
