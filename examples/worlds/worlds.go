// Package worlds has the examples as worlds for package sim: each is a program, what
// uses it, and what must hold whatever happens. Run them with sim.Test or `whorl sim`.
package worlds

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// All is every world there is.
func All() []sim.World { return []sim.World{Chat(), Reconnect(), Lease()} }

// verdict keeps the first thing that did not hold; its err is for Checks.Always.
type verdict struct{ first error }

func (v *verdict) err() error { return v.first }

func (v *verdict) fail(format string, args ...any) {
	if v.first == nil {
		v.first = fmt.Errorf(format, args...)
	}
}

// small has n's hosts read little at a time: a network is made for each run, and large
// buffers would be most of the work.
func small(n *sim.Net) { n.Config.ReadBuffer = 4 << 10 }

// alive tells whether what runs on r is h's program now, rather than one of the past.
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

// every calls fn again and again until the function it returns is called.
func every(r *reactor.Reactor, d time.Duration, fn func()) (stop func()) {
	call := new(reactor.DelayedCall)
	call.Init(r, func() { call.Reset(d); fn() })
	call.Reset(d)
	return func() { call.Cancel() }
}

// chance is a retry.Source made from a seed: the splitmix64 generator.
type chance struct{ state uint64 }

// Float64 is even in [0, 1).
func (c *chance) Float64() float64 {
	c.state += 0x9e3779b97f4a7c15
	z := c.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// NormFloat64 is normal, near enough: the sum of twelve even ones.
func (c *chance) NormFloat64() float64 {
	sum := -6.0
	for range 12 {
		sum += c.Float64()
	}
	return sum
}
