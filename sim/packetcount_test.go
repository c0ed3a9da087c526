package sim_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

// A datagram that waits is counted once, whoever has its socket: two programs, a child, or a number alone.
func TestPacketsWaitOnce(t *testing.T) {
	x := packetNet(t, 1, "a")
	a := x.Host("a")
	count := func(who string) {
		t.Helper()
		if c := x.Packets(); c.Waiting != 1 || c.Sent != 1 {
			t.Errorf("%s: %d wait, %d were sent", who, c.Waiting, c.Sent)
		}
	}
	s := x.open("a", a.UDPAddr(7), nil)
	x.send(x.open("a", a.UDPAddr(8), nil), a.UDPAddr(7), "x")
	x.pass(time.Second)
	count("one handle")
	fds, _ := kernel.As[kernel.Descriptors](a.Kernel)
	fd, err := fds.DescriptorOf(s)
	noErr(t, err)
	count("a handle and a number")
	adopter, _ := kernel.As[kernel.Adopter](a.Kernel)
	second, err := adopter.AdoptPacketConn(fd, nil)
	noErr(t, err)
	count("two handles")
	noErr(t, s.Close(), second.Close())
	count("a number")
	noErr(t, fds.CloseDescriptor(fd))
}

// What waits at a socket of a child is counted.
func TestPacketsWaitAtChild(t *testing.T) {
	x := newNurse(1)
	var c kernel.PacketConn
	x.n.Program("/bin/hears", func(p *sim.Program) {
		var err error
		c, err = p.Host().Kernel.(kernel.Packets).ListenPacket(x.h.UDPAddr(7), nil)
		noErr(t, err)
	})
	x.do(t, func() {}) // the program of the host comes first
	x.do(t, func() {
		_, err := x.k.Spawn(&kernel.ChildCommand{Path: "/bin/hears", Args: []string{"hears"}})
		noErr(t, err)
	})
	noErr(t, x.n.RunUntil(func() bool { return c != nil }, time.Second))
	s, err := x.h.Kernel.(kernel.Packets).ListenPacket(x.h.UDPAddr(8), nil)
	noErr(t, err, sendTo(s, x.h.UDPAddr(7), "x"), x.n.Run(time.Second))
	if c := x.n.Packets(); c.Waiting != 1 || c.Sent != 1 {
		t.Errorf("%d wait, %d were sent", c.Waiting, c.Sent)
	}
}
