package sim

import (
	"cmp"
	"maps"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// A socket may have several handles, and numbers, of one program or of several on its host. It lives
// until the last of them is gone; a message that carries it counts too. The sock that was made first stands for the
// socket: the network knows no other. Another handle is a sock of its own, whose of is the first. It has the same
// halves, or the queue of the same listener. If the first handle is closed before, it is only released.

// lastEnd is how a socket ends that nobody has any more.
type lastEnd uint8

const (
	closesInOrder   lastEnd = iota // in order, as by Close
	closesByReset                  // its program was killed
	closesInSilence                // its host has crashed
)

var (
	_ kernel.Adopter     = (*simKernel)(nil)
	_ kernel.Descriptors = (*simKernel)(nil)
	_ kernel.Adopted     = (*adopted)(nil)
)

// file is the sock that stands for the socket of s.
func (s *sock) file() *sock {
	if s.of != nil {
		return s.of
	}
	return s
}

// held tells whether somebody else than its first handle has the socket f.
func (f *sock) held() bool { return f.holds > 0 || len(f.others) > 0 }

// noHandle tells whether the program has closed the handle s.
func (s *sock) noHandle() bool { return s.state == shut || s.released }

// release ends the handle s of a socket that has others.
func (s *sock) release() {
	f := s.file()
	s.armed = 0
	s.k.disown(s)
	if s == f {
		s.released = true
		s.orphanQueue()
	} else {
		s.state = shut
		f.others = slices.DeleteFunc(f.others, func(o *sock) bool { return o == s })
	}
	f.unheld()
}

// unheld ends the socket f if nobody has it any more.
func (f *sock) unheld() {
	if !f.released || f.held() || f.state == shut {
		return
	}
	switch f.h.n.lastEnd {
	case closesInOrder:
		f.dispose(OpClose)
	case closesByReset:
		f.vanish(true)
	case closesInSilence:
		f.vanish(false)
	}
}

// vanish ends f because a program has gone, and resets the peer if tell.
func (f *sock) vanish(tell bool) {
	if f.p != nil {
		f.end()
		return
	}
	if f.l != nil {
		for _, c := range f.l.queue {
			c.vanish(tell)
		}
		f.l.queue = nil
	} else if tell && f.state == open {
		f.reset()
	} else {
		f.out.kill()
	}
	f.end()
}

// endForAll ends a connection that was adopted, for everybody who has it (ADOPT-13).
func (s *sock) endForAll(o Op) {
	f := s.file()
	switch {
	case f.state != open:
	case o == OpAbort && !f.out.memory:
		f.reset()
		f.die(kernel.ErrBroken)
	default:
		f.out.finish()
		if f.in.fin == finNone && f.in.memory {
			f.in.dead = true // the peer can write no more
			f.in.fin = finArrived
		}
		f.notify()
	}
}

// letGo keeps what waits to be accepted at listeners that others have too, when the program is gone.
func (k *simKernel) letGo() {
	for _, l := range slices.Clone(k.socks) {
		if l.of == nil && l.held() {
			l.orphanQueue()
		}
	}
}

// orphanQueue takes what waits to be accepted at l away from its program.
func (l *sock) orphanQueue() {
	if l.l == nil {
		return
	}
	for _, c := range l.l.queue {
		if !c.released {
			c.k.disown(c)
			c.released = true
		}
	}
}

// arrives makes c, which has come to the listener l, one of its program, if that still has l.
func (l *sock) arrives(c *sock) {
	l.k.own(c)
	if l.released {
		l.k.disown(c)
		c.released = true
	}
}

// number gives f a number of k.
func (k *simKernel) number(op string, f *sock) (int, error) {
	if err := k.file(op); err != nil {
		return -1, err
	}
	const first = 3
	fd := first
	for k.numbers[fd] != nil {
		fd++
	}
	if k.numbers == nil {
		k.numbers = map[int]*sock{}
	}
	k.numbers[fd] = f
	f.holds++
	return fd, nil
}

// closeNumber is the reverse of number. It tells whether there was one.
func (k *simKernel) closeNumber(fd int) bool {
	f := k.numbers[fd]
	if f == nil {
		return false
	}
	delete(k.numbers, fd)
	k.files--
	f.holds--
	f.unheld()
	return true
}

// closeNumbers closes all of them.
func (k *simKernel) closeNumbers() {
	for _, fd := range slices.Sorted(maps.Keys(k.numbers)) {
		k.closeNumber(fd)
	}
}

// Duplicate is kernel.Descriptors.
func (k *simKernel) Duplicate(fd int) (int, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	f := k.numbers[fd]
	if f == nil {
		return -1, fail("dup", kernel.ErrBadDescriptor)
	}
	return k.number("dup", f)
}

// CloseDescriptor is kernel.Descriptors.
func (k *simKernel) CloseDescriptor(fd int) error {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	if !k.closeNumber(fd) {
		return fail("close", kernel.ErrBadDescriptor)
	}
	return nil
}

// DescriptorOf is kernel.Descriptors.
func (k *simKernel) DescriptorOf(h any) (int, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	var s *sock
	if x, ok := h.(kernel.Handle); ok {
		s = innerHandle(x)
	}
	switch {
	case s == nil || s.k != k:
		return -1, kernel.ErrUnsupported
	case s.noHandle():
		return -1, kernel.ErrClosed
	}
	return k.number("dup", s.file())
}

// adoptable returns the socket of fd, if it is of the right kind and can have the options o.
func (k *simKernel) adoptable(fd int, listens bool, op string, o *kernel.StreamOptions) (*sock, error) {
	refused := func(kind error, reason string) (*sock, error) {
		return nil, &kernel.AdoptError{FD: fd, Reason: reason, Kind: kind}
	}
	f := k.numbers[fd]
	switch {
	case k.closed:
		return nil, kernel.ErrClosed
	case f == nil:
		return refused(kernel.ErrBadDescriptor, "it is not open")
	case f.p != nil:
		return refused(kernel.ErrUnsupported, "it is a datagram socket, and not a stream")
	case listens && f.l == nil:
		return refused(kernel.ErrNotListening, "it does not listen")
	case !listens && (f.l != nil || f.state != open):
		return refused(kernel.ErrNotConnected, "it is not connected")
	}
	return f, cmp.Or(kernel.CheckAdopted(op, f.local.Net, o), k.file(kernel.OpSocket))
}

// adopt makes another handle of the socket f, and sets its options.
func (k *simKernel) adopt(f *sock, o kernel.StreamOptions) *sock {
	s := &sock{of: f, state: open, local: f.local, remote: f.remote, in: f.in, out: f.out, options: optionsOf(o), peerPID: f.peerPID, adopts: f.l == nil && f.p == nil, p: f.p}
	k.own(s)
	passes := f.options.Descriptors
	f.options = s.options
	f.options.Descriptors = passes // that is one of the handle
	f.others = append(f.others, s)
	return s
}

// AdoptListener is kernel.Adopter.
func (k *simKernel) AdoptListener(fd int, o *kernel.ListenOptions) (kernel.Listener, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	if o == nil {
		o = &kernel.ListenOptions{}
	}
	if err := cmp.Or(noControl(kernel.OpListen, &o.StreamOptions), kernel.CheckAdopt(o)); err != nil {
		return nil, err
	}
	f, err := k.adoptable(fd, true, kernel.OpListen, &o.StreamOptions)
	if err != nil {
		return nil, err
	}
	s := k.adopt(f, o.StreamOptions)
	s.l = &listener{sock: s}
	k.n.note(OpListen, s, fd)
	return s.l, nil
}

// AdoptConn is kernel.Adopter.
func (k *simKernel) AdoptConn(fd int, o *kernel.StreamOptions) (kernel.Conn, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	if o == nil {
		o = &kernel.StreamOptions{}
	}
	if err := cmp.Or(noControl(kernel.OpConnect, o), kernel.CheckOptions(kernel.OpConnect, o)); err != nil {
		return nil, err
	}
	f, err := k.adoptable(fd, false, kernel.OpConnect, o)
	if err != nil {
		return nil, err
	}
	s := k.adopt(f, *o)
	k.n.note(OpAccept, s, fd)
	return &adopted{s.conn(), s}, nil
}

// AdoptPacketConn is kernel.Adopter. All handles have one queue.
func (k *simKernel) AdoptPacketConn(fd int, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	if o == nil {
		o = &kernel.PacketOptions{}
	}
	f := k.numbers[fd]
	refused := func(kind error, reason string) (kernel.PacketConn, error) {
		return nil, &kernel.AdoptError{FD: fd, Reason: reason, Kind: kind}
	}
	switch err := cmp.Or(noPacketControl(o), kernel.CheckAdoptPacket(o)); {
	case err != nil:
		return nil, err
	case k.closed:
		return nil, kernel.ErrClosed
	case f == nil:
		return refused(kernel.ErrBadDescriptor, "it is not open")
	case f.p == nil:
		return refused(kernel.ErrUnsupported, "it is a stream, and not a datagram socket")
	}
	if err := k.file(kernel.OpSocket); err != nil {
		return nil, err
	}
	s := k.adopt(f, kernel.StreamOptions{})
	s.p.broadcast = s.p.broadcast || o.Broadcast
	s.p.sendBuffer, s.p.recvBuffer = cmp.Or(o.SendBuffer, s.p.sendBuffer), cmp.Or(o.RecvBuffer, s.p.recvBuffer)
	k.n.note(OpListen, s, fd)
	if s.local.Net == kernel.UNIXDatagram {
		return &packetConn{s, s.p.lost}, nil
	}
	return &udpConn{packetConn: packetConn{s, s.p.lost}}, nil
}

// adopted is a conn of AdoptConn.
type adopted struct {
	kernel.Conn
	s *sock
}

// Unwrap is the conn without GiveBack.
func (a *adopted) Unwrap() kernel.Conn { return a.Conn }

// GiveBack is kernel.Adopted.
func (a *adopted) GiveBack() error {
	a.s.adopts = false // so its end is that of a handle alone
	return a.Conn.Close()
}

// base is the listener whose queue l has.
func (l *listener) base() *listener { return l.sock.file().l }
