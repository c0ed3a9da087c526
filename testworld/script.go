package testworld

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Script is a scenario in the language that the package comment describes. Running it
// does not change it.
type Script struct {
	commands []command
	names    map[string]kind
	server   func(reactor.Factory) reactor.Factory // nil: no layer
	client   func(reactor.Factory) reactor.Factory
}

// Over is s with a layer such as TLS on every connection: server wraps the factory of each
// port, client that of each dial. Commands are then for the transport on top.
func (s *Script) Over(server, client func(reactor.Factory) reactor.Factory) *Script {
	over := *s
	over.server, over.client = server, client
	return &over
}

// Run runs the script and returns its transcript. It calls open to make each reactor, one
// or two, and passes a Config that open must use. The first reactor has the script's
// ports, the last one its dials. The reactors must not be in Run. The caller closes them.
//
// Run ends when all connections of the script have ended. It fails if that takes longer
// than Limit by the reactor's clock, or if a command cannot be carried out. Then the
// error names the line, and the transcript ends there.
func (s *Script) Run(reactors int, open func(reactor.Config) *reactor.Reactor) (transcript string, err error) {
	p := &play{script: s, byName: map[string]*group{}, timers: map[string]*reactor.DelayedCall{}}
	c := reactor.Config{
		ReadBuffer: 32 << 10, // tests run thousands of scripts
		Resolver:   names{},
		Panicked:   func(e *reactor.PanicError) { p.panics = append(p.panics, fmt.Sprint(e.Value)) },
	}
	for range reactors {
		p.reactors = append(p.reactors, open(c))
	}
	for i := 0; i < len(s.commands) && p.err == nil; i++ {
		p.do(s.commands[i], nil)
	}
	if p.err == nil {
		p.err = p.until(func() bool { return p.open() == nil }, func() string {
			return "the script has ended, and a connection of " + p.open().g.name + " has not"
		})
	}
	if p.err == nil {
		p.err = p.turn(3) // nothing more may come
	}
	return p.transcript(), p.err
}

// play is one run of a script.
type play struct {
	script   *Script
	reactors []*reactor.Reactor
	groups   []*group // in the order in which the script names them
	byName   map[string]*group
	timers   map[string]*reactor.DelayedCall
	said     []string
	panics   []string
	err      error
}

// group belongs to one name of the script. It holds a port and the ends it accepted, or
// the ends that dialled.
type group struct {
	p      *play
	name   string
	r      *reactor.Reactor
	ends   []*end
	hooks  []hook
	hidden []string
	opts   options

	port *reactor.Port
	self *end // notes the events of the port itself
}

// hook is a command that runs in a callback.
type hook struct {
	when when
	cmd  command
}

// group returns the group of that name.
func (p *play) group(name string) *group {
	g := p.byName[name]
	if g == nil {
		g = &group{p: p, name: name, r: p.reactors[0]}
		if p.script.names[name] == kindDial {
			g.r = p.reactors[len(p.reactors)-1]
		}
		g.self = &end{g: g}
		p.byName[name] = g
		p.groups = append(p.groups, g)
	}
	return g
}

// do runs a command. self is the end in whose callback it runs, or nil. Only the first
// error is kept.
func (p *play) do(c command, self *end) {
	if err := c.run(p, self); err != nil && p.err == nil {
		p.err = fmt.Errorf("line %d: %s: %w", c.line, c.verb, err)
	}
}

// reactorOf returns the reactor on which a command runs.
func (p *play) reactorOf(c command) *reactor.Reactor {
	if k := p.script.names[c.who]; k == kindDial || k == kindPort {
		return p.group(c.who).r
	}
	return p.reactors[0]
}

// idleRounds is how often several reactors are turned in vain before the first of them
// waits. Usually what one reactor did reaches the other at once.
const idleRounds = 100

// until turns the reactors until done returns true. If that takes too long, the error
// says what missing returns.
func (p *play) until(done func() bool, missing func() string) error {
	limit := p.reactors[0].Now() + Limit
	idle, before := 0, uint64(0)
	for p.err == nil {
		if done() {
			return nil
		}
		left := limit - p.reactors[0].Now()
		if left <= 0 {
			return fmt.Errorf("%s, after %v", missing(), Limit)
		}
		if now := progress(p.reactors); now != before {
			idle, before = 0, now
		}
		if idle++; len(p.reactors) > 1 {
			left = min(left, time.Millisecond)
			if idle <= idleRounds {
				left = 0
			}
		}
		for _, r := range p.reactors {
			if err := r.Turn(left); err != nil {
				return err
			}
		}
	}
	return p.err
}

