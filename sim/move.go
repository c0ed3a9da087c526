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
	s.released, s.queued, s.moving = true, false, true
	s.holds++
	s.h.moving = append(s.h.moving, s)
	k.files--
	return nil
}

// TakeConn is kernel.Mover. The kernels are those of one machine.
func (k *simKernel) TakeConn(c kernel.Conn) error {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	s := inner(c)
	if s == nil || !s.moving || s.h.id != k.h.id {
		return kernel.ErrUnsupported
	}
	if err := k.file(kernel.OpAccept); err != nil {
		return err
	}
	s.land()
	k.take(s)
	return nil
}

// land ends the way of s.
func (s *sock) land() {
	s.moving = false
	s.holds--
	s.h.moving = slices.DeleteFunc(s.h.moving, func(x *sock) bool { return x == s })
}

// closeMoving closes a socket that no kernel has taken: the one to which it was given has no room, or is closed.
func (s *sock) closeMoving(o Op) {
	s.h.n.note(o, s, 0)
	s.land()
	if !s.held() {
		s.closes(o == OpClose)
		s.dispose(o)
	}
}

// loseMoving ends what is on its way when the machine crashes.
func (h *Host) loseMoving() {
	for _, s := range slices.Clone(h.moving) {
		if s.land(); !s.held() {
			s.vanish(false)
		}
	}
}
