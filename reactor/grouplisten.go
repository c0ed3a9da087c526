package reactor

import (
	"errors"
	"fmt"

	"github.com/whorl-go/whorl/kernel"
)

// Listen listens at a on all loops of the group, as [Reactor.Listen] does on one (GROUP-2). Where the kernels have
// ListenOptions.ReusePort, each loop has a listener of its own, and the system shares the connections out among them. Elsewhere, and
// at a [kernel.UNIXAddr], one loop accepts all, and hands each to the loop that has the fewest connections, before its first callback.
// Port 0 is one free port, the same on all loops. Limits of o hold for all loops together (GROUP-5).
//
// f is called on all loops, on several at a time; what it and its protocols share needs a lock. A factory for each loop, with
// nothing shared, is what Setup of [GroupConfig] is for, with Listen of each reactor and ReusePort. Only StartFactory and StopFactory are
// called once, on the loop that the error of Listen comes from: the caller's if it is one, else the first.
//
// So that two programs do not share a port by accident, the address is bound without ReusePort first, and that listener is closed at
// once; o.ReusePort leaves this out. Control of o is called for it too.
//
// Listen may be called before Run, in a callback of one of the loops, and from any other goroutine, which then waits for a
// loop. When it returns, that loop listens; the others follow. One that cannot listen then, or in place of
// a lost one, logs why, and tries again: after 50 ms at first, and each time after twice as long, up to 10 s.
func (g *Group) Listen(a kernel.Addr, f Factory, o *ListenConfig) (*GroupPort, error) {
	return g.listen(a, f, o, nil)
}

// AdoptPort makes a port of a socket that listens already, as [Reactor.AdoptPort] does. One loop accepts for all. When that one is
// lost, the port is: fd may be closed by then.
func (g *Group) AdoptPort(fd int, f Factory, o *ListenConfig) (*GroupPort, error) {
	return g.listen(kernel.Addr{}, f, o, func(r *Reactor, c *ListenConfig) (kernel.Listener, error) {
		a, err := r.adopter()
		if err != nil {
			return nil, err
		}
		return a.AdoptListener(fd, &c.ListenOptions)
	})
}

func (g *Group) listen(a kernel.Addr, f Factory, o *ListenConfig, open func(*Reactor, *ListenConfig) (kernel.Listener, error)) (*GroupPort, error) {
	failed := func(err error) (*GroupPort, error) { return nil, &OpError{Op: "listen", Local: a, Err: err} }
	cfg, err := o.complete()
	if err != nil {
		return failed(err)
	}
	p := &GroupPort{g: g, factory: f, requested: a, addr: a, cfg: cfg, open: open, parts: make([]*portPart, len(g.loops)), state: portListening, home: homeless}
	if err := p.shareLimits(); err != nil {
		return failed(err)
	}
	err = g.InOne(p.begin)
	if err != nil {
		var op *OpError
		if errors.As(err, &op) {
			return nil, err
		}
		return failed(err)
	}
	return p, nil
}

// shareLimits finds the limits of p.
func (p *GroupPort) shareLimits() error {
	switch with := p.cfg.ShareLimits.(type) {
	case nil:
		p.limits = newSharedLimits(p.cfg.PortLimits)
	case *GroupPort:
		switch {
		case with == nil:
			p.limits = newSharedLimits(p.cfg.PortLimits)
		case with.g != p.g:
			panic("reactor: ShareLimits is a port of another group")
		default:
			p.limits, p.with = with.limits, with
		}
	default:
		panic("reactor: ShareLimits is a port of a reactor alone, and this one is of a group")
	}
	p.cfg.ShareLimits = nil
	return nil
}

