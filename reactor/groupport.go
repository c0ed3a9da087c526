package reactor

import (
	"errors"
	"slices"

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
	uses      *factoryUses // of the loop that has started the factory

	// Under Group.mu:
	parts    []*portPart // by loop; nil: that loop does not serve it
	former   PortStats   // of loops that have ended
	accepts  acceptMode
	home     int      // the loop to which the use of the factory belongs; unless spread, it accepts for all; or homeless
	on       *Reactor // that the factory was told its use belongs to; nil: that is on its way to home
	state    portState
	paused   bool
	arriving int // connections that one loop has accepted for another, and that are under way
	dones    []func(error)
	errs     []error
}

// homeless is GroupPort.home while no loop lives.
const homeless = -1

// acceptMode is how the loops of a port accept. It does not change after Listen, but from acceptHome to acceptLost.
type acceptMode uint8

const (
	acceptSpread acceptMode = iota // each has a listener
	acceptHome                     // one accepts for all
	acceptLost                     // the one that did is lost, and its socket was one of AdoptPort
)

// Group is the group that the port belongs to.
func (p *GroupPort) Group() *Group { return p.g }

// Addr is the address at which the loops listen, with the number that the system chose.
func (p *GroupPort) Addr() kernel.Addr { return p.addr }

// Factory is the factory of the port.
func (p *GroupPort) Factory() Factory { return p.factory }

// Spread tells whether each loop has a listener of its own. Otherwise one accepts for all.
func (p *GroupPort) Spread() bool {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	return p.accepts == acceptSpread
}

// Listening tells whether a loop listens, and StopListening was not called. Where one loop accepts for all, it is false from the loss of
// that loop until another one listens in its place. It is also true while limits or PauseAccepting let clients wait.
func (p *GroupPort) Listening() bool {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	return p.state == portListening && slices.ContainsFunc(p.parts, func(part *portPart) bool { return part != nil && part.listens })
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
	p.each(p.follow)
}

// follow has port pause or not, as the last call wanted it. Errands of several calls come to a loop in another order than the calls: an
// errand for the caller's own loop is done at once, before those that wait there. So none carries the wish of its call.
func (p *GroupPort) follow(port *Port) {
	p.g.mu.Lock()
	paused := p.paused
	p.g.mu.Unlock()
	if paused {
		port.PauseAccepting()
	} else {
		port.ResumeAccepting()
	}
}

// each calls fn with each part, on its loop. A part that is about to open has what was set before.
func (p *GroupPort) each(fn func(*Port)) {
	here := p.g.caller()
	for _, m := range p.g.live() {
		p.g.give(m, here, &errand{do: func(*Reactor) {
			if port := p.portOf(m.index); port != nil {
				fn(port)
			}
		}})
	}
}

// StopListening ends the port on all loops, as that of a [Port] does on one: connections that wait in the queues are
// accepted, those that were accepted go on, the sockets are closed and the factory stopped. Then done, if not nil, is called once,
// with the errors of all, on a loop that lives (GROUP-7). On a port that is being stopped, done is called at the same end; on a
// stopped one, later with nil. After the group has stopped, done gets nil before StopListening returns (THR-32). A stop of the port that the end of
// the group has overtaken is not told.
func (p *GroupPort) StopListening(done func(error)) {
	g := p.g
	g.mu.Lock()
	was := p.state
	if was != portStopped && done != nil {
		p.dones = append(p.dones, done)
	}
	if was == portListening {
		p.state = portStopping
	}
	all := g.liveLocked()
	g.mu.Unlock()
	switch {
	case was == portStopped && done != nil:
		g.giveAny(&errand{do: func(r *Reactor) { _ = r.guard("StopListening", func() { done(nil) }) }, ended: func(how errandEnd) {
			if how == errandNever {
				done(nil)
			}
		}})
	case was == portListening:
		here := g.caller()
		for _, m := range all {
			g.give(m, here, &errand{do: p.closePart, ended: func(errandEnd) { p.check() }})
		}
		p.check()
	}
}

// closePart begins to close the part of r.
func (p *GroupPort) closePart(r *Reactor) {
	p.g.mu.Lock()
	part := p.parts[r.member.index]
	begins := part != nil && part.state == partOpen
	if part != nil && part.state <= partOpen {
		part.state = partClosing // one that is about to open closes when it has, see openPart
	}
	p.g.mu.Unlock()
	if begins {
		part.again.Cancel()
		part.port.StopListening(func(err error) { p.closed(part, err) })
	}
}

// closed follows the end of a part's listener.
func (p *GroupPort) closed(part *portPart, err error) {
	p.g.mu.Lock()
	part.state = partClosed
	if err != nil {
		p.errs = append(p.errs, err)
	}
	p.g.mu.Unlock()
	p.check()
}

// check ends a stop for which nothing is waited any more, on the loop to which the factory belongs. It is called whenever something has
// ended that a stop waits for.
func (p *GroupPort) check() {
	p.g.mu.Lock()
	var home *member
	if p.quiet() && p.home != homeless {
		home = p.g.loops[p.home]
	}
	p.g.mu.Unlock()
	if home != nil {
		p.g.give(home, nil, &errand{do: p.finish}) // if it does not live, the end of it moves home, and checks again
	}
}

// quiet tells whether a stop waits for nothing. The caller has Group.mu.
func (p *GroupPort) quiet() bool {
	return p.state == portStopping && p.arriving == 0 &&
		!slices.ContainsFunc(p.parts, func(part *portPart) bool { return part != nil && part.state != partClosed })
}

// finish stops the factory and calls the done functions, unless that was done, or the factory is on its way to another loop.
func (p *GroupPort) finish(r *Reactor) {
	g := p.g
	g.mu.Lock()
	if !p.quiet() || p.on != r {
		g.mu.Unlock()
		return
	}
	p.state, p.on = portStopped, nil
	dones, errs := p.dones, p.errs
	p.dones, p.errs = nil, nil
	g.ports = slices.DeleteFunc(g.ports, func(q *GroupPort) bool { return q == p })
	g.mu.Unlock()
	err := errors.Join(append(errs, r.stopFactory(p.uses, p.factory, useGroup))...)
	for _, done := range dones {
		_ = r.guard("StopListening", func() { done(err) })
	}
}
