package worlds

import (
	"fmt"
	"time"

	"github.com/whorl-go/whorl/examples/discovery/leasing"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// Discovery is the protocol of examples/discovery: two servers lease a name each, and three clients find them by multicast, and
// have the names in turn. The network always loses, doubles and reorders datagrams. It checks that
//   - a name has one holder at a time;
//   - the server knows of the holder, unless it was started again since;
//   - every client gets every name.
func Discovery() sim.World { return discoveryWorld(func(*discovery, *leasing.Server) {}) }

// discoveryWorld is Discovery, with a function that changes each server before it starts.
func discoveryWorld(prepare func(w *discovery, s *leasing.Server)) sim.World {
	return sim.World{
		Name:   "discovery",
		About:  "servers that are found by multicast lease names over UDP that loses, doubles and reorders",
		Length: 20 * time.Second,
		Faults: steady,
		Setup: func(n *sim.Net) sim.Checks {
			small(n)
			n.Options.Latency = sim.Latency{Kind: sim.Exponential, Min: time.Millisecond, Mean: 20 * time.Millisecond, Max: time.Second}
			n.Options.Drop, n.Options.Duplicate, n.Options.Reorder = 0.1, 0.1, 0.1
			w := &discovery{n: n}
			for _, name := range []string{"s1", "s2"} {
				x := &nameServer{h: n.Host(name), name: "name-" + name}
				w.servers = append(w.servers, x)
				x.h.Start(func(h *sim.Host) {
					x.Server, x.r = &leasing.Server{ID: h.Name()}, h.Reactor
					prepare(w, x.Server)
					w.starts(h, x.Start(h.Reactor))
				})
			}
			c := sim.Checks{Always: w.always}
			for i, name := range []string{"ann", "bob", "cid"} {
				x := &tenant{w: w, h: n.Host(name), random: chance{n.Seed() + uint64(i)}, had: make([]int, len(w.servers))}
				w.tenants = append(w.tenants, x)
				x.h.Start(x.start)
				c.Eventually = append(c.Eventually, sim.Condition{Name: name + " gets every name", Holds: x.served})
			}
			for _, state := range []string{"a name is taken", "a request is repeated", "a request comes twice", "an old request comes late",
				"an answer comes late or twice", "a server has moved", "a lease runs out"} {
				c.Sometimes = append(c.Sometimes, sim.Condition{Name: state})
			}
			return c
		},
	}
}

// steady limits what clocks do to what the protocol tolerates.
func steady(o sim.Options) sim.Options {
	o.Drift, o.Jump = min(o.Drift, 0.05), 0
	return o
}

type discovery struct {
	verdict
	n       *sim.Net
	servers []*nameServer
	tenants []*tenant
	simple  bool // only the holders are compared
}

// nameServer is a host with a server, and the one name that this leases.
type nameServer struct {
	*leasing.Server
	h    *sim.Host
	r    *reactor.Reactor
	name string
}

// tenant is a host with a client. It wants each name again and again, and keeps it for a while.
type tenant struct {
	w      *discovery
	h      *sim.Host
	r      *reactor.Reactor
	random chance
	starts int // as a disk keeps it
	id     string
	leases []*leasing.Lease // by server; nil: it does not want that one now
	had    []int            // how often it has had each name
	calm   []int            // of these, before the faults ended
}

func (w *discovery) starts(h *sim.Host, err error) {
	if err != nil {
		w.fail("starts", "starting %s: %w", h.Name(), err)
	}
}

// start is the program of a tenant's host.
func (x *tenant) start(h *sim.Host) {
	x.starts++
	x.id, x.r = fmt.Sprintf("%s.%d", h.Name(), x.starts), h.Reactor
	x.leases = make([]*leasing.Lease, len(x.w.servers))
	c := &leasing.Client{ID: x.id, Random: &x.random}
	err := c.Start(h.Reactor)
	if x.w.starts(h, err); err != nil {
		return
	}
	for i := range x.w.servers {
		x.want(c, i)
	}
}

// want gets the name of server i, keeps it for some seconds, and wants it again later.
func (x *tenant) want(c *leasing.Client, i int) {
	s, r := x.w.servers[i], x.r
	first := true
	var l *leasing.Lease
	l = c.Lease(s.h.Name(), s.name, func(held bool) {
		if !held {
			r.Sometimes("a lease runs out", true)
			x.w.n.Mark(x.h.Name(), x.id+" has lost "+s.name)
			return
		}
		x.had[i]++
		x.w.n.Mark(x.h.Name(), x.id+" has "+s.name)
		if !first {
			return // it was lost in between
		}
		first = false
		r.CallLater(x.some(3*time.Second), func() {
			x.w.n.Mark(x.h.Name(), x.id+" gives back "+s.name)
			l.Release()
			x.leases[i] = nil
			r.CallLater(x.some(2*time.Second), func() { x.want(c, i) })
		})
	})
	x.leases[i] = l
}

// some draws a time of up to most.
func (x *tenant) some(most time.Duration) time.Duration {
	return time.Duration(x.random.Float64() * float64(most))
}

// served tells whether the client has had every name since the faults ended.
func (x *tenant) served() bool {
	if x.calm == nil {
		x.calm = append([]int{}, x.had...)
	}
	for i, had := range x.had {
		if had <= x.calm[i] {
			return false
		}
	}
	return true
}

func (w *discovery) always() error {
	for i, s := range w.servers {
		holder := ""
		for _, x := range w.tenants {
			if !alive(x.h, x.r) || x.leases[i] == nil || !x.leases[i].Holds() {
				continue
			}
			if holder != "" {
				w.fail("one holder", "%s and %s both have %s", holder, x.id, s.name)
			}
			holder = x.id
		}
		if w.simple || holder == "" || s.Server == nil || !alive(s.h, s.r) || s.r.Now() < s.Opens() {
			continue
		}
		if known := s.Holder(s.name); known != holder {
			w.fail("server knows", "%s has %s, and by its server %q has it", holder, s.name, known)
		}
	}
	return w.first
}
