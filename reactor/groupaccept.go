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

// shortage is called when no descriptor is left, before the reserve is given up. The result is called when it is back.
func (p *Port) shortage() (over func()) {
	if p.r.member == nil {
		return func() {}
	}
	r, x := p.r, &p.r.member.g.scarce
	x.now.Store(true)
	x.mu.Lock()
	x.last = r
	r.CallLater(acceptPause, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.last == r {
			x.now.Store(false)
		}
	})
	return x.mu.Unlock
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

// handOver gives conn, which p has accepted, to the loop with the fewest connections. It returns false if that is p's own,
// or if the kernels cannot move it.
func (t *portPart) handOver(p *Port, conn kernel.Conn) bool {
	if !t.hands || p.r.caps.mover == nil {
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
	g.send(m, &arrival{conn, t.of, p.limits})
	return true
}

// send has a served by the loop of m, or, if that has ended, by another one.
func (g *Group) send(m *member, a *arrival) {
	g.mu.Lock()
	if m.ended {
		if m = g.lead(); m == nil {
			g.mu.Unlock()
			a.conn.Abort() // nobody is left to serve it
			a.port.arrived(a)
			return
		}
	}
	m.arrivals = append(m.arrivals, a)
	r := m.r.Load()
	g.mu.Unlock()
	m.load.Add(1)
	r.Post(func() { g.arrive(m, r) })
}

// arrive serves the first of those that have come to r. The end of the loop has given them to another one, if there are none.
func (g *Group) arrive(m *member, r *Reactor) {
	g.mu.Lock()
	if m.r.Load() != r || len(m.arrivals) == 0 {
		g.mu.Unlock()
		return
	}
	a := m.arrivals[0]
	m.arrivals = m.arrivals[1:]
	part := a.port.parts[m.index]
	g.mu.Unlock()
	m.load.Add(-1)
	r.receive(a, part)
}

// receive serves a.
func (r *Reactor) receive(a *arrival, part *portPart) {
	conn := a.conn
	defer a.port.arrived(nil)
	err := r.caps.mover.TakeConn(conn)
	if err != nil {
		r.log.Warn("a connection cannot go to the loop that it was accepted for", slog.Any("err", err))
	}
	ending := r.is(lifeEnding) || r.is(lifeStopped)
	if err == nil && part != nil && !ending {
		p := part.port
		if l := a.port.limits; l != nil {
			l.move(a.from, p.limits, p.peer(conn))
		}
		p.serve(conn, p.peer(conn))
		part.port.publish()
		return
	}
	if l := a.port.limits; l != nil {
		l.lost(a.from, peerIf(l, conn))
	}
	conn.Abort()
}

// arrived counts one connection less that is under way. The stop of the port waits for them. lost is one that no limit counts any more.
func (p *GroupPort) arrived(lost *arrival) {
	if lost != nil && p.limits != nil {
		p.limits.lost(lost.from, peerIf(p.limits, lost.conn))
	}
	g := p.g
	g.mu.Lock()
	p.arriving--
	home := p.quiet()
	g.mu.Unlock()
	if home != nil {
		home.Post(func() { p.finish(home) })
	}
}

// redirect gives what was on its way to a loop that has ended to the others. If there are none, r, at its end, resets it.
func (g *Group) redirect(r *Reactor, all []*arrival) {
	for _, a := range all {
		if m := g.least(); m != nil {
			g.send(m, a)
		} else if r.is(lifeEnding) {
			r.receive(a, nil)
		}
	}
}
