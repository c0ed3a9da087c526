package reactor

import (
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
)

// steer finds the CPUs of a group with Steer, at its first loop, and tells whether r can be bound to one. Every loop asks for its own kernel.
func (g *Group) steer(r *Reactor) (err error) {
	switch k := r.caps.steerer; {
	case !g.cfg.Steer:
	case k == nil:
		err = kernel.ErrUnsupported
	case g.cpus == nil:
		g.cpus, err = k.CPUs()
	}
	return err
}

// cpuOf is the CPU of m's loop; false without Steer.
func (g *Group) cpuOf(m *member) (cpu int, ok bool) {
	if len(g.cpus) == 0 {
		return 0, false
	}
	return g.cpus[m.index%len(g.cpus)], true
}

// steerPort has a listener of a port that is spread get the connections of its loop's CPU.
func (g *Group) steerPort(part *portPart) {
	cpu, ok := g.cpuOf(g.loops[part.index])
	if !ok || !part.of.Spread() {
		return
	}
	r := part.port.r
	if err := r.caps.steerer.SteerTo(part.port.listener, cpu); err != nil {
		r.log.Error("a listener is not bound to the CPU of its loop", slog.Int("cpu", cpu), slog.Any("err", err))
	}
}
