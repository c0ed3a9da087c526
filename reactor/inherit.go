package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
)

// Inherit has Listen use sockets that listen already, such as those that a predecessor has handed over. find is asked
// with each port that is about to open, which has its Requested and its Factory. If it returns true, the port is made of
// a duplicate of fd, as by AdoptPort, and fd is closed. Listen then fails if the socket cannot be
// adopted. Backlog, ReusePort and the UNIX options stay what they are; the StreamOptions are set. Otherwise Listen
// opens a socket. A port that is stopped and started again asks find again. Nil, which is the default, asks
// nobody. Inherit is for the loop's goroutine, or before the reactor runs.
func (r *Reactor) Inherit(find func(p *Port) (fd int, ok bool)) { r.inherit = find }

// openOwn opens the listener of a port of Listen.
func (p *Port) openOwn() (kernel.Listener, error) {
	r := p.r
	fd, ok := -1, false
	if r.inherit != nil {
		fd, ok = r.inherit(p)
	}
	if !ok {
		return r.k.Listen(p.requested, &p.cfg.ListenOptions)
	}
	defer r.CloseDescriptor(fd)
	a, err := r.adopter()
	if err != nil {
		return nil, err
	}
	o := p.cfg.ListenOptions
	o.Backlog, o.ReusePort, o.UNIX = 0, false, kernel.UNIXOptions{}
	return a.AdoptListener(fd, &o)
}

// Leave ends the port without ending its socket, which another process has too: nobody else is accepted here, and those who
// wait in the system's queue stay there for the other one. In the next turn our descriptor is closed and the factory
// stopped, and then done, if not nil, is called once with the error of StopFactory, or nil. Connections go on. The
// file of a UNIX socket and its lock file stay; see OwnFile. If nobody else has the socket, its queue is
// reset, as by the end of the process.
//
// A port that is being stopped already, or is stopped, has done called as StopListening says.
func (p *Port) Leave(done func(error)) {
	if p.state != portListening {
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
// the process that had it has called Leave, or has died. holder is the number of that process. If the
// ListenConfig has UNIX.Lock, the lock file passes to this process too. A failure is logged, and
// leaves the files to be removed by somebody else. Of other ports OwnFile changes nothing. It is for the loop's
// goroutine.
func (p *Port) OwnFile(holder int) {
	if p.state != portListening || p.addr.Net != kernel.UNIX {
		return
	}
	if f, ok := kernel.ListenerAs[kernel.FileOwner](p.listener); ok {
		if err := f.OwnFile(p.cfg.UNIX.Lock, holder); err != nil {
			p.r.log.Warn("the file of an inherited UNIX socket stays at its end", slog.Any("on", p.addr), slog.Any("err", err))
		}
	}
}

// Requested is the address that Listen was given. It has port 0 if the system was to choose one. It is zero of a port of
// AdoptPort.
func (p *Port) Requested() kernel.Addr { return p.requested }

// Factory is the factory of the port.
func (p *Port) Factory() Factory { return p.factory }
