package sim_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// brancher takes two rare branches each second.
func brancher(n *sim.Net) sim.Checks {
	n.Host("a").Start(func(h *sim.Host) {
		var call reactor.DelayedCall
		call.Init(h.Reactor, func() {
			call.Reset(time.Second)
			for _, name := range []string{"forget", "again"} {
				if h.Reactor.Rare(name) {
					n.Mark("a", name)
				}
			}
		})
		call.Reset(0)
	})
	return sim.Checks{}
}

// The branches of a program are forced when the class is on, each by draws of its own, and
// never otherwise; the simulation counts them.
func TestRareBranches(t *testing.T) {
	w := sim.World{Name: "w", Length: time.Minute, Setup: brancher}
	enabled := 0
	for seed := range uint64(100) {
		r := w.Check(seed, sim.Options{Rare: 4})
		counts := r.Net.Rares()
		if len(counts) != 2 || counts[0].Name != "forget" || r.Err != nil {
			t.Fatalf("%+v, %v", counts, r.Err)
		}
		for _, c := range counts {
			if c.Passed < 60 || c.Fired < 3 || c.Fired > 30 {
				t.Errorf("seed %d: %+v", seed, c)
			}
		}
		for _, c := range w.Run(seed, sim.Options{Rare: 1}).Net.Rares() {
			enabled += count(c.Passed > 0)
		}
		off := w.Run(seed, sim.Options{})
		for _, c := range off.Net.Rares() {
			if c.Passed+c.Fired > 0 {
				t.Errorf("seed %d: taken though the class is off: %+v", seed, c)
			}
		}
		if off.Hash == r.Hash {
			t.Errorf("seed %d: nothing in the hash tells of the branches", seed)
		}
	}
	if enabled < 25 || enabled > 75 {
		t.Errorf("%d of 200 are enabled", enabled)
	}
}

// On the kernel of an operating system no branch is forced, no state is counted, and neither
// allocates. Through a wrapper around a simulated kernel both work.
func TestRareOutside(t *testing.T) {
	k, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	fired := false
	if allocs := testing.AllocsPerRun(1000, func() { fired = fired || r.Rare("x"); r.Sometimes("y", true) }); allocs > 0 || fired {
		t.Errorf("%v allocations, fired: %v", allocs, fired)
	}
	n := sim.New(1)
	n.Options.Rare = 4
	n.Wrap = func(_ *sim.Host, k kernel.Kernel) kernel.Kernel { return &wrapKernel{Kernel: k} }
	h := n.Host("a")
	for range 100 {
		fired = h.Reactor.Rare("x") || fired
	}
	h.Reactor.Sometimes("y", true)
	if s := n.States(); !fired || len(s) != 1 || !s[0].Reached {
		t.Errorf("fired: %v, states %v", fired, s)
	}
}
