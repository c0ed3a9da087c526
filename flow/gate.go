package flow

import "github.com/whorl-go/whorl/reactor"

// gate stands between the producer of a connection and the transport below. It pauses the producer also for the policy. The producer is
// told transitions only.
type gate struct {
	p      reactor.Producer
	below  bool // the transport below has paused it
	policy bool // the policy has
	over   bool // the producer was stopped, and is told nothing more
}

// set changes one of the two reasons.
func (g *gate) set(reason *bool, on bool) {
	was := g.paused()
	*reason = on
	switch is := g.paused(); {
	case is == was, g.over:
	case is:
		g.p.PauseProducing()
	default:
		g.p.ResumeProducing()
	}
}

func (g *gate) paused() bool { return g.below || g.policy }

// PauseProducing is called again by the first write of a producer that was paused when it was registered, and is passed on then: it goes on.
func (g *gate) PauseProducing() {
	if g.below && !g.over {
		g.p.PauseProducing()
		return
	}
	g.set(&g.below, true)
}

func (g *gate) ResumeProducing() { g.set(&g.below, false) }

func (g *gate) StopProducing() {
	g.over = true
	g.p.StopProducing()
}

// Producing tells whether the producer may produce more.
func (g *gate) Producing() bool { return reactor.Produces(g.p) }

// Unfinished tells whether the producer must not end in order.
func (g *gate) Unfinished() bool { return reactor.Unfinished(g.p) }
