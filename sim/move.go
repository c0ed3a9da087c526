package sim

import (
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

var _ kernel.Mover = (*simKernel)(nil)

// GiveConn is kernel.Mover. On its way the socket is held, so that it lives.
func (k *simKernel) GiveConn(c kernel.Conn) error {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	s := inner(c)
	switch {
	case s == nil || s.k != k || s.of != nil:
		return kernel.ErrUnsupported
	case s.noHandle():
		return kernel.ErrClosed
	}
	k.disown(s)
	k.ready = slices.DeleteFunc(k.ready, func(x *sock) bool { return x == s })
	s.released, s.queued = true, false
	s.holds++
	k.files--
	return nil
}

// TakeConn is kernel.Mover. The kernels are those of one machine.
func (k *simKernel) TakeConn(c kernel.Conn) error {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	s := inner(c)
	if s == nil || !s.released || s.h.id != k.h.id {
		return kernel.ErrUnsupported
	}
	if err := k.file(kernel.OpAccept); err != nil {
		return err
	}
	s.holds--
	k.take(s)
	return nil
}
