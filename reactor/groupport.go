package reactor

import (
	"errors"
	"sync"

	"github.com/whorl-go/whorl/kernel"
)

// GroupPort is a place at which all loops of a group listen, with the factory that serves it. Its methods are for any
// goroutine. What they change on another loop takes effect a little later.
type GroupPort struct {
	g         *Group
	factory   Factory
	requested kernel.Addr
	addr      kernel.Addr
	cfg       ListenConfig  // complete; without ShareLimits
	limits    *sharedLimits // nil: none
	with      *GroupPort    // of ShareLimits
	open      func(*Reactor, *ListenConfig) (kernel.Listener, error)
	spread    bool // each loop has a listener

	// Under Group.mu:
	parts       []*portPart // by loop; nil: that loop does not serve it
	former      PortStats   // of loops that have ended
	home        int         // the loop on which the factory was started; unless spread, it accepts for all
	state       portState
	paused      bool
	stopping    int // parts that have not stopped yet
	arriving    int // connections that one loop has accepted for another, and that are under way
	dones       []func(error)
	errs        []error
	factoryOver bool
}

// portPart is what a GroupPort has of a Port: a listener, or only the connections that another loop has accepted for it.
type portPart struct {
	of      *GroupPort
	index   int
	port    *Port
	listens bool
	hands   bool // what it accepts goes to the least loaded loop

	mu     sync.Mutex
	counts PortStats // of port, for other goroutines
}

// publish lets other goroutines see the counters of a port of a group.
func (p *Port) publish() {
	if p.part == nil {
		return
	}
	p.part.mu.Lock()
	p.part.counts = p.stats
	p.part.mu.Unlock()
}

// startFactory starts the factory, unless the group has done so.
func (p *Port) startFactory() error {
	if p.part != nil {
		return nil
	}
	return p.r.startFactory(p.factory)
}

// stopFactory is the reverse of startFactory.
func (p *Port) stopFactory() error {
	if p.part != nil {
		return nil
	}
	return p.r.stopFactory(p.factory)
}

// Group is the group that the port belongs to.
func (p *GroupPort) Group() *Group { return p.g }

// Addr is the address at which the loops listen, with the number that the system chose.
func (p *GroupPort) Addr() kernel.Addr { return p.addr }

// Factory is the factory of the port.
func (p *GroupPort) Factory() Factory { return p.factory }

// Spread tells whether each loop has a listener of its own. Otherwise one accepts for all.
func (p *GroupPort) Spread() bool { return p.spread }

// Listening tells whether the port is open: StopListening was not called, and a loop lives.
func (p *GroupPort) Listening() bool {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	return p.state == portListening && p.g.lead() != nil
}

// portOf is the part of a loop; nil if it has none.
func (p *GroupPort) portOf(index int) *Port {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	if part := p.parts[index]; part != nil {
		return part.port
	}
	return nil
}

// Stats is the sum of the counters of all loops (GROUP-6), those that are lost included. Open is what is open now.
// A loop publishes its counters when a connection of the port is accepted or lost.
func (p *GroupPort) Stats() PortStats {
	p.g.mu.Lock()
	s := p.former
	for _, part := range p.parts {
		if part != nil {
			c := part.stats()
			s.add(&c)
		}
	}
	p.g.mu.Unlock()
	if p.limits != nil {
		s.Peers = p.limits.peers()
	}
	return s
}

// StatsOf are the counters of one loop, as Stats has them. Without limits by peer, Peers is 0.
func (p *GroupPort) StatsOf(index int) PortStats {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	if part := p.parts[index]; part != nil {
		return part.stats()
	}
	return PortStats{}
}

func (t *portPart) stats() PortStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

func (s *PortStats) add(o *PortStats) {
	s.Accepted += o.Accepted
	s.Refused += o.Refused
	s.Failed += o.Failed
	s.Open += o.Open
	s.TooMany += o.TooMany
	s.TooManyOfPeer += o.TooManyOfPeer
	s.WaitedFull += o.WaitedFull
	s.WaitedRate += o.WaitedRate
	s.WaitedPaused += o.WaitedPaused
}

