package testworld

import (
	"os"

	"github.com/whorl-go/whorl/kernel"
)

// spawn starts a child on the Spawner that k has, if it has one, with each of its pipes as wrap makes it.
func spawn(k kernel.Kernel, c *kernel.ChildCommand, wrap func(kernel.Conn) kernel.Conn) (kernel.Child, error) {
	s, ok := kernel.As[kernel.Spawner](k)
	if !ok {
		return nil, kernel.ErrUnsupported
	}
	x, err := s.Spawn(c)
	if err != nil {
		return nil, err
	}
	return &wrappedChild{x, wrap, nil}, nil
}

// lookPath is LookPath of the Spawner that k has.
func lookPath(k kernel.Kernel, name string) (string, error) {
	s, ok := kernel.As[kernel.Spawner](k)
	if !ok {
		return "", kernel.ErrUnsupported
	}
	return s.LookPath(name)
}

// wrappedChild is a child whose pipes are wrapped.
type wrappedChild struct {
	kernel.Child
	wrap func(kernel.Conn) kernel.Conn
	f    *Faults // nil: none
}

// Signal sends s, unless that is to fail.
func (c *wrappedChild) Signal(s os.Signal) error {
	if err := c.fault(s); err != nil {
		return err
	}
	return c.Child.Signal(s)
}

// SignalGroup is Signal for the group.
func (c *wrappedChild) SignalGroup(s os.Signal) error {
	if err := c.fault(s); err != nil {
		return err
	}
	return c.Child.SignalGroup(s)
}

func (c *wrappedChild) fault(s os.Signal) error {
	if c.f == nil || c.f.Signal == nil {
		return nil
	}
	return c.f.Signal(s)
}

// Pipe wraps the pipe of the child.
func (c *wrappedChild) Pipe(fd int) kernel.Conn {
	p := c.Child.Pipe(fd)
	if p == nil {
		return nil
	}
	return c.wrap(p)
}

func (k *faultyKernel) LookPath(name string) (string, error) { return lookPath(k.Kernel, name) }

func (k *faultyKernel) Spawn(c *kernel.ChildCommand) (kernel.Child, error) {
	if err := k.f.ask("Spawn", k.f.Spawn); err != nil {
		return nil, err
	}
	child, err := spawn(k.Kernel, c, func(p kernel.Conn) kernel.Conn { return &faultyConn{p, k.f} })
	if w, ok := child.(*wrappedChild); ok {
		w.f = k.f
	}
	return child, err
}

func (k *wrappedKernel) LookPath(name string) (string, error) { return lookPath(k.Kernel, name) }

func (k *wrappedKernel) Spawn(c *kernel.ChildCommand) (kernel.Child, error) {
	return spawn(k.Kernel, c, func(p kernel.Conn) kernel.Conn { return &wrappedConn{p} })
}

var (
	_ kernel.Spawner = (*faultyKernel)(nil)
	_ kernel.Spawner = (*wrappedKernel)(nil)
)
