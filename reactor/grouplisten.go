package reactor

import (
	"errors"
	"fmt"
	"log/slog"

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
// loop. When it returns, that loop listens; the others follow, and a failure there is logged.
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
	p := &GroupPort{g: g, factory: f, requested: a, addr: a, cfg: cfg, open: open, parts: make([]*portPart, len(g.loops)), state: portListening}
	if err := p.shareLimits(); err != nil {
		return failed(err)
	}
	here := g.caller()
	on := here
	if on == nil {
		on = g.Lead()
	}
	if on == here || g.direct(on) {
		err = p.begin(on)
	} else {
		_, err = Ask(on, func() (struct{}, error) { return struct{}{}, p.begin(on) })
	}
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
		if with.g != p.g {
			panic("reactor: ShareLimits is a port of another group")
		}
		p.limits, p.with = with.limits, with
	default:
		panic("reactor: ShareLimits is a port of a reactor alone, and this one is of a group")
	}
	p.cfg.ShareLimits = nil
	return nil
}

// begin opens the port on r, and then on the other loops. It is called on r's goroutine.
func (p *GroupPort) begin(r *Reactor) error {
	g := p.g
	if l := life(r.life.Load()); l == lifeEnding || l == lifeStopped {
		return ErrStopped
	}
	if err := r.startFactory(p.factory); err != nil {
		return err
	}
	p.spread = p.open == nil && p.requested.Net != kernel.UNIX && len(g.loops) > 1 && r.inherit == nil
	p.home = r.member.index
	if err := p.openFirst(r); err != nil {
		_ = r.stopFactory(p.factory) // the first error says more
		return err
	}
	g.mu.Lock()
	g.ports = append(g.ports, p)
	all := g.liveLocked()
	g.mu.Unlock()
	for _, m := range all {
		if other := m.r.Load(); other != r {
			p.openLater(m, other, r)
		}
	}
	return nil
}

// openFirst opens the part of r, which says what the address is, and whether the kernel can spread it.
func (p *GroupPort) openFirst(r *Reactor) error {
	if p.spread && !p.cfg.ReusePort && p.requested.Port() != 0 {
		o := p.cfg.ListenOptions
		l, err := protect(r, "Control", func() (kernel.Listener, error) { return r.k.Listen(p.requested, &o) })
		if err != nil {
			return &OpError{Op: "listen", Local: p.requested, Err: err}
		}
		l.Close()
	}
	port, err := p.openPart(r, p.requested)
	if err != nil && p.spread && !p.cfg.ReusePort && errors.Is(err, kernel.ErrUnsupported) {
		p.spread = false
		port, err = p.openPart(r, p.requested)
	}
	if err == nil {
		p.addr = port.addr
	}
	return err
}

// openLater has the part of the loop r of m opened, on its goroutine. here is the loop in progress.
func (p *GroupPort) openLater(m *member, r, here *Reactor) {
	p.g.on(r, here, func() {
		at := p.addr
		if at.IsZero() {
			at = p.requested
		}
		if _, err := p.openPart(r, at); err != nil && !errors.Is(err, ErrStopped) {
			r.log.Error("a loop does not listen with the others", slog.Any("on", p.addr), slog.Any("err", err))
		}
	})
}

// openPart makes the part of r, at a. It listens if the loops have listeners of their own, or if r accepts for all.
func (p *GroupPort) openPart(r *Reactor, a kernel.Addr) (*Port, error) {
	g, i := p.g, r.member.index
	part := &portPart{of: p, index: i}
	cfg := p.cfg
	cfg.ReusePort = cfg.ReusePort || p.spread
	if p.with != nil {
		if other := p.with.portOf(i); other != nil {
			cfg.ShareLimits = other
		}
	}
	var open func(*ListenConfig) (kernel.Listener, error)
	if p.open != nil {
		open = func(c *ListenConfig) (kernel.Listener, error) { return p.open(r, c) }
	}
	port := r.newPort(a, p.factory, cfg, open)
	port.part, port.limits.shared = part, p.limits
	part.port = port
	g.mu.Lock()
	stopped := p.state != portListening
	port.paused = p.paused
	part.listens = p.spread || i == p.home
	part.hands = part.listens && !p.spread && len(g.loops) > 1
	g.mu.Unlock()
	if stopped {
		return nil, ErrStopped
	}
	if part.listens {
		if err := port.StartListening(); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	p.parts[i] = part
	g.mu.Unlock()
	return port, nil
}

// listenAgain opens the parts of r, which has taken the place of a loop that was lost. It is called on r's
// goroutine, or before r runs.
func (g *Group) listenAgain(m *member, r *Reactor) {
	g.mu.Lock()
	ports := append([]*GroupPort(nil), g.ports...)
	g.mu.Unlock()
	for _, p := range ports {
		if p.open == nil || p.home != m.index {
			p.openLater(m, r, r)
		}
	}
}

// portsWithout follows the end of r, the loop of m.
func (g *Group) portsWithout(m *member, r *Reactor) {
	g.mu.Lock()
	ports := append([]*GroupPort(nil), g.ports...)
	lead := g.lead()
	g.mu.Unlock()
	for _, p := range ports {
		p.without(m, r, lead)
	}
}

// without follows the end of r, the loop of m. If it was the one on which the factory was started, or that accepts
// for all, lead, which may be nil, takes its place.
func (p *GroupPort) without(m *member, r *Reactor, lead *member) {
	g := p.g
	g.mu.Lock()
	part := p.parts[m.index]
	p.parts[m.index] = nil
	home := p.home == m.index
	if home && lead != nil {
		p.home = lead.index
	}
	state := p.state
	g.mu.Unlock()
	if part != nil {
		p.gone(part)
	}
	switch {
	case !home:
	case lead == nil:
		if m.over || r.is(lifeEnding) {
			p.stopFactory(r)
		}
	default:
		to := lead.r.Load()
		to.Post(func() { to.countFactory(p.factory) })
		if state == portListening && !p.spread && p.open == nil {
			p.openLater(lead, to, nil)
		}
	}
}

// stopFactory stops the factory at the end of the last loop.
func (p *GroupPort) stopFactory(r *Reactor) {
	p.g.mu.Lock()
	was := p.factoryOver
	p.factoryOver = true
	p.g.mu.Unlock()
	if !was {
		_ = r.stopFactory(p.factory) // it is logged, and nobody waits for it any more
	}
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