// begin opens the port on r, and then on the other loops. It is called on r's goroutine.
func (p *GroupPort) begin(r *Reactor) error {
	g := p.g
	if r.Ending() {
		return ErrStopped
	}
	if err := r.startFactory(p.factory, useGroup); err != nil {
		return err
	}
	p.accepts = acceptHome
	if p.open == nil && p.requested.Net != kernel.UNIX && len(g.loops) > 1 && r.inherit == nil {
		p.accepts = acceptSpread
	}
	p.home, p.on, p.uses = r.member.index, r, r.factories
	if err := p.openFirst(r); err != nil {
		_ = r.stopFactory(r.factories, p.factory, useGroup) // the first error says more
		return err
	}
	g.mu.Lock()
	g.ports = append(g.ports, p)
	all := g.liveLocked()
	g.mu.Unlock()
	for _, m := range all {
		if m != r.member {
			g.give(m, r, &errand{do: p.attend})
		}
	}
	return nil
}

// openFirst opens the part of r, which says what the address is, and whether the kernel can spread it.
func (p *GroupPort) openFirst(r *Reactor) error {
	spread := p.accepts == acceptSpread
	if spread && !p.cfg.ReusePort && p.requested.Port() != 0 {
		o := p.cfg.ListenOptions
		l, err := protect(r, "Control", func() (kernel.Listener, error) { return r.k.Listen(p.requested, &o) })
		if err != nil {
			return &OpError{Op: "listen", Local: p.requested, Err: err}
		}
		l.Close()
	}
	port, err := p.openPart(r, p.requested)
	if err != nil && spread && !p.cfg.ReusePort && errors.Is(err, kernel.ErrUnsupported) {
		p.accepts, p.parts[r.member.index] = acceptHome, nil
		port, err = p.openPart(r, p.requested)
	}
	if err == nil {
		p.addr = port.addr
	}
	return err
}

// openPart makes the part of r, at a, or has the one that there is listen, if it does not and should.
func (p *GroupPort) openPart(r *Reactor, a kernel.Addr) (*Port, error) {
	g, i := p.g, r.member.index
	g.mu.Lock()
	part := p.parts[i]
	listens := p.accepts == acceptSpread || p.accepts == acceptHome && i == p.home
	switch {
	case p.state != portListening:
		g.mu.Unlock()
		return nil, ErrStopped
	case part != nil && (part.listens || !listens):
		g.mu.Unlock()
		return part.port, nil
	case part == nil:
		part = &portPart{of: p, index: i}
	}
	part.state = partOpening
	part.hands = listens && p.accepts == acceptHome && len(g.loops) > 1
	p.parts[i] = part
	g.mu.Unlock()
	if part.port == nil {
		p.newPart(r, part, a)
	}
	var err error
	if listens {
		err = part.port.StartListening()
	}
	g.mu.Lock()
	closes := part.state == partClosing // by Control
	if !closes {
		part.state, part.listens = partOpen, listens && err == nil
	}
	g.mu.Unlock()
	if closes {
		part.port.StopListening(func(err error) { p.closed(part, err) })
		return nil, ErrStopped
	}
	if err != nil {
		return nil, err
	}
	g.steerPort(part)
	return part.port, nil
}

// newPart makes the port of part, on r. It does not listen yet.
func (p *GroupPort) newPart(r *Reactor, part *portPart, a kernel.Addr) {
	cfg := p.cfg
	cfg.ReusePort = cfg.ReusePort || p.accepts == acceptSpread
	if p.with != nil {
		if other := p.with.portOf(part.index); other != nil {
			cfg.ShareLimits = other
		}
	}
	var open func(*ListenConfig) (kernel.Listener, error)
	if p.open != nil {
		open = func(c *ListenConfig) (kernel.Listener, error) { return p.open(r, c) }
	}
	port := r.newPort(a, p.factory, cfg, open)
	port.part, port.limits.shared = part, p.limits
	part.again.Init(r, func() { p.attend(r) })
	p.g.mu.Lock()
	port.paused = p.paused
	part.port = port
	p.g.mu.Unlock()
}

// String shows the factory, and while it listens the port number or the quoted path, and how many loops listen.
func (p *GroupPort) String() string {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	if p.state != portListening {
		return fmt.Sprintf("<%s (not listening)>", LogPrefixOf(p.factory))
	}
	return fmt.Sprintf("<%s on %s, %d loops>", LogPrefixOf(p.factory), placeOf(p.addr), len(p.parts))
}
