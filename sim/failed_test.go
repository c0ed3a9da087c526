package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

// A connection that waits for nothing hears that the network gave up what it had sent.
func TestFailedByTimeout(t *testing.T) {
	n := sim.New(1)
	n.Options.RetryTimeout = 10 * time.Second
	k := n.Kernel()
	addr := n.Host("localhost").Addr(9)
	l, err := k.Listen(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.Dial(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, n, k)
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	n.AddRule(func(*sim.Segment) sim.Verdict { return sim.Verdict{Drop: true} })
	write(t, s, "lost")
	for i, x := range []kernel.Conn{c, s} {
		if err := k.Arm(x, uint32(i), kernel.Failed); err != nil {
			t.Fatal(err)
		}
	}
	ev := make([]kernel.Event, 4)
	for range 2 { // until somebody asks
		m, err := k.Wait(ev, n.Now()+time.Minute)
		if m != 1 || ev[0] != (kernel.Event{Token: 1, Ready: kernel.Failed}) || err != nil || n.Now() < 10*time.Second {
			t.Fatalf("at %v: %v, %v", n.Now(), ev[:m], err)
		}
	}
	err = s.Connected()
	if e, ok := errors.AsType[*kernel.SysError](err); !ok || e.Op != kernel.OpWait || e.Kind != kernel.ErrTimeout {
		t.Errorf("Connected: %v", err)
	}
	if m, err := k.Wait(ev, n.Now()+time.Minute); m != 0 || err != nil || c.Connected() != nil {
		t.Errorf("afterwards: %v, %v, %v", ev[:m], err, c.Connected())
	}
}