// turn turns each reactor n times, without waiting.
func (p *play) turn(n int) error {
	for range n {
		for _, r := range p.reactors {
			if err := r.Turn(0); err != nil {
				return err
			}
		}
	}
	return nil
}

// open returns an end whose connection has not ended, or nil.
func (p *play) open() *end {
	for _, g := range p.groups {
		for _, e := range g.ends {
			if !e.over {
				return e
			}
		}
	}
	return nil
}

// each calls fn for the ends that a command about g applies to: the end in whose callback
// it runs, or all.
func (g *group) each(self *end, fn func(*end) error) error {
	ends := g.ends
	if self != nil && self.g == g && self != g.self {
		ends = []*end{self}
	}
	if len(ends) == 0 {
		return fmt.Errorf("there is no connection of %s yet: wait for it", g.name)
	}
	for _, e := range ends {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// connected is like each, for commands that need a transport.
func (g *group) connected(self *end, fn func(*end) error) error {
	return g.each(self, func(e *end) error {
		if e.t == nil {
			return fmt.Errorf("%s is not connected yet: wait for it", g.name)
		}
		return fn(e)
	})
}

// newEnd adds an end to g, for a connection or an attempt.
func (g *group) newEnd() *end {
	e := &end{g: g}
	g.ends = append(g.ends, e)
	return e
}

// listen opens the port.
func (g *group) listen() error {
	f := reactor.Factory(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return g.newEnd().built() }))
	if wrap := g.p.script.server; wrap != nil {
		f = wrap(f)
	}
	port, err := g.r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), f,
		&reactor.ListenConfig{StreamConfig: g.opts.stream})
	g.port = port
	return err
}

// dial dials once, to a port of the script or to a special target.
func (g *group) dial(where string) error {
	var to kernel.Addr
	switch where {
	case "refused":
		free, err := closedPort(g.r.Kernel())
		if err != nil {
			return err
		}
		to = free
	case "silent", "unknown":
		to = kernel.HostAddr(where, 1)
	default:
		port := g.p.group(where).port
		if port == nil {
			return fmt.Errorf("%s does not listen yet", where)
		}
		to = port.Addr()
	}
	e := g.newEnd()
	f := reactor.Factory(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return e.built() }))
	if wrap := g.p.script.client; wrap != nil {
		f = wrap(f)
	}
	o := &reactor.DialConfig{StreamConfig: g.opts.stream, Timeout: g.opts.timeout}
	e.c = g.r.Dial(to, f, o, e.dialled)
	return nil
}

// closedPort returns an address where nobody listens.
func closedPort(k kernel.Kernel) (kernel.Addr, error) {
	s, err := k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
	if err != nil {
		return kernel.Addr{}, err
	}
	return s.Local(), s.Close()
}

// names is the resolver of scripts. It never answers for "silent". It knows no other
// name.
type names struct{}

// Resolve implements reactor.Resolver.
func (names) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	if name == "silent" {
		return func() {}
	}
	cancelled := false
	r.Post(func() {
		if !cancelled {
			done(nil, kernel.ErrNoRoute)
		}
	})
	return func() { cancelled = true }
}

// transcript returns what happened: by name, in the order in which the script uses the
// names, and for each end in the order of its callbacks. The order of the ends of one
// name does not matter.
func (p *play) transcript() string {
	var b strings.Builder
	for _, g := range p.groups {
		if slices.Contains(g.hidden, "everything") {
			continue
		}
		var texts []string
		for _, e := range g.ends {
			texts = append(texts, e.log.text())
		}
		writeGroup(&b, g.name, texts)
		texts = texts[:0]
		for _, e := range g.ends {
			if t := e.produced.text(); t != "" {
				texts = append(texts, t)
			}
		}
		writeGroup(&b, g.name+" producing", texts)
		if t := g.self.log.text(); t != "" {
			writeGroup(&b, g.name+" port", []string{t})
		}
	}
	writeGroup(&b, "said", lines(p.said))
	slices.Sort(p.panics)
	writeGroup(&b, "panics", lines(p.panics))
	return b.String()
}

// lines returns one text with all lines of l, or none if l is empty.
func lines(l []string) []string {
	if len(l) == 0 {
		return nil
	}
	return []string{"  " + strings.Join(l, "\n  ") + "\n"}
}

// writeGroup writes texts under a title. Equal texts are written once, with their number.
func writeGroup(b *strings.Builder, title string, texts []string) {
	slices.Sort(texts)
	for len(texts) > 0 {
		n := 1
		for n < len(texts) && texts[n] == texts[0] {
			n++
		}
		b.WriteString(title)
		if n > 1 {
			fmt.Fprintf(b, ", %d times", n)
		}
		b.WriteString("\n" + texts[0])
		texts = texts[n:]
	}
}
