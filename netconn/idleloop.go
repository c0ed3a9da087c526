package netconn

import (
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// idleLoop is what an IdleListener has on one loop. It is for the loop's goroutine.
type idleLoop struct {
	l               *IdleListener
	r               *reactor.Reactor
	waiting, served ring
	n               atomic.Int64        // length of waiting, for other goroutines
	expire          reactor.DelayedCall // closes the first of waiting when its time is over
	look            reactor.DelayedCall // looks at the first of served
}

func newIdleLoop(l *IdleListener, r *reactor.Reactor) *idleLoop {
	p := &idleLoop{l: l, r: r}
	p.expire.Init(r, p.expireFirst)
	p.look.Init(r, p.lookAround)
	return p
}

// closeWaiting closes the connections that wait.
func (p *idleLoop) closeWaiting() {
	for x := p.waiting.first; x != nil; x = x.next {
		_ = x.t.Close()
	}
}

// wait has x wait for a request.
func (p *idleLoop) wait(x *idleLink) {
	x.since = p.r.Now()
	p.waiting.add(x)
	p.n.Add(1)
	switch {
	case p.l.l.failure() != nil: // it has come too late
		_ = x.t.Close()
	case p.l.timeout > 0 && !p.expire.Active():
		p.expire.Reset(p.l.timeout)
	}
}

// leave ends the waiting of x.
func (p *idleLoop) leave(x *idleLink) {
	p.waiting.remove(x)
	p.n.Add(-1)
}

// expireFirst closes the connections that have waited for too long. The first has waited longest.
func (p *idleLoop) expireFirst() {
	now := p.r.Now()
	for x := p.waiting.first; x != nil; x = x.next {
		if left := x.since + p.l.timeout - now; left > 0 {
			p.expire.Reset(left)
			return
		}
		_ = x.t.Close()
	}
}

// serve has x stand among those that a goroutine has.
func (p *idleLoop) serve(x *idleLink) {
	p.served.add(x)
	if !p.look.Active() {
		p.look.Reset(p.l.linger)
	}
}

// atOnce is how many connections one call of lookAround looks at.
const atOnce = 1024

// lookAround looks at the connections that a goroutine has, each once in Linger.
func (p *idleLoop) lookAround() {
	n := p.served.n
	for range min(n, atOnce) {
		x := p.served.first
		p.served.remove(x)
		p.served.add(x)
		x.c.idle.look(x.c)
	}
	if n > 0 {
		p.look.Reset(p.l.linger / time.Duration((n+atOnce-1)/atOnce))
	}
}

// ring is a list of connections.
type ring struct {
	first, last *idleLink
	n           int
}

func (g *ring) add(x *idleLink) {
	x.prev = g.last
	if g.last != nil {
		g.last.next = x
	} else {
		g.first = x
	}
	g.last = x
	g.n++
}

func (g *ring) remove(x *idleLink) {
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		g.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	} else {
		g.last = x.prev
	}
	x.prev, x.next = nil, nil
	g.n--
}
