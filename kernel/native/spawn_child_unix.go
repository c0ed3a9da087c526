//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// notice tells of the exit of a process.
type notice struct {
	pid   int
	fd    int  // readable from the exit
	pidfd bool // fd is one
}

// child is a process that Spawn has started.
type child struct {
	exit   sock // of its notice
	n      notice
	group  bool // it leads a process group
	gone   bool // Wait has told its exit
	closed bool
	status kernel.Exit
	err    error       // of the wait
	pipes  []childPipe // by number; a conn that was taken is nil
	left   int         // of them were not taken yet
}

func newChild(b *base, c *kernel.ChildCommand, n notice, pipes []childPipe) *child {
	x := &child{exit: sock{b: b, fd: int32(n.fd)}, n: n, group: c.Session || c.Group, pipes: pipes, left: len(pipes)}
	slices.SortFunc(x.pipes, byNumber)
	b.own(&x.exit)
	return x
}

// Pid is the number of the process.
func (c *child) Pid() int { return c.n.pid }

// Pipe is described by kernel.Child. The list goes with the last pipe: a child may have thousands, for long.
func (c *child) Pipe(fd int) kernel.Conn {
	i, ok := slices.BinarySearchFunc(c.pipes, childPipe{number: fd}, byNumber)
	if !ok || c.pipes[i].conn == nil {
		return nil
	}
	conn := c.pipes[i].conn
	c.pipes[i].conn = nil
	if c.left--; c.left == 0 {
		c.pipes = nil
	}
	return conn
}

// Local is the zero Addr.
func (c *child) Local() kernel.Addr { return kernel.Addr{} }

// Close gives the child up. If it still runs, a goroutine takes its exit status when it comes.
func (c *child) Close() error {
	if c.closed {
		return nil
	}
	_, gone, _ := c.Wait()
	c.closed = true
	if gone {
		return c.exit.Close()
	}
	n := c.notice()
	c.exit.forget(false)
	reapLater(n)
	return nil
}

// notice is what tells of the exit. If its number was closed behind our back and is somebody else's now, the process is known by its own
// number alone, which nobody else gets before Wait has taken the exit status.
func (c *child) notice() notice {
	if c.exit.fd == lostFD {
		return notice{pid: c.n.pid, fd: -1}
	}
	return c.n
}

// Wait takes the exit status, if there is one.
func (c *child) Wait() (kernel.Exit, bool, error) {
	if c.gone || c.closed {
		return c.status, c.gone, c.err
	}
	e, ended, err := c.notice().reap()
	if err != nil {
		e, ended = kernel.Exit{Code: -1, Unknown: true}, true
	}
	if ended {
		c.gone, c.status, c.err = true, e, err
	}
	return c.status, c.gone, c.err
}

// exitOf is the Exit of a status and a usage, as wait4 returns them.
func exitOf(ws unix.WaitStatus, ru *unix.Rusage) kernel.Exit {
	e := kernel.Exit{Code: ws.ExitStatus(), Raw: uint32(ws)}
	if ws.Signaled() {
		e.Code, e.Signal, e.Core = -1, ws.Signal(), ws.CoreDump()
	}
	unit := int64(1024)
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	e.Usage = kernel.Usage{User: time.Duration(ru.Utime.Nano()), System: time.Duration(ru.Stime.Nano()), MaxResident: int64(ru.Maxrss) * unit}
	return e
}

// wait4 asks for the exit status of a process that is a child of ours.
func wait4(pid, options int) (kernel.Exit, bool, error) {
	var ws unix.WaitStatus
	var ru unix.Rusage
	for {
		switch got, err := unix.Wait4(pid, &ws, options, &ru); {
		case err == unix.EINTR:
		case err != nil:
			return kernel.Exit{}, false, opError("wait4", err)
		case got == 0:
			return kernel.Exit{}, false, nil
		case ws.Exited() || ws.Signaled():
			return exitOf(ws, &ru), true, nil
		}
	}
}

// opSignal is the operation of Signal and SignalGroup.
const opSignal = "signal"

// number returns the number of s.
func number(s os.Signal) (syscall.Signal, error) {
	n, ok := s.(syscall.Signal)
	if !ok || n < 0 {
		return 0, badSignal(s)
	}
	return n, nil
}

func badSignal(s os.Signal) error {
	return &kernel.OptionError{Op: opSignal, Option: "signal", Value: s, Err: kernel.ErrInvalidOption}
}

// Signal sends s to the process. Until Wait has told the exit, its number belongs to it, even if it
// has exited.
func (c *child) Signal(s os.Signal) error {
	n, err := number(s)
	if err != nil {
		return err
	}
	if c.gone || c.closed {
		return kernel.ErrExited
	}
	return signalError(s, c.notice().signal(n))
}

// SignalGroup sends s to the group that the process leads.
func (c *child) SignalGroup(s os.Signal) error {
	n, err := number(s)
	switch {
	case err != nil:
		return err
	case !c.group:
		return &kernel.OptionError{Op: opSignal, Option: "Group", Value: false, Err: kernel.ErrUnsupported}
	case c.closed:
		return kernel.ErrExited
	}
	err = c.notice().signalGroup(n)
	if err == unix.EINVAL && n <= maxSignal { // the system cannot do that: its means are the number
		if c.gone {
			return kernel.ErrExited
		}
		err = syscall.Kill(-c.n.pid, n)
	}
	return signalError(s, err)
}

// signalError is the error of sending s for that of the system.
func signalError(s os.Signal, err error) error {
	switch err {
	case nil:
		return nil
	case unix.ESRCH:
		return kernel.ErrExited
	case unix.EINVAL:
		return badSignal(s)
	}
	return opError(opSignal, err)
}
