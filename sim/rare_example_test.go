package sim_test

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// batcher gathers lots, and flushes them when there are enough. It imports no sim.
type batcher struct {
	r                    *reactor.Reactor
	waiting, limit, lots int
}

func (p *batcher) add(size int) {
	p.waiting, p.lots = p.waiting+size, p.lots+1
	if p.waiting > p.limit || p.r.Rare("flush early") {
		p.flush()
	}
}

func (p *batcher) flush() {
	p.r.Sometimes("lots are flushed together", p.lots > 1)
	p.waiting, p.lots = 0, 0
}

// A program forces a rare branch of its own, and names a state that some run should reach.
func ExampleNet_Sometimes() {
	w := sim.World{Name: "batches", Length: time.Minute, Setup: func(n *sim.Net) sim.Checks {
		p := &batcher{limit: 100}
		n.Host("a").Start(func(h *sim.Host) {
			p.r = h.Reactor
			var call reactor.DelayedCall
			call.Init(h.Reactor, func() { p.add(30); call.Reset(time.Second) })
			call.Reset(0)
		})
		n.At(30*time.Second, func() {
			n.Sometimes("half of it waits after half a minute", p.waiting == 60) // in the world
		})
		return sim.Checks{}
	}}
	reached := map[string]int{}
	branches := 0
	for seed := range uint64(20) {
		r := w.Run(seed, sim.Options{Rare: 4})
		for _, s := range r.Sometimes {
			if s.Reached {
				reached[s.Name]++
			}
		}
		for _, b := range r.Net.Rares() {
			branches += b.Fired
		}
	}
	fmt.Println(reached["lots are flushed together"], "of 20 seeds;", branches > 100, reached["half of it waits after half a minute"] > 0)
	// Output: 20 of 20 seeds; true true
}
