package sim

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Program is one child, as the function given to [Net.Program] sees it. Its methods are for the child's callbacks.
type Program struct {
	// Args and Env are those of the kernel.ChildCommand, and Dir too.
	Args, Env []string
	Dir       string

	p     *proc
	conns map[int]kernel.Conn
}

// proc is a child in the system.
type proc struct {
	h       *Host
	home    *Host // the host whose program has started it, or started the one that has
	handle  *sock // of the parent; nil: it has closed it, or is gone
	group   *group
	code    int // what it returns when its reactor ends
	exited  bool
	visible bool // the parent may know
	how     kernel.Exit
}

// group is a process group.
type group struct{ members []*proc }

// newProc makes the child of k.
func (n *Net) newProc(k *simKernel, c *kernel.ChildCommand) *proc {
	h := k.h
	o := &Host{n: n, id: h.id, ip4: h.ip4, ip6: h.ip6, up: true, ports: h.ports, udp: h.udp, names: h.names, locks: h.locks, clock: h.clock}
	o.name = c.Path[strings.LastIndexByte(c.Path, '/')+1:] + "." + strconv.Itoa(n.programs+1)
	p := &proc{h: o, home: h, group: k.group}
	if h.proc != nil {
		p.home = h.proc.home
	}
	if c.Session || c.Group || p.group == nil {
		p.group = &group{}
	}
	p.group.members = append(p.group.members, p)
	prog := &Program{Args: slices.Clone(c.Args), Env: slices.Clone(c.Env), Dir: c.Dir, p: p, conns: map[int]kernel.Conn{}}
	main := n.children.registered[c.Path]
	o.proc, o.program = p, func(*Host) { main(prog) }
	if h.machine == nil {
		h.machine = &machine{programs: []*Host{h}}
	}
	o.machine = h.machine
	h.machine.programs = append(h.machine.programs, o)
	for _, x := range h.machine.programs {
		x.shared = true
	}
	o.boot()
	o.k.group = p.group
	return p
}

// readiness is that of the handle.
func (p *proc) readiness() kernel.Ready {
	if p.visible {
		return kernel.Readable
	}
	return 0
}

// has gives the child the file f as a number.
func (p *proc) has(fd int, f *sock) {
	k := p.h.k
	if k.numbers == nil {
		k.numbers = map[int]*sock{}
	}
	k.numbers[fd] = f
	k.files++
	f.holds++
}

// exit ends the child: what it has open is closed, and a little later its parent may know.
func (p *proc) exit(e kernel.Exit) {
	n := p.h.n
	if p.exited {
		return
	}
	p.how = e
	n.noteChild(OpExit, p, int(e.Raw))
	p.h.k.vanish(true)
	p.leave()
	if p.handle == nil {
		return
	}
	kids := &n.children.random
	at := n.now
	if kids.next()&1 == 0 {
		at += before(kids, 5*time.Millisecond)
	}
	n.schedule(at, kids.next()|1<<63, event{what: ready, fn: func() {
		p.visible = true
		if p.handle != nil {
			p.handle.notify()
		}
	}})
}

// leave takes the child, which has ended, out of the machine.
func (p *proc) leave() {
	n, h := p.h.n, p.h
	is := func(o *Host) bool { return o == h }
	p.exited, h.up = true, false
	n.children.live = slices.DeleteFunc(slices.Clone(n.children.live), is)
	h.machine.programs = slices.DeleteFunc(slices.Clone(h.machine.programs), is)
	p.group.members = slices.DeleteFunc(slices.Clone(p.group.members), func(o *proc) bool { return o == p })
}

// killed ends p by a signal.
func (n *Net) killed(p *proc, s syscall.Signal) {
	p.exit(kernel.Exit{Code: -1, Signal: s, Raw: uint32(s)})
}

