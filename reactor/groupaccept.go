package reactor

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/whorl-go/whorl/kernel"
)

// scarcity keeps loops of a group from taking the descriptor that one of them gives up to turn a client away (TCP-22). The others
// would serve one client more, and the clients of that loop would hear neither an answer nor an end from then on.
type scarcity struct {
	now  atomic.Bool // a loop has found no descriptor left within the last acceptPause
	mu   sync.Mutex
	last *Reactor // that one
}

// shortageOver is the call by which a loop says that it has found descriptors for acceptPause. Each shortage puts it off.
type shortageOver struct{ DelayedCall }

// shortage is called when no descriptor is left, before the reserve is given up. The result is called when it is back.
func (p *Port) shortage() (over func()) {
	if p.r.member == nil {
		return func() {}
	}
	r, x := p.r, &p.r.member.g.scarce
	Shared(r, func() *shortageOver {
		o := new(shortageOver)
		o.Init(r, func() { x.without(r) })
		return o
	}).Reset(acceptPause)
	x.mu.Lock()
	x.last = r
	x.now.Store(true) // with the lock, so that the end of an earlier shortage does not undo it
	return x.mu.Unlock
}

// without is called when r has found descriptors for some time, or has ended.
func (x *scarcity) without(r *Reactor) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.last == r {
		x.last = nil
		x.now.Store(false)
	}
}

// acceptConn accepts a client. While descriptors are short, the loops of a group do that one after the other.
func (p *Port) acceptConn() (kernel.Conn, error) {
	if m := p.r.member; m != nil && m.g.scarce.now.Load() {
		m.g.scarce.mu.Lock()
		defer m.g.scarce.mu.Unlock()
	}
	return p.listener.Accept()
}

// arrival is a connection that one loop has accepted for another, before its first callback.
type arrival struct {
	conn kernel.Conn
	port *GroupPort
	from *portLimiter // which has counted it
}

// handOver gives conn, which p has accepted for all loops, to the loop with the fewest connections. It returns false if that is p's own,
// or if the kernels cannot move it.
func (t *portPart) handOver(p *Port, conn kernel.Conn) bool {
	if p.r.caps.mover == nil {
		return false
	}
	g := t.of.g
	m := g.least()
	if m == nil || m == p.r.member || p.r.caps.mover.GiveConn(conn) != nil {
		return false
	}
	g.mu.Lock()
	t.of.arriving++
	g.mu.Unlock()
	g.send(p.r, m, &arrival{conn, t.of, p.limits})
	return true
}

// send has a served by the loop of m, or, if that does not live, by another one. It is called on the goroutine of at, or when that is over.
func (g *Group) send(at *Reactor, m *member, a *arrival) {
	m.load.Add(1)
	if !g.give(m, nil, &errand{
		do: func(r *Reactor) {
			m.load.Add(-1)
			r.receive(a)
		},
		ended: func(how errandEnd) {
			if how == errandMissed {
				g.redirect(m.r.Load(), a)
			} else {
				a.port.arrived()
			}
		},
	}) {
		g.redirect(at, a)
	}
}

// redirect gives what was on its way to a loop that does not live to another one. If there is none, it is reset, unless that would take the kernel of a
// loop that is left behind.
func (g *Group) redirect(at *Reactor, a *arrival) {
	if m := g.least(); m != nil {
		g.send(at, m, a)
		return
	}
	if g.stateOf(at.member) == loopLeft {
		a.port.arrived()
		return
	}
	_ = at.caps.mover.TakeConn(a.conn) // also if it fails, the conn can be reset here
	a.reset()
	a.port.arrived()
}

// reset resets a connection that nobody serves.
func (a *arrival) reset() {
	if l := a.port.limits; l != nil {
		l.lost(a.from, peerIf(l, a.conn))
	}
	a.conn.Abort()
}

// receive serves a.
func (r *Reactor) receive(a *arrival) {
	conn := a.conn
	err := r.caps.mover.TakeConn(conn)
	if err != nil {
		const msg = "a connection cannot go to the loop that it was accepted for"
		r.limits.kind(msg).Log(r, r.log, slog.LevelWarn, msg, slog.Any("err", err))
	}
	p := a.port.portOf(r.member.index)
	if err != nil || p == nil || r.Ending() {
		a.reset()
		return
	}
	if l := a.port.limits; l != nil {
		l.move(a.from, p.limits, p.peer(conn))
	}
	p.serve(conn, p.peer(conn))
}

// arrived counts one connection less that is under way. The stop of the port waits for them.
func (p *GroupPort) arrived() {
	p.g.mu.Lock()
	p.arriving--
	p.g.mu.Unlock()
	p.check()
}
