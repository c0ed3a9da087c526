package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

// started starts program as a child, and waits until it has been called.
func (x *nurse) started(t *testing.T, program func(p *sim.Program)) {
	t.Helper()
	called := false
	x.n.Program("/bin/ends", func(p *sim.Program) {
		program(p)
		called = true
	})
	x.do(t, func() {}) // the program of the host comes first
	x.do(t, func() {
		_, err := x.k.Spawn(&kernel.ChildCommand{Path: "/bin/ends", Args: []string{"ends"}})
		noErr(t, err)
	})
	noErr(t, x.n.RunUntil(func() bool { return called }, time.Second))
}

// What a child has sent to its own machine arrives though the child has exited meanwhile.
func TestChildSendsAndExits(t *testing.T) {
	x := newNurse(1)
	s, err := x.h.Kernel.(kernel.Packets).ListenPacket(x.h.UDPAddr(7), nil)
	noErr(t, err)
	x.started(t, func(p *sim.Program) {
		c, err := p.Host().Kernel.(kernel.Packets).ListenPacket(x.h.UDPAddr(0), nil)
		noErr(t, err, sendTo(c, x.h.UDPAddr(7), "bye"))
		p.Exit(0)
	})
	noErr(t, x.n.Run(time.Second))
	if all := got(s); len(all) != 1 {
		t.Errorf("%v have come, %+v", all, x.n.Packets())
	}
	noErr(t, s.Close())
}

// Who writes to a child that has closed the connection and exited is reset, because the machine is there.
func TestChildClosesAndExits(t *testing.T) {
	x := newNurse(1)
	cli := x.n.Host("cli")
	x.started(t, func(p *sim.Program) {
		l, err := p.Host().Kernel.Listen(x.h.Addr(7), nil)
		noErr(t, err)
		p.Reactor().CallLater(time.Second, func() {
			c, err := l.Accept()
			noErr(t, err, c.Close())
		})
		p.Reactor().CallLater(2*time.Second, func() { p.Exit(0) })
	})
	c, err := cli.Kernel.Dial(x.h.Addr(7), nil)
	noErr(t, err, x.n.Run(3*time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Errorf("the first write: %v", err)
	}
	noErr(t, x.n.Run(10*time.Second))
	if _, err := c.Write([]byte("x")); !errors.Is(err, kernel.ErrReset) && !errors.Is(err, kernel.ErrBroken) {
		t.Errorf("the second write: %v", err)
	}
	noErr(t, c.Abort())
}
