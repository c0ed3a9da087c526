// Package worlds has the examples as worlds for package sim. Each is a program with its users,
// and the conditions that must hold whatever happens. Run them with sim.Test or `whorl sim`.
package worlds

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// All returns all worlds but DemoBug.
func All() []sim.World {
	return []sim.World{Chat(), WideChat(), Reconnect(), Lease(), RPC(), Discovery(), Supervisor(), RESP()}
}

// verdict keeps the first failed check. Its err is for Checks.Always.
type verdict struct{ first error }

func (v *verdict) err() error { return v.first }

// fail says that the rule of that name is broken.
func (v *verdict) fail(rule, format string, args ...any) {
	if v.first == nil {
		v.first = sim.Breach(rule, format, args...)
	}
}

// small gives n's hosts small read buffers. Each run makes a network, and making large
// buffers would take most of the time.
func small(n *sim.Net) { n.Config.ReadBuffer = 4 << 10 }

// alive tells whether r is the reactor of h's present program, not of a former one.
func alive(h *sim.Host, r *reactor.Reactor) bool { return h.Up() && h.Reactor == r }

// dial connects p.
func dial(r *reactor.Reactor, to kernel.Addr, p reactor.Protocol, failed func(error)) {
	r.Dial(to, reactor.One(p), nil,
		func(_ reactor.Protocol, err error) {
			if err != nil {
				failed(err)
			}
		})
}

// chance is a retry.Source with a seed: the splitmix64 generator.
type chance struct{ state uint64 }

// Float64 is uniformly distributed in [0, 1).
func (c *chance) Float64() float64 {
	c.state += 0x9e3779b97f4a7c15
	z := c.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// NormFloat64 is normally distributed, nearly: the sum of twelve uniform numbers.
func (c *chance) NormFloat64() float64 {
	sum := -6.0
	for range 12 {
		sum += c.Float64()
	}
	return sum
}
