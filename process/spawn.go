package process

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Spawn starts the program of cmd and connects it to p, whose ChildMade has been called when Spawn returns. p may be nil if the child has no
// pipes and no terminal (PROC-18). Spawn is for the loop's goroutine, or before the reactor runs. It takes as long as the system needs to
// start a program, about a millisecond. If the process ignores signals, they are caught meanwhile, and ignored again afterwards: signal.Notify for one of them
// by another goroutine at the same moment can be undone.
//
// An error is an [*reactor.OpError] with Op "spawn", and nothing is left then: no process, no descriptor, no callback. The cause is one of package os/exec
// (exec.ErrNotFound, exec.ErrDot), a [*kernel.SpawnError] that is fs.ErrNotExist, fs.ErrPermission, kernel.ErrTooManyProcesses,
// kernel.ErrTooManyFiles, kernel.ErrBadDescriptor ..., a [*kernel.OptionError] for a value that cannot be, such as an argument with a NUL byte; ErrProtocol, ErrTerminalFiles,
// reactor.ErrMarks; reactor.ErrStopped if the reactor is ending; kernel.ErrUnsupported if its kernel cannot start programs.
func Spawn(r *reactor.Reactor, cmd *Command, p Protocol) (*Child, error) {
	c, err := spawn(r, cmd, p)
	if err != nil {
		return nil, &reactor.OpError{Op: "spawn", Err: err}
	}
	return c, nil
}

var errNoPrograms = kernel.Sentinel("this kernel starts no programs", kernel.ErrUnsupported)

func spawn(r *reactor.Reactor, cmd *Command, p Protocol) (*Child, error) {
	k, ok := kernel.As[kernel.Spawner](r.Kernel())
	if !ok {
		return nil, errNoPrograms
	}
	if err := check(r, cmd, p); err != nil {
		return nil, err
	}
	sys, err := cmd.system(k)
	if err != nil {
		return nil, err
	}
	if cr := cmd.Credential; cr != nil && cr.UID >= 0 && cmd.Terminal != nil {
		giveFD(cmd.Terminal.Slave(), cr.UID)
	}
	x, err := k.Spawn(sys)
	if err != nil {
		return nil, err
	}
	c := &Child{r: r, k: x, proto: p, pid: x.Pid(), name: "child"}
	if p != nil {
		c.name = logPrefix(p) + ",child"
		c.output, _ = ProtocolAs[OutputReceiver](p)
		c.errors, _ = ProtocolAs[ErrorReceiver](p)
	}
	if err := c.attach(cmd, sys.Files); err != nil {
		c.undo(sys.Files)
		return nil, err
	}
	c.stopWith(cmd.AtStop, cmd.stopGroup)
	c.made = true
	if p != nil {
		checked(r, p)
		r.Guard(c.name, func() { p.ChildMade(c) })
	}
	return c, nil
}

// check returns why cmd cannot be started, before anything is done.
func check(r *reactor.Reactor, cmd *Command, p Protocol) error {
	piped := cmd.Terminal != nil && !cmd.Terminal.attached
	for _, f := range cmd.files() {
		piped = piped || f.proto == nil && (f.kind == kernel.ReadPipe || f.kind == kernel.WritePipe)
	}
	m := cmd.StreamConfig
	if m.HighWater == 0 {
		m.HighWater = 64 << 10
	}
	switch {
	case r.Ending():
		return reactor.ErrStopped
	case cmd.Terminal != nil && cmd.Files != nil:
		return ErrTerminalFiles
	case cmd.Terminal != nil && cmd.Terminal.Slave() < 0:
		return kernel.ErrClosed
	case p == nil && piped:
		return ErrProtocol
	case m.LowWater < 0 || m.LowWater >= m.HighWater:
		return reactor.ErrMarks
	}
	return nil
}

// attach makes transports of the pipes, in the order of their numbers, and listens for the exit.
func (c *Child) attach(cmd *Command, files []kernel.ChildFile) (err error) {
	c.pipes = make([]pipe, 0, len(files)+1) // never grows: streams have pointers into it
	for _, f := range files {
		conn := c.k.Pipe(f.Number)
		if conn == nil {
			continue
		}
		p := c.add(pipe{c: c, number: int32(f.Number), writes: f.Kind == kernel.WritePipe})
		if p.s, err = c.r.Attach(conn, p.protocol(cmd.Files[f.Number].proto), &cmd.StreamConfig); err != nil {
			_ = conn.Close()
			return err
		}
	}
	if cmd.Terminal != nil && !cmd.Terminal.attached {
		p := c.add(pipe{c: c, number: 1, terminal: true})
		if p.s, err = cmd.Terminal.Attach(c.r, p, &cmd.StreamConfig); err != nil {
			return err
		}
	}
	if c.notice, err = c.r.Await(c.k, c); err == nil && cmd.Terminal != nil {
		c.terminal = cmd.Terminal
		c.terminal.given()
	}
	return err
}

// add adds a pipe, which has no stream yet.
func (c *Child) add(p pipe) *pipe {
	c.pipes = append(c.pipes, p)
	c.open++
	return &c.pipes[len(c.pipes)-1]
}

// undo ends what attach has begun. Nobody is told.
func (c *Child) undo(files []kernel.ChildFile) {
	c.proto = nil
	for _, f := range files {
		if conn := c.k.Pipe(f.Number); conn != nil {
			_ = conn.Close()
		}
	}
	for _, p := range c.pipes {
		if p.s != nil {
			p.s.Abort()
		}
	}
	_ = c.Kill(0)
	c.exited = true
	_ = c.k.Close()
}
