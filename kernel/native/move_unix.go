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
	s := n.self()
	b.disown(s)
	s.remote.forgetPlace(b)
	if s.local != nil { // it may be the listener's, which stays here
		own := *s.local
		own.forgetPlace(b)
		s.local = &own
	}
	return nil
}

// forgetPlace undoes what addr has noted: the place of a zone is one of b alone.
func (p *shortAddr) forgetPlace(b *base) {
	if p.kind == inet6Zone {
		p.kind, p.scope = inet6, b.zones.known[p.scope].index
	}
}

// TakeConn makes the number of c this kernel's.
func (b *base) TakeConn(c kernel.Conn) error {
	n, ok := kernel.ConnAs[numbered](c)
	if !ok {
		return errOtherKernel
	}
	s := n.self()
	if s.b.exposed.Load() {
		b.exposed.Store(true)
	}
	s.b = b // also if it fails: whoever closes it then is on this kernel's goroutine
	if b.closed {
		return kernel.ErrClosed
	}
	if err := b.fits(kernel.OpAccept, int(s.fd)); err != nil {
		return err
	}
	b.own(s)
	return nil
}
