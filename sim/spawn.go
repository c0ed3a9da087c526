package sim

import (
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

var _ kernel.Spawner = (*simKernel)(nil)

// children are the programs that others have started.
type children struct {
	random     random
	registered map[string]func(*Program)
	live       []*Host // in the order in which they were started; a new slice after each change
	turning    bool    // a kernel that drives itself turns one
}

// Program registers a program, which every program of the network can start as a child: by package process, or by the
// [kernel.Spawner] of its kernel. name is a path, such as "/bin/worker", or a bare name. main is called for each child, on
// the child's own reactor, in its first turn. It registers callbacks there and returns, as the program of [Host.Start] does. A second call with the same name
// replaces the program for children that are started later.
func (n *Net) Program(name string, main func(p *Program)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.children.registered == nil {
		n.children.registered = map[string]func(*Program){}
	}
	n.children.registered[name] = main
}

// startDelay is how long the system takes at most until a child runs.
const startDelay = 2 * time.Millisecond

// LookPath is kernel.Spawner: it finds the names given to Net.Program. A bare name is also found in /bin.
func (k *simKernel) LookPath(name string) (string, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	registered := k.n.children.registered
	switch slash := strings.Contains(name, "/"); {
	case registered[name] != nil:
		return name, nil
	case slash:
		return "", &exec.Error{Name: name, Err: fs.ErrNotExist}
	case name != "" && registered["/bin/"+name] != nil:
		return "/bin/" + name, nil
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// Spawn is kernel.Spawner. The child is a program on the machine of k, which begins a little later. Every directory is there. A Credential, Limits and a Terminal are
// kernel.ErrUnsupported. A GivenFile is a number of [kernel.Descriptors].
func (k *simKernel) Spawn(c *kernel.ChildCommand) (kernel.Child, error) {
	if err := kernel.CheckSpawn(c); err != nil {
		return nil, err
	}
	n := k.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := k.spawnable(c); err != nil {
		return nil, err
	}
	had := k.files
	if err := k.takeFiles(c); err != nil {
		k.files = had
		return nil, err
	}
	p := n.newProc(k, c)
	x := &child{p: p, s: &sock{state: open, proc: p}, leads: c.Group || c.Session, pipes: map[int]*pipeConn{}}
	k.own(x.s)
	p.handle = x.s
	for _, f := range c.Files {
		switch f.Kind {
		case kernel.ReadPipe, kernel.WritePipe:
			x.pipes[f.Number] = k.pipeTo(p, f)
		case kernel.NullFile:
			p.has(f.Number, p.h.k.null())
		case kernel.GivenFile:
			p.has(f.Number, k.numbers[f.FD])
		}
	}
	for _, f := range c.Files {
		if f.Kind == kernel.SameFile {
			p.has(f.Number, p.h.k.numbers[f.FD])
		}
	}
	n.children.live = append(slices.Clone(n.children.live), p.h)
	p.h.busy = n.now + before(&n.children.random, startDelay)
	n.noteChild(OpSpawn, p, p.h.k.pid)
	n.rouse()
	return x, nil
}

// spawnable returns why c cannot be started.
func (k *simKernel) spawnable(c *kernel.ChildCommand) error {
	kids := &k.n.children
	unsupported := func(op, name string) error {
		return &kernel.SpawnError{Op: op, Name: name, Err: kernel.ErrUnsupported}
	}
	switch {
	case k.closed:
		return kernel.ErrClosed
	case kids.registered[c.Path] == nil:
		return noProgram(c.Path)
	case c.Terminal:
		return unsupported("descriptor", "terminal")
	case c.Credential != nil:
		return unsupported("exec", "credential")
	case len(c.Limits) > 0:
		return unsupported("limit", "limits")
	}
	for _, f := range c.Files {
		if f.Kind == kernel.GivenFile && k.numbers[f.FD] == nil {
			return &kernel.SpawnError{Op: "descriptor", Name: f.Kind.String(), Err: fail("descriptor", kernel.ErrBadDescriptor)}
		}
	}
	if !kids.random.chance(k.n.Options.Spawn) {
		return nil
	}
	if kids.random.next()&3 == 0 {
		return noProgram(c.Path)
	}
	return &kernel.SpawnError{Op: "exec", Name: c.Path, Err: &kernel.SysError{Op: "fork", Errno: syscall.EAGAIN, Kind: kernel.ErrTooManyProcesses}}
}

func noProgram(path string) error {
	return &kernel.SpawnError{Op: "exec", Name: path, Err: &kernel.SysError{Op: "exec", Errno: syscall.ENOENT}}
}

// takeFiles takes the descriptors that Spawn needs: one for the child, and one for each pipe.
func (k *simKernel) takeFiles(c *kernel.ChildCommand) error {
	err := k.file("pidfd_open")
	for _, f := range c.Files {
		if err == nil && (f.Kind == kernel.ReadPipe || f.Kind == kernel.WritePipe) {
			err = k.file("pipe")
		}
	}
	if err != nil {
		return &kernel.SpawnError{Op: "pipe", Name: c.Path, Err: err}
	}
	return nil
}

// touchAll has every reactor look at what was posted meanwhile.
func (n *Net) touchAll() {
	for _, h := range n.hosts {
		h.touch()
	}
	for _, h := range n.children.live {
		h.touch()
	}
}

// everyProgram are the hosts, and then the children that run.
func (n *Net) everyProgram() []*Host {
	if len(n.children.live) == 0 {
		return n.hosts
	}
	return slices.Concat(n.hosts, n.children.live)
}

// program is one of everyProgram.
func (n *Net) program(i int) *Host {
	if i < len(n.hosts) {
		return n.hosts[i]
	}
	return n.children.live[i-len(n.hosts)]
}

// nextOfChildren is when a child has something to do next.
func (n *Net) nextOfChildren() time.Duration {
	next := kernel.Forever
	for _, h := range n.children.live {
		if h.runs() {
			next = min(next, max(h.k.due(), h.busy))
		}
	}
	return next
}

// turnChild turns a child that has something to do now, for a kernel that drives itself. It returns false if there is none. It takes
// as long as a Wait at least, so that time passes for a child that always has something to do.
func (n *Net) turnChild() bool {
	if n.children.turning {
		return false // on another goroutine, which tells when it is over
	}
	live := n.children.live
	i := slices.IndexFunc(live, func(h *Host) bool { return h.runs() && h.busy <= n.now && h.k.pending() })
	if i < 0 {
		return false
	}
	h := live[i]
	if at := slices.Index(n.children.live, h); at >= 0 { // the next one first, the next time
		n.children.live = append(slices.Concat(live[:i], live[i+1:]), h)
	}
	n.children.turning = true
	defer func() {
		n.children.turning = false
		n.now += callTime
		n.rouse()
	}()
	n.turnHost(h)
	return true
}

// noteChild enters what happened to a child, with a number.
func (n *Net) noteChild(o Op, p *proc, m int) {
	n.trace.add(n.KeepTrace, p.h.id, line{at: n.now, op: o, host: p.h.name, n: m})
}

// killChild kills a child that is drawn, as the system does when memory is short.
func (x *nemesis) killChild(r *random) fault {
	drawn := r.next()
	return fault{0, func() (end func()) {
		n := x.n
		n.mu.Lock()
		defer n.mu.Unlock()
		if live := n.children.live; len(live) > 0 {
			n.killed(live[drawn%uint64(len(live))].proc, syscall.SIGKILL)
		}
		return nil
	}}
}

// onlyWithPrograms is rate if there are programs for children. Otherwise nothing is scheduled, and runs are as if the class did not exist.
func (x *nemesis) onlyWithPrograms(rate float64) float64 {
	x.n.mu.Lock()
	defer x.n.mu.Unlock()
	if len(x.n.children.registered) == 0 {
		return 0
	}
	return rate
}
