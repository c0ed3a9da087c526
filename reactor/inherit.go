package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
)

// Inherited is a socket that is open already, for a port that is about to open.
type Inherited struct {
	// FD is its descriptor, which the reactor closes.
	FD int
	// Opened is called with the [*Port] or [*PacketPort] that has the socket now. Nil: nothing is called.
	Opened func(port any)
}

// Inherit has Listen and ListenPacket use sockets that are open already, such as those that a predecessor has handed
// over. find is asked with the address that they were given, which has port 0 if the system is to choose one. If
// it returns one, the port is made of a duplicate of it, as by AdoptPort, and fails if it cannot be
// adopted. Backlog, ReusePort, Shared and the UNIX options are not set: the socket has its own. The other options
// are. For nil a socket is opened as usual. A port that is stopped and started again asks find again. A
// nil find, which is the default, is never asked. Inherit is for the loop's goroutine, or before the reactor runs.
func (r *Reactor) Inherit(find func(a kernel.Addr) *Inherited) { r.inherit = find }

// inherited returns the socket that there is for a, or nil.
func (r *Reactor) inherited(a kernel.Addr) *Inherited {
	if r.inherit == nil {
		return nil
	}
	return r.inherit(a)
}

// opened tells that port has the socket.
func (i *Inherited) opened(port any) {
	if i != nil && i.Opened != nil {
		i.Opened(port)
	}
}

// openOwn opens the listener of a port of Listen.
func (p *Port) openOwn() (kernel.Listener, error) {
	r := p.r
	in := r.inherited(p.requested)
	if in == nil {
		return r.k.Listen(p.requested, &p.cfg.ListenOptions)
	}
	defer r.CloseDescriptor(in.FD)
	a, err := r.adopter()
	if err != nil {
		return nil, err
	}
	o := p.cfg.ListenOptions
	o.Backlog, o.ReusePort, o.UNIX = 0, false, kernel.UNIXOptions{}
	l, err := a.AdoptListener(in.FD, &o)
	if err == nil {
		in.opened(p)
	}
	return l, err
}

// listenPacket opens the socket of a port of ListenPacket, and returns what it is, if it was inherited.
func (r *Reactor) listenPacket(at kernel.Addr, o kernel.PacketOptions) (kernel.PacketConn, *Inherited, error) {
	in := r.inherited(at)
	if in == nil {
		c, err := r.caps.listenPacket(at, &o)
		return c, nil, err
	}
	defer r.CloseDescriptor(in.FD)
	a, err := r.adopter()
	if err != nil {
		return nil, nil, err
	}
	o.Shared, o.ReusePort, o.UNIX = false, false, kernel.UNIXOptions{}
	c, err := a.AdoptPacketConn(in.FD, &o)
	return c, in, err
}

// LeaveSocket ends the port without ending its socket, which another process has too: nobody else is accepted here, and those who
// wait in the system's queue stay there for the other one. In the next turn our descriptor is closed and the factory
// stopped, and then done, if not nil, is called once with the error of StopFactory, or nil. Connections go on. The
// file of a UNIX socket and its lock file stay; see OwnFile. If nobody else has the socket, its queue is
// reset, as by the end of the process.
//
// A port that is being stopped already, or is stopped, has done called as StopListening says.
func (p *Port) LeaveSocket(done func(error)) {
	if p.state != portListening || p.r.is(lifeStopped) {
		p.StopListening(done)
		return
	}
	if done != nil {
		p.stopDone = append(p.stopDone, done)
	}
	p.stop()
	p.arm(0) // the close would not do it, because the socket stays
	if f, ok := kernel.ListenerAs[kernel.FileOwner](p.listener); ok {
		f.LeaveFile()
	}
	p.r.Post(p.finish)
}

// OwnFile makes the file of a UNIX socket this port's, which removes it at its end. It is for a port of Inherit, after
// the process that had it has called LeaveSocket, or has died. holder is the number of that process. If the
// ListenConfig has UNIX.Lock, the lock file passes to this process too. A failure is logged, and
// leaves the files to be removed by somebody else. Of other ports OwnFile changes nothing. It is for the loop's
// goroutine.
func (p *Port) OwnFile(holder int) {
	if p.state != portListening || p.addr.Net != kernel.UNIX {
		return
	}
	if f, ok := kernel.ListenerAs[kernel.FileOwner](p.listener); ok {
		ownFile(p.r, f, p.addr, p.cfg.UNIX.Lock, holder)
	}
}

func ownFile(r *Reactor, f kernel.FileOwner, at kernel.Addr, lock bool, holder int) {
	if err := f.OwnFile(lock, holder); err != nil {
		r.log.Warn("the file of an inherited UNIX socket stays at its end", slog.Any("on", at), slog.Any("err", err))
	}
}

// LeaveSocket is that of a [Port], for datagrams: none is read any more, and those that wait in the system's queue are for
// the other process. What is to be sent is sent first, as StopListening says. A datagram that was read and not delivered,
// because the protocol has paused, is lost. done is called as by StopListening.
func (t *PacketPort) LeaveSocket(done func(error)) {
	if l, ok := kernel.PacketAs[kernel.OptionLeaver](t.conn); ok {
		l.LeaveOptions()
	}
	if f, ok := kernel.PacketAs[kernel.FileOwner](t.conn); ok && t.state != portStopped {
		f.LeaveFile()
	}
	t.shared = true
	t.StopListening(done)
}

// OwnFile is that of a [Port].
func (t *PacketPort) OwnFile(holder int) {
	if f, ok := kernel.PacketAs[kernel.FileOwner](t.conn); ok && t.state == portListening {
		ownFile(t.r, f, t.local, t.cfg.UNIX.Lock, holder)
	}
}

// Requested is the address that ListenPacket was given. It is zero of a port of DialPacket or AdoptPacketPort.
func (t *PacketPort) Requested() kernel.Addr { return t.asked }

// Requested is the address that Listen was given. It has port 0 if the system was to choose one. It is zero of a port of
// AdoptPort.
func (p *Port) Requested() kernel.Addr { return p.requested }

// Factory is the factory of the port.
func (p *Port) Factory() Factory { return p.factory }
