package worlds

import (
	"github.com/whorl-go/whorl/examples/lease/lease"
	"github.com/whorl-go/whorl/sim"
)

// DemoBug is Lease with a mistake, to practise on; it is none of All. The mistake is easy
// to make and hard to see: the lease runs from when an answer came, instead of from when
// the leader asked. It is as if the line in lease.answered were
//
//	p.granted = n.r.Now()
//
// All is well while answers are quick. An answer that was long under way, or lay in a
// buffer while the leader stood still, extends a lease that others have given away since.
func DemoBug() sim.World {
	w := leaseWorld(func(h *sim.Host, node *lease.Node) {
		tap := node.Tap
		node.Tap = func(m *lease.Message) {
			tap(m)
			if m.Kind == "appended" || m.Kind == "missing" {
				m.Sent = h.Reactor.Now()
			}
		}
	})
	w.Name, w.About = "demo-bug", "lease with one line wrong: fails on purpose, under some seeds"
	return w
}
