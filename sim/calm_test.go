//go:build !race

// The race detector allocates, so that it cannot be seen that the simulation does not.

package sim_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// busy is pingPong with everything that a network can do to it.
func busy(t testing.TB) (n *sim.Net, events func() uint64) {
	n, events = pingPong(t)
	n.Options.Latency = sim.Latency{Kind: sim.LongTail, Min: time.Millisecond, Mean: 2 * time.Millisecond, Max: 50 * time.Millisecond}
	n.SetLinkLatency("srv", "cli", sim.Latency{Kind: sim.Exponential, Mean: time.Millisecond})
	n.Options.Bandwidth, n.Options.Drop, n.Options.Chunk, n.Options.Spurious = 1<<20, .01, 7, .01
	n.Host("srv").SetClock(time.Second, .1)
	n.Host("cli").SetClock(-time.Second, -.1)
	n.AddRule(func(s *sim.Segment) sim.Verdict {
		return sim.Verdict{Duplicate: s.At&1 == 0, Corrupt: s.At&127 == 1 && s.Try == 0}
	})
	return n, events
}

// In steady state nothing is allocated, whatever is set.
func TestAllocsOfFaults(t *testing.T) {
	n, events := busy(t)
	n.Run(5 * time.Minute) // until every queue has its length
	before := events()
	allocs := testing.AllocsPerRun(10, func() { n.Run(2 * time.Second) })
	if got := events() - before; got < 10_000 {
		t.Fatalf("%d events are not many", got)
	}
	if allocs > 0 {
		t.Errorf("%v allocations in two seconds of the network", allocs)
	}
}

// A seed is a run, whatever is set; and each thing that is set changes it.
func TestHashOfFaults(t *testing.T) {
	run := func(change func(n *sim.Net)) uint64 {
		n, srv, cli := two(t, 3, echoes())
		n.Options.Latency = sim.Latency{Kind: sim.Exponential, Min: time.Millisecond, Mean: 3 * time.Millisecond}
		change(n)
		srv.Start(func(h *sim.Host) { h.Reactor.CallLater(time.Second, func() { n.Clog("srv", "cli", 1) }) })
		p := new(recorder)
		dial(cli, srv.Addr(7), p)
		for i := range 100 {
			n.At(time.Duration(i)*100*time.Millisecond, func() {
				if p.T != nil {
					p.T.Write([]byte("0123456789"))
				}
			})
		}
		n.Run(time.Minute)
		return n.Hash()
	}
	seen := map[uint64]string{}
	for _, c := range []struct {
		name string
		fn   func(n *sim.Net)
	}{
		{"nothing", func(n *sim.Net) {}},
		{"tail", func(n *sim.Net) { n.Options.Latency.Kind = sim.LongTail }},
		{"link", func(n *sim.Net) { n.SetLinkLatency("cli", "srv", sim.Latency{Kind: sim.LongTail, Mean: time.Second}) }},
		{"bandwidth", func(n *sim.Net) { n.Options.Bandwidth = 1000 }},
		{"one link's", func(n *sim.Net) { n.SetBandwidth("cli", "srv", 2000) }},
		{"lossy", func(n *sim.Net) { n.Options.Drop = .1 }},
		{"clog", func(n *sim.Net) { n.Clog("cli", "srv", time.Second) }},
		{"one way", func(n *sim.Net) { n.ClogOneWay("cli", "srv", time.Second) }},
		{"pause", func(n *sim.Net) { h := n.Host("srv"); h.Pause(); n.At(time.Second, h.Resume) }},
		{"clock", func(n *sim.Net) { n.Host("srv").SetClock(0, .5) }},
		{"duplicate", func(n *sim.Net) { n.AddRule(func(*sim.Segment) sim.Verdict { return sim.Verdict{Duplicate: true} }) }},
		{"corrupt", func(n *sim.Net) {
			n.AddRule(func(s *sim.Segment) sim.Verdict { return sim.Verdict{Corrupt: s.Try == 0} })
		}},
	} {
		hash := run(c.fn)
		if again := run(c.fn); again != hash {
			t.Errorf("%s: %x and %x", c.name, hash, again)
		}
		if other, ok := seen[hash]; ok {
			t.Errorf("%s is the same run as %s", c.name, other)
		}
		seen[hash] = c.name
	}
}

// The trace tells of what was done to hosts and links, and the hash of all of it.
func TestTraceOfFaults(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	srv.Start(func(*sim.Host) {})
	n.Run(time.Second)
	last := n.Hash()
	for _, do := range []func(){srv.Pause, srv.Resume, func() { srv.SetClock(1, 0) }, func() { n.ClogOneWay("srv", "cli", 1) }} {
		if do(); n.Hash() == last {
			t.Errorf("the hash does not tell\n%s", n.Trace())
		}
		last = n.Hash()
	}
}
