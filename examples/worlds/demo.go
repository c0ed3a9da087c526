package worlds

import (
	"github.com/whorl-go/whorl/examples/lease/lease"
	"github.com/whorl-go/whorl/sim"
)

// DemoBug is Lease with a mistake, for practice. It is not in All. The mistake is easy to make
// and hard to see: the lease counts from when the answer came, instead of from when the
// leader asked. In lease.answered it would be this line:
//
//	p.granted = n.r.Now()
//
// It does no harm while answers are quick. But an answer may travel for a long time, or lie in
// a buffer while the leader stands still. It then extends a lease that another node has got
// meanwhile.
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