// PauseAccepting has all loops accept nobody until ResumeAccepting, as that of a [Port] (GROUP-7). A connection that another
// loop accepts before it hears of it is served.
func (p *GroupPort) PauseAccepting() { p.pause(true) }

// ResumeAccepting ends the pause.
func (p *GroupPort) ResumeAccepting() { p.pause(false) }

func (p *GroupPort) pause(paused bool) {
	p.g.mu.Lock()
	p.paused = paused
	p.g.mu.Unlock()
	p.each(func(port *Port) {
		if paused {
			port.PauseAccepting()
		} else {
			port.ResumeAccepting()
		}
	})
}

// each calls fn with each part, on its loop. A part that is about to open has what was set before.
func (p *GroupPort) each(fn func(*Port)) {
	here := p.g.caller()
	for _, m := range p.g.live() {
		i, r := m.index, m.r.Load()
		p.g.on(r, here, func() {
			if port := p.portOf(i); port != nil && port.r == r {
				fn(port)
			}
		})
	}
}

// StopListening ends the port on all loops, as that of a [Port] does on one: connections that wait in the queues are
// accepted, those that were accepted go on, the sockets are closed and the factory stopped. Then done, if not nil, is called once,
// with the errors of all, on a loop that lives (GROUP-7). On a port that is being stopped, done is called at the same end; on a
// stopped one, later with nil. After the group has stopped, done is not called.
func (p *GroupPort) StopListening(done func(error)) {
	g := p.g
	g.mu.Lock()
	was := p.state
	if was == portStopped {
		m := g.lead()
		g.mu.Unlock()
		if done != nil && m != nil {
			m.r.Load().Post(func() { done(nil) })
		}
		return
	}
	if done != nil {
		p.dones = append(p.dones, done)
	}
	if was == portListening {
		p.state = portStopping
		p.stopping = len(g.liveLocked())
	}
	all := g.liveLocked()
	g.mu.Unlock()
	if was == portStopping {
		return
	}
	here := g.caller()
	for _, m := range all {
		i, r := m.index, m.r.Load()
		g.on(r, here, func() {
			port := p.portOf(i)
			if port == nil || port.r != r {
				p.partStopped(nil)
			} else {
				port.StopListening(p.partStopped)
			}
		})
	}
}

// gone follows the end of a loop. Its part may be one of those that a stop waits for.
func (p *GroupPort) gone(part *portPart) {
	c := part.stats()
	c.Open, c.Peers = 0, 0
	p.g.mu.Lock()
	p.former.add(&c)
	stopping := p.state == portStopping
	p.g.mu.Unlock()
	if p.limits != nil {
		p.limits.forget(part.port.limits)
	}
	if stopping && part.port.state != portStopped {
		p.partStopped(nil)
	}
}

// partStopped is called when a loop does not listen any more. After the last one the factory is stopped.
func (p *GroupPort) partStopped(err error) {
	g := p.g
	g.mu.Lock()
	if err != nil {
		p.errs = append(p.errs, err)
	}
	p.stopping--
	home := p.quiet()
	g.mu.Unlock()
	if home != nil {
		home.Post(func() { p.finish(home) })
	}
}

// quiet is the loop that finishes a stop for which nothing is waited any more, nil before. The caller has g.mu.
func (p *GroupPort) quiet() *Reactor {
	if p.state != portStopping || p.stopping != 0 || p.arriving != 0 {
		return nil
	}
	return p.g.loops[p.home].r.Load()
}

// finish stops the factory and calls the done functions.
func (p *GroupPort) finish(r *Reactor) {
	g := p.g
	g.mu.Lock()
	p.state = portStopped
	dones, errs, over := p.dones, p.errs, p.factoryOver
	p.dones, p.errs, p.factoryOver = nil, nil, true
	for i, q := range g.ports {
		if q == p {
			g.ports = append(g.ports[:i:i], g.ports[i+1:]...)
			break
		}
	}
	g.mu.Unlock()
	if !over {
		errs = append(errs, r.stopFactory(p.factory))
	}
	err := errors.Join(errs...)
	for _, done := range dones {
		_ = r.guard("StopListening", func() { done(err) })
	}
}
