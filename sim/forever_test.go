package sim_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

// A fault that lasts for ever, or a delay without end, does not end at once: nothing arrives, and nothing is left that could happen.
func TestForever(t *testing.T) {
	delay := func(n *sim.Net) {
		n.AddRule(func(*sim.Segment) sim.Verdict { return sim.Verdict{Delay: kernel.Forever} })
	}
	for name, fault := range map[string]func(n *sim.Net){
		"clog":    func(n *sim.Net) { n.Clog("srv", "cli", kernel.Forever) },
		"latency": func(n *sim.Net) { n.SetLatency("srv", "cli", kernel.Forever, kernel.Forever) },
		"both": func(n *sim.Net) {
			n.SetLatency("srv", "cli", time.Hour, kernel.Forever)
			n.Clog("srv", "cli", kernel.Forever-1)
		},
		"rule": delay,
	} {
		t.Run(name, func(t *testing.T) {
			n, _, p := connected(t, 4)
			fault(n)
			say(n, p, "x")
			if err := n.RunUntil(func() bool { return p.got.Len() > 0 }, 1000*time.Hour); !errors.Is(err, sim.ErrDeadlock) && !errors.Is(err, sim.ErrLimit) {
				t.Errorf("%q came, %v", p.got.String(), err)
			}
		})
		t.Run(name+" of datagrams", func(t *testing.T) {
			n := sim.New(1)
			defer n.Close()
			x := &net0{Net: n, t: t}
			a, b := x.open("srv", n.Host("srv").UDPAddr(0), nil), x.open("cli", n.Host("cli").UDPAddr(0), nil)
			fault(n)
			x.send(a, b.Local(), "x")
			x.pass(1000 * time.Hour)
			if come := got(b); len(come) > 0 {
				t.Errorf("%q came", come)
			}
		})
	}
}

// With a RetryTimeout without end a connection waits for as long as the link is cut, and goes on then.
func TestRetryForever(t *testing.T) {
	n, _, p := connected(t, 4)
	n.Options.RetryTimeout = kernel.Forever
	heal := n.Partition("srv", "cli")
	say(n, p, "x")
	if err := n.Run(1000 * time.Hour); err != nil || p.lost != nil {
		t.Fatalf("lost with %v, %v", p.lost, err)
	}
	heal()
	must(t, n, func() bool { return p.got.Len() == 1 })
}

// A look-up that takes for ever is not answered at once.
func TestResolvingForever(t *testing.T) {
	n, _, cli := two(t, 1, nil)
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: time.Millisecond}
	n.Options.Resolve = 1
	n.Resolving = func(*sim.Host, string) (time.Duration, error) { return kernel.Forever, nil }
	answered := false
	cli.Reactor.Resolve("srv", func([]netip.Addr, error) { answered = true })
	if err := n.Run(1000 * time.Hour); err != nil || answered {
		t.Errorf("answered: %v, %v", answered, err)
	}
}
