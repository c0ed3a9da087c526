package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// given is a connection from cli that the first of two loops of srv has accepted and given.
func given(t *testing.T, n *sim.Net) (c kernel.Conn, cli *silentEnd, loops []*sim.Host) {
	t.Helper()
	loops, cli = n.Host("srv").Loops(2), new(silentEnd)
	l, err := loops[0].Kernel.Listen(loops[0].Addr(7), nil)
	noErr(t, err)
	n.Host("cli").Reactor.Dial(loops[0].Addr(7), reactor.One(cli), nil, nil)
	noErr(t, n.RunUntil(func() bool { return cli.T != nil }, time.Second), n.Run(time.Second))
	c, err = l.Accept()
	noErr(t, err, mover(loops[0]).GiveConn(c), l.Close())
	return c, cli, loops
}

func mover(h *sim.Host) kernel.Mover {
	m, _ := kernel.As[kernel.Mover](h.Kernel)
	return m
}

// silentEnd is a protocol that notes its end.
type silentEnd struct {
	reactor.Base
	lost error
}

func (q *silentEnd) DataReceived([]byte)      {}
func (q *silentEnd) ConnectionLost(err error) { q.lost = err }

// endsByReset fails unless cli hears of a reset soon.
func endsByReset(t *testing.T, n *sim.Net, cli *silentEnd) {
	t.Helper()
	noErr(t, n.RunUntil(func() bool { return cli.lost != nil }, time.Minute))
	if !errors.Is(cli.lost, kernel.ErrReset) {
		t.Errorf("the client has lost %v", cli.lost)
	}
	noErr(t, n.Close())
}

// A connection that a kernel has no room for, or that comes to a closed one, can be taken by another, and can be reset.
func TestMovedToNoRoom(t *testing.T) {
	for _, closed := range []bool{false, true} {
		n := sim.New(1)
		c, cli, loops := given(t, n)
		want := kernel.ErrTooManyFiles
		if n.Options.Descriptors = 1; closed {
			want = kernel.ErrClosed
			noErr(t, loops[1].Kernel.Close())
		} else {
			l, err := loops[1].Kernel.Listen(loops[1].Addr(8), nil)
			noErr(t, err)
			defer l.Close()
		}
		if err := mover(loops[1]).TakeConn(c); !errors.Is(err, want) {
			t.Fatalf("taken: %v", err)
		}
		noErr(t, mover(loops[0]).TakeConn(c), mover(loops[0]).GiveConn(c), c.Abort())
		if err := mover(loops[0]).TakeConn(c); err == nil {
			t.Error("a closed connection was taken")
		}
		n.Options.Descriptors = 0
		noErr(t, n.RunUntil(func() bool { return cli.lost != nil }, time.Minute))
		if !errors.Is(cli.lost, kernel.ErrReset) {
			t.Errorf("the client has lost %v", cli.lost)
		}
	}
}

// The machine crashes while a connection is on its way from one loop to another. The client is reset when it sends after the restart.
func TestMovedInCrash(t *testing.T) {
	n := sim.New(1)
	_, cli, loops := given(t, n)
	loops[0].Crash()
	loops[0].Restart()
	cli.T.Write([]byte("x"))
	endsByReset(t, n, cli)
}

// The loss of the loop that has given a connection does not touch it.
func TestMovedByLostLoop(t *testing.T) {
	n := sim.New(1)
	c, cli, loops := given(t, n)
	loops[0].Kill()
	noErr(t, mover(loops[1]).TakeConn(c), n.Run(time.Second))
	if cli.lost != nil {
		t.Errorf("the client has lost %v", cli.lost)
	}
	noErr(t, c.Abort())
	endsByReset(t, n, cli)
}
