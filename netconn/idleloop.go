package netconn

import (
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/reactor"
)

// idleLoop is what an IdleListener has on one loop. It is for the loop's goroutine.
type idleLoop struct {
	l               *IdleListener
	r               *reactor.Reactor
	waiting, served linked.List[idleLink]
	n               atomic.Int64        // length of waiting, for other goroutines
	expire          reactor.DelayedCall // closes the first of waiting when its time is over
	look            reactor.DelayedCall // looks at the first of served
}

func newIdleLoop(l *IdleListener, r *reactor.Reactor) *idleLoop {
	p := &idleLoop{l: l, r: r, waiting: linked.New(linksOf), served: linked.New(linksOf)}
	p.expire.Init(r, p.expireFirst)
	p.look.Init(r, p.lookAround)
	return p
}

// closeWaiting closes the connections that wait.
func (p *idleLoop) closeWaiting() {
	for x := p.waiting.First(); x != nil; x = p.waiting.Next(x) {
		_ = x.t.Close()
	}
}

// wait has x wait for a request.
func (p *idleLoop) wait(x *idleLink) {
	x.since = p.r.Now()
	p.waiting.Add(x)
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
	p.waiting.Remove(x)
	p.n.Add(-1)
}

// expireFirst closes the connections that have waited for too long. The first has waited longest.
func (p *idleLoop) expireFirst() {
	now := p.r.Now()
	for x := p.waiting.First(); x != nil; x = p.waiting.Next(x) {
		if left := x.since + p.l.timeout - now; left > 0 {
			p.expire.Reset(left)
			return
		}
		_ = x.t.Close()
	}
}

// serve has x stand among those that a goroutine has.
func (p *idleLoop) serve(x *idleLink) {
	p.served.Add(x)
	if !p.look.Active() {
		p.look.Reset(p.l.linger)
	}
}

// atOnce is how many connections one call of lookAround looks at.
const atOnce = 1024

// lookAround looks at the connections that a goroutine has, each once in Linger.
func (p *idleLoop) lookAround() {
	n := p.served.Len()
	for range min(n, atOnce) {
		x := p.served.First()
		p.served.Remove(x)
		p.served.Add(x)
		x.c.idle.look(x.c)
	}
	if n > 0 {
		p.look.Reset(p.l.linger / time.Duration((n+atOnce-1)/atOnce))
	}
}

// linksOf are those of the list in which x stands.
func linksOf(x *idleLink) *linked.Links[idleLink] { return &x.links }
