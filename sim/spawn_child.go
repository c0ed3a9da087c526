package sim

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
)

// child is a child as its parent has it.
type child struct {
	p     *proc
	s     *sock // the handle
	pipes map[int]*pipeConn
	leads bool // a group of its own
	told  bool // by Wait, that it has exited
}

var _ kernel.Child = (*child)(nil)

// Local is kernel.Handle.
func (x *child) Local() kernel.Addr { return kernel.Addr{} }

// Close is kernel.Child.
func (x *child) Close() error {
	defer x.s.lock().mu.Unlock()
	x.s.close(OpClose)
	return nil
}

// Pid is kernel.Child.
func (x *child) Pid() int { return x.p.h.k.pid }

// Pipe is kernel.Child.
func (x *child) Pipe(fd int) kernel.Conn {
	c := x.pipes[fd]
	if c == nil {
		return nil
	}
	delete(x.pipes, fd)
	return c
}

// Wait is kernel.Child.
func (x *child) Wait() (kernel.Exit, bool, error) {
	n := x.s.lock()
	defer n.mu.Unlock()
	if x.s.state == open && x.p.visible {
		x.told = true
	}
	if !x.told {
		return kernel.Exit{}, false, nil
	}
	return x.p.how, true, nil
}

// numberOf is the number of a signal.
func numberOf(s os.Signal) (syscall.Signal, error) {
	const most = 64
	if n, ok := s.(syscall.Signal); ok && n >= 0 && n <= most {
		return n, nil
	}
	return 0, &kernel.OptionError{Op: "signal", Option: "Signal", Value: s,
		Err: fmt.Errorf("%w: the system has no such signal", kernel.ErrInvalidOption)}
}

// Signal is kernel.Child.
func (x *child) Signal(s os.Signal) error {
	number, err := numberOf(s)
	if err != nil {
		return err
	}
	return x.signal(number, func() ([]*proc, error) {
		if x.told || x.s.state != open {
			return nil, kernel.ErrExited
		}
		return []*proc{x.p}, nil
	})
}

// SignalGroup is kernel.Child.
func (x *child) SignalGroup(s os.Signal) error {
	number, err := numberOf(s)
	if err != nil {
		return err
	}
	return x.signal(number, func() ([]*proc, error) {
		members := slices.Clone(x.p.group.members)
		switch {
		case !x.leads:
			return nil, kernel.ErrUnsupported
		case x.s.state != open, x.told && len(members) == 0:
			return nil, kernel.ErrExited
		}
		return members, nil
	})
}

// signal sends s to the programs that to returns.
func (x *child) signal(s syscall.Signal, to func() ([]*proc, error)) error {
	n := x.s.lock()
	all, err := to()
	var fns []func(os.Signal)
	for _, p := range all {
		fns = append(fns, p.send(s)...)
	}
	n.mu.Unlock()
	for _, fn := range fns {
		fn(s)
	}
	return err
}
