package worlds

import (
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/examples/lease/lease"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// Lease is the log of examples/lease on three hosts, with a client that adds entries and asks
// for the length. It checks that
//   - a term has one leader;
//   - one node at a time holds the lease;
//   - the committed parts of the logs agree, and never get shorter;
//   - every answer to the client is true.
func Lease() sim.World { return leaseWorld(func(*sim.Host, *lease.Node) {}) }

// leaseWorld is Lease, with a function that changes each node before it starts.
func leaseWorld(prepare func(h *sim.Host, node *lease.Node)) sim.World {
	return sim.World{
		Name:   "lease",
		About:  "a replicated log with a leader's lease on three hosts, and a client",
		Length: 20 * time.Second,
		Faults: slower,
		Setup: func(n *sim.Net) sim.Checks {
			small(n)
			n.Options.Latency = sim.Latency{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond} // so that there is something under way
			w := &leases{n: n, leaders: map[int]int{}}
			var addrs []kernel.Addr
			for id, name := range []string{"n1", "n2", "n3"} {
				h := n.Host(name)
				addrs = append(addrs, h.Addr(8100))
				w.nodes = append(w.nodes, &node{h: h, random: chance{n.Seed() + uint64(id)}})
			}
			for i, x := range w.nodes {
				x.h.Start(func(h *sim.Host) {
					x.Node = &lease.Node{ID: i + 1, Nodes: addrs, Disk: &x.disk, Random: &x.random}
					x.Tap = func(m *lease.Message) {
						n.Mark(h.Name(), m.String())
						_ = w.always() // a turn may bring several messages; what it finds is kept
					}
					x.r, x.checked = h.Reactor, 0
					prepare(h, x.Node)
					if err := x.Start(h.Reactor); err != nil {
						w.fail("starts", "starting %s: %w", h.Name(), err)
					}
				})
			}
			n.Host("cli").Start(func(h *sim.Host) { w.ask(h.Reactor, addrs, 0) })
			return sim.Checks{Always: w.always, End: w.end, Eventually: []sim.Condition{
				{Name: "the client adds", Holds: w.adds},
				{Name: "logs are level", Holds: w.level},
				{Name: "one holds the lease", Holds: func() bool { return w.holders() == 1 }},
			}, Sometimes: []sim.Condition{
				{Name: "nobody holds the lease", Holds: func() bool { return w.holder > 0 && w.holders() == 0 }},
				{Name: "two lead in different terms", Holds: func() bool { return w.leading() > 1 }},
				{Name: "a node is behind", Holds: func() bool { return w.holder > 0 && !w.level() }},
			}}
		},
	}
}

// slower limits what clocks do to what a lease tolerates: a lease is kept by clocks that run at
// about the same rate, so it holds for two if one of them jumps.
func slower(o sim.Options) sim.Options {
	o.Drift, o.Jump = min(o.Drift, 0.1), 0
	return o
}

type leases struct {
	verdict
	n       *sim.Net
	nodes   []*node
	leaders map[int]int   // by term
	holder  int           // of the lease, the last
	agreed  []lease.Entry // what was committed, once and for all
	asked   int           // adds, so far
	known   int           // the longest log a client was told of
	added   int           // adds acknowledged
	calm    int           // of these, before the faults ended
}

// node is a host, with its disk and its program.
type node struct {
	*lease.Node
	h       *sim.Host
	r       *reactor.Reactor
	disk    lease.Disk
	random  chance
	checked int // so many of its committed entries were compared
}

func (x *node) alive() bool { return x.Node != nil && alive(x.h, x.r) }

func (w *leases) always() error {
	if w.first != nil {
		return w.first
	}
	var holder *node
	for _, x := range w.nodes {
		if !x.alive() {
			continue
		}
		for ; x.checked < x.Committed(); x.checked++ {
			w.commit(x, x.checked)
		}
		term, leads := x.Leads()
		if !leads {
			continue
		}
		if id := w.leaders[term]; id == 0 {
			w.leaders[term] = x.ID
			w.n.Mark(x.h.Name(), fmt.Sprintf("leads in term %d", term))
		} else if id != x.ID {
			w.fail("one leader", "n%d and n%d both lead in term %d", id, x.ID, term)
		}
		if x.Holds() {
			if holder != nil {
				w.fail("one holder", "n%d and n%d both hold the lease", holder.ID, x.ID)
			}
			holder = x
			w.holds(x)
		}
	}
	if holder != nil && holder.Committed() < len(w.agreed) {
		w.fail("holder knows all", "n%d holds the lease, and knows of %d entries where %d are committed", holder.ID, holder.Committed(), len(w.agreed))
	}
	return w.first
}

// holds marks in the trace that another node has got the lease.
func (w *leases) holds(x *node) {
	if w.holder != x.ID {
		w.holder = x.ID
		w.n.Mark(x.h.Name(), "holds the lease")
	}
}

// commit checks entry i of x, counted from 0. x believes that it is committed.
func (w *leases) commit(x *node, i int) {
	e := x.disk.Log[i]
	if i < len(w.agreed) {
		if e != w.agreed[i] {
			w.fail("logs agree", "n%d has %v committed as number %d, and another has %v", x.ID, e, i+1, w.agreed[i])
		}
		return
	}
	w.agreed = append(w.agreed, e)
	copies := 0
	for _, y := range w.nodes {
		if i < len(y.disk.Log) && y.disk.Log[i] == e {
			copies++
		}
	}
	if copies <= len(w.nodes)/2 {
		w.fail("on most disks", "n%d committed %v as number %d, which is on %d disks", x.ID, e, i+1, copies)
	}
}

// told checks an answer to the client: the index of the entry text that it added, or the
// length of the log if text is empty. known is the greatest index that it knew when it asked.
func (w *leases) told(text string, index, known int) {
	switch {
	case index < known || text != "" && index == known:
		w.fail("fresh answers", "the client was told %d, and knew of %d before it asked", index, known)
	case index > len(w.agreed) || text != "" && w.agreed[index-1].Text != text:
		w.fail("true answers", "the client was told that %q is number %d, which is not committed", text, index)
	case text != "":
		w.added++
	}
	w.known = max(w.known, index)
}

// adds tells whether the client has added some entries since the faults ended.
func (w *leases) adds() bool {
	if w.calm == 0 {
		w.calm = w.added + 1
	}
	return w.added > w.calm+2
}

// level tells whether all nodes are up and have committed the same entries.
func (w *leases) level() bool {
	for _, x := range w.nodes {
		if !x.alive() || x.Committed() != len(w.agreed) {
			return false
		}
	}
	return true
}

// holders is how many nodes hold the lease.
func (w *leases) holders() (count int) {
	for _, x := range w.nodes {
		if x.alive() && x.Holds() {
			count++
		}
	}
	return count
}

// leading is how many nodes believe that they lead.
func (w *leases) leading() (count int) {
	for _, x := range w.nodes {
		if !x.alive() {
			continue
		}
		if _, leads := x.Leads(); leads {
			count++
		}
	}
	return count
}

// end checks that every committed entry is on all disks.
func (w *leases) end() error {
	for _, x := range w.nodes {
		if len(x.disk.Log) < len(w.agreed) || !slices.Equal(x.disk.Log[:len(w.agreed)], w.agreed) {
			return sim.Breach("nothing lost", "n%d has lost committed entries: %v, want %v", x.ID, x.disk.Log, w.agreed)
		}
	}
	return nil
}