// send sends s to p. It returns the functions that are to be called without the lock, because p has asked for s.
func (p *proc) send(s syscall.Signal) []func(os.Signal) {
	n, h := p.h.n, p.h
	if p.exited || s == 0 {
		return nil
	}
	n.noteChild(OpSignal, p, int(s))
	action := defaultAction(s)
	switch takers := h.k.takers(s, nil); {
	case s == syscall.SIGKILL:
		n.killed(p, s)
	case action == continues:
		var fns []func(os.Signal)
		waiting := append(h.signals, s)
		h.paused, h.signals = false, nil
		h.touch()
		for _, w := range waiting {
			if w != s {
				fns = append(fns, p.send(w.(syscall.Signal))...)
			}
		}
		return append(fns, takers...)
	case h.paused:
		h.signals = append(h.signals, s)
	case takers != nil:
		h.touch()
		return takers
	case action == stops:
		h.paused = true
	case action == ends:
		n.killed(p, s)
	}
	return nil
}

// action is what a signal does to a program that has not asked for it.
type action uint8

const (
	ends action = iota
	nothing
	stops
	continues
)

// Host is the child's program on its machine, with a name, a Kernel and a Reactor of its own. Kill is SIGKILL; Start, Restart and
// GracefulRestart are not for it.
func (p *Program) Host() *Host { return p.p.h }

// Reactor is the reactor of the child.
func (p *Program) Reactor() *reactor.Reactor { return p.p.h.Reactor }

// Pid is the number of the child.
func (p *Program) Pid() int { return p.p.h.k.pid }

// Getenv is the value of a variable in Env; "" if there is none.
func (p *Program) Getenv(name string) string {
	for _, e := range p.Env {
		if k, v, ok := strings.Cut(e, "="); ok && k == name {
			return v
		}
	}
	return ""
}

// Conn is the descriptor fd, to be read or written. It is nil if the child has no such descriptor, or one that is no stream. A second call returns the same. Until the first
// call, and until CloseFile, the descriptor is open, and children of the child can have it as a GivenFile.
func (p *Program) Conn(fd int) kernel.Conn {
	if c := p.conns[fd]; c != nil {
		return c
	}
	h := p.p.h
	k := h.k
	h.n.mu.Lock()
	f := k.numbers[fd]
	if f != nil && f.pipe != nil {
		p.conns[fd] = k.pipeHandle(f)
		k.closeNumber(fd)
		k.files++ // it has become that of the conn
		h.n.mu.Unlock()
		return p.conns[fd]
	}
	h.n.mu.Unlock()
	c, err := k.AdoptConn(fd, nil)
	if err != nil {
		return nil
	}
	_ = k.CloseDescriptor(fd)
	p.conns[fd] = c
	return c
}

// CloseFile closes the descriptor fd, if it is open and Conn has not been called for it.
func (p *Program) CloseFile(fd int) { _ = p.p.h.k.CloseDescriptor(fd) }

// Attach connects proto to the descriptor fd, as [reactor.Reactor.Attach] does. Without such a descriptor the error is kernel.ErrBadDescriptor.
func (p *Program) Attach(fd int, proto reactor.Protocol) (*reactor.Stream, error) {
	c := p.Conn(fd)
	if c == nil {
		return nil, kernel.ErrBadDescriptor
	}
	return p.Reactor().Attach(c, proto, nil)
}

// Handle has fn called when a signal s comes, as Notify of [kernel.Signals] does, in place of what the signal does otherwise. A nil fn ignores it. SIGKILL
// cannot be handled. Without Handle a signal ends the child, if it ends programs of the system.
func (p *Program) Handle(s os.Signal, fn func()) {
	_ = p.p.h.k.Notify(func(os.Signal) {
		if fn != nil {
			p.Reactor().Post(fn)
		}
	}, s)
}

// Exit ends the child with a code of 0 to 255, as os.Exit does: nothing of it is called any more, except the rest of the present turn. What it has written and its
// streams have not sent is lost. A child whose reactor stops exits too, with the code 0 or that of ExitCode.
func (p *Program) Exit(code int) {
	n := p.p.h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	p.p.exit(kernel.Exit{Code: code & 255, Raw: uint32(code&255) << 8})
}

// ExitCode sets the code with which the child exits when its reactor stops.
func (p *Program) ExitCode(code int) { p.p.code = code & 255 }
