package reactor

import "errors"

// A port of a group has a home: the loop that counts the use of its factory, and that accepts for all unless each loop has a
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
	counts := p.home == r.member.index && p.on == nil
	if counts {
		p.on = r
	}
	at := p.addr
	if at.IsZero() {
		at = p.requested
	}
	g.mu.Unlock()
	if counts {
		r.countFactory(p.factory)
	}
	if _, err := p.openPart(r, at); err != nil && !errors.Is(err, ErrStopped) {
		p.tryAgain(r, err)
	}
	p.check()
}

// portsWithout follows the end of r, the reactor of m: homes of ports move. If no loop is left to which they could, their factories are
// stopped here.
func (g *Group) portsWithout(m *member, r *Reactor) {
	var left []*GroupPort
	for _, p := range g.portList() {
		if p.without(m, r) {
			left = append(left, p)
		}
	}
	if g.stateOf(m) != loopLeft { // the goroutine of one that is left behind goes on
		g.stopFactoriesOf(left, r)
	}
}

func (g *Group) stateOf(m *member) loopState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return m.state
}

// without follows the end of r, the reactor of m. It returns true if the port had its home there, and no loop can be the next.
func (p *GroupPort) without(m *member, r *Reactor) (last bool) {
	g := p.g
	g.mu.Lock()
	part := p.parts[m.index]
	if part != nil {
		c := part.stats()
		c.Open, c.Peers = 0, 0
		p.former.add(&c)
		p.parts[m.index] = nil
	}
	var to *member
	if p.home == m.index {
		p.home = homeless
		if to = g.lead(); to != nil {
			p.home = to.index
		}
		last = to == nil && !g.coming()
		if p.accepts == acceptHome && p.open != nil {
			p.accepts = acceptLost
		}
	}
	if p.on == r && !last {
		p.on = nil
	}
	g.mu.Unlock()
	if part != nil && part.port != nil && p.limits != nil {
		p.limits.forget(part.port.limits)
	}
	if to != nil {
		g.give(to, nil, &errand{do: p.attend})
	}
	p.check()
	return last
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
		moved := p.state != portStopped && p.on != r
		if moved {
			p.on = r
		}
		g.mu.Unlock()
		if moved {
			r.countFactory(p.factory)
		}
	}
	for _, p := range all {
		g.mu.Lock()
		was := p.state
		p.state = portStopped
		g.mu.Unlock()
		if was != portStopped {
			_ = r.stopFactory(p.factory) // it is logged, and nobody waits for it any more
		}
	}
}
