package reactor

import "errors"

// A port of a group has a home: the loop that stops its factory in the end, and that accepts for all unless each loop has a
// listener. When that loop is lost, home moves to the first that lives. If none lives, it waits for the next that starts.

// attendAll makes what the ports of the group are to have on r, which has been started anew. It is called on r's
// goroutine, or before r runs.
func (g *Group) attendAll(r *Reactor) {
	for _, p := range g.portList() {
		p.attend(r)
	}
}

func (g *Group) portList() []*GroupPort {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]*GroupPort(nil), g.ports...)
}

// attend makes what the port is to have on r and does not have: its part, a listener, and the use of the factory. It is called on r's goroutine, or
// before r runs.
func (p *GroupPort) attend(r *Reactor) {
	g := p.g
	g.mu.Lock()
	if p.state == portStopped {
		g.mu.Unlock()
		return
	}
	if p.home == homeless {
		p.home = r.member.index
	}
	takes := p.home == r.member.index && p.on == nil
	if takes {
		p.on = r
	}
	at := p.addr
	if at.IsZero() {
		at = p.requested
	}
	g.mu.Unlock()
	if takes {
		r.takeFactory(p.uses, p.factory)
	}
	if _, err := p.openPart(r, at); err != nil && !errors.Is(err, ErrStopped) {
		p.tryAgain(r, err)
	}
	p.check()
}

// portsWithout follows the end of r, the reactor of m: homes of ports move. If no loop is left to which they could, their factories are
// stopped here. All ports move at one moment, and so to one loop: they may have a factory in common.
func (g *Group) portsWithout(m *member, r *Reactor) {
	var gone []*portPart
	var moved, last []*GroupPort
	g.mu.Lock()
	all := append([]*GroupPort(nil), g.ports...)
	to, left := g.lead(), m.state == loopLeft
	for _, p := range all {
		gone = p.dropPart(m, gone)
		switch {
		case p.home != m.index:
		case to != nil:
			moved = append(moved, p)
			p.home, p.on = to.index, nil
		default:
			if p.home = homeless; g.coming() {
				p.on = nil
			} else {
				last = append(last, p)
			}
		}
	}
	g.mu.Unlock()
	if !left { // the goroutine of one that is left behind goes on
		r.factories.loopLost() // before another loop may end a port
	}
	for _, part := range gone {
		if limits := part.of.limits; part.port != nil && limits != nil {
			limits.forget(part.port.limits)
		}
	}
	for _, p := range moved {
		g.give(to, nil, &errand{do: p.attend})
	}
	for _, p := range all {
		p.check()
	}
	if !left {
		g.stopFactoriesOf(last, r)
	}
}

func (g *Group) stateOf(m *member) loopState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return m.state
}

// dropPart takes from p the part of m, whose loop has ended. It appends the part to gone. The caller has Group.mu.
func (p *GroupPort) dropPart(m *member, gone []*portPart) []*portPart {
	if p.home == m.index && p.accepts == acceptHome && p.open != nil {
		p.accepts = acceptLost
	}
	part := p.parts[m.index]
	if part == nil {
		return gone
	}
	c := part.stats()
	c.Open, c.Peers = 0, 0
	p.former.add(&c)
	p.parts[m.index] = nil
	return append(gone, part)
}

// stopFactories stops what nobody has stopped, when all loops are over.
func (g *Group) stopFactories() {
	for i := range g.loops {
		if r := g.Loop(i); r != nil && g.stateOf(g.loops[i]) != loopLeft {
			g.stopFactoriesOf(g.portList(), r)
			return
		}
	}
}

// stopFactoriesOf stops the factories of ports that no loop serves any more, on the goroutine of r, or when that is over.
func (g *Group) stopFactoriesOf(all []*GroupPort, r *Reactor) {
	for _, p := range all {
		g.mu.Lock()
		was, on := p.state, p.on
		p.state, p.on = portStopped, nil
		g.mu.Unlock()
		if was == portStopped {
			continue
		}
		if on != r {
			r.takeFactory(p.uses, p.factory)
		}
		_ = r.stopFactory(p.uses, p.factory, useGroup) // it is logged, and nobody waits for it any more
	}
}
