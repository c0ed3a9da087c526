package sim

import (
	"syscall"

	"github.com/whorl-go/whorl/kernel"
)

// openUNIX is ListenPacket for a UNIX address, with the lock held. Without a name it binds nothing.
func (k *simKernel) openUNIX(s *sock, a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	if err := k.spare(kernel.OpSocket); err != nil {
		return nil, err
	}
	s.local = kernel.UNIXDatagramAddr(a.Name)
	if s.local.Name != "" {
		if err := k.claim(a, s, o.UNIX.Lock); err != nil {
			return nil, err
		}
	}
	k.files++
	k.own(s)
	k.n.note(OpListen, s, 0)
	return &packetConn{s: s}, nil
}

// datagramSocket is the UNIX socket of that name, or why there is none.
func (h *Host) datagramSocket(op string, a kernel.Addr) (*sock, error) {
	at := h.names[fileOf(kernel.UNIXDatagramAddr(a.Name).Name)]
	switch {
	case at == nil && !a.IsAbstract():
		return nil, &kernel.SysError{Op: op, Kind: kernel.ErrRefused, Errno: syscall.ENOENT}
	case at == nil || at.s == nil:
		return nil, fail(op, kernel.ErrRefused)
	case at.s.p == nil:
		return nil, wrongType(op)
	}
	return at.s, nil
}

// wrongType is the error of a socket for streams at the name of one for datagrams, or the reverse.
func wrongType(op string) error { return &kernel.SysError{Op: op, Errno: syscall.EPROTOTYPE} }

// admits tells whether s takes datagrams of from: a connected socket takes only those of its peer.
func (s *sock) admits(op string, from *sock) error {
	if s.p.peer != nil && !s.p.parted && s.p.peer != from.file() {
		return &kernel.SysError{Op: op, Kind: kernel.ErrPermission, Errno: syscall.EPERM}
	}
	return nil
}

// part ends the connection of s with its peer. Linux drops what is unread then, and s takes datagrams of anybody.
func (s *sock) part() {
	p := s.p
	if p.parted {
		return
	}
	for _, d := range p.queued() {
		d.drop(DropClosed)
	}
	clear(p.queue)
	p.queue, p.first, p.used, p.parted = p.queue[:0], 0, 0, true
	s.wakeSenders()
}

// connectUNIX is Connect. The peer is the socket that has the name now; one that gets the name later is another.
func (s *sock) connectUNIX(a kernel.Addr) error {
	peer, err := s.h.datagramSocket(kernel.OpConnect, a)
	if err == nil {
		err = peer.admits(kernel.OpConnect, s)
	}
	if err != nil {
		return err
	}
	if s.p.peer != nil && s.p.peer != peer {
		s.part()
	}
	s.p.peer, s.p.parted, s.remote = peer, false, kernel.UNIXDatagramAddr(a.Name)
	return nil
}

// writeUNIX sends a datagram. It has arrived at once, or not at all.
func (s *sock) writeUNIX(to kernel.Addr, data []byte) error {
	peer := s.p.peer
	if peer == nil {
		var err error
		if peer, err = s.h.datagramSocket(kernel.OpWrite, to); err != nil {
			return err
		}
	}
	err := peer.admits(kernel.OpWrite, s)
	switch {
	case peer.state == shut:
		if s.p.peer != nil {
			s.file().part()
		}
		return fail(kernel.OpWrite, kernel.ErrRefused)
	case err != nil:
		return err
	case len(data) > s.packetSendBuffer()-32: // Linux needs some of it
		return fail(kernel.OpWrite, kernel.ErrMessageSize)
	case len(peer.p.queued()) >= unixQueue:
		return kernel.ErrAgain
	}
	d := s.newDatagram(data, s.h)
	if s.local.Name != "" {
		d.sender = s.local
	}
	s.h.n.air.counts.Sent++
	peer.receive(d)
	return nil
}

// wakeSenders has UNIX sockets that are connected to s, of all programs of the machine, look whether it has room, or is closed.
func (s *sock) wakeSenders() {
	if s.local.Net != kernel.UNIXDatagram {
		return
	}
	for _, h := range s.h.programs() {
		for _, k := range h.kernels() {
			for _, from := range k.socks {
				if from.p != nil && from.p.peer == s {
					from.notify()
				}
			}
		}
	}
}
