package sim

import "slices"

// Beside is another program on the machine of h: a Host with the name, Kernel, Reactor, program and clock
// of its own, and with h's addresses, links, ports, names of UNIX sockets and lock files. It is made when it is first
// asked for, by a name that no host of another machine may have. The clock begins as h's.
//
// Kill, Pause, GracefulRestart and Signal are of one program. Crash and Restart are of the machine: of all its
// programs. So one program can pass its sockets to another over a UNIX socket, and be killed. [RuleLeft] does not
// look at the ports and names of a machine with several programs.
func (h *Host) Beside(name string) *Host {
	n := h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if o := n.byName[name]; o != nil {
		if o.id != h.id {
			panic("sim: Beside: another machine has the name " + name)
		}
		return o
	}
	o := &Host{n: n, name: name, id: h.id, ip4: h.ip4, ip6: h.ip6, up: h.up, ports: h.ports, udp: h.udp, names: h.names, locks: h.locks, clock: h.clock}
	if h.machine == nil {
		h.machine = &machine{programs: []*Host{h}}
	}
	o.machine = h.machine
	h.machine.programs = append(h.machine.programs, o)
	for _, p := range h.machine.programs {
		p.shared = true
	}
	n.hosts = append(n.hosts, o)
	n.byName[name] = o
	o.boot()
	return o
}

// machine is what several programs run on.
type machine struct{ programs []*Host }

// machines are the first programs of all machines. All programs of a machine hear what comes to the first.
func (n *Net) machines() (list []*Host) {
	for _, h := range n.hosts {
		if n.byIP[h.ip4] == h {
			list = append(list, h)
		}
	}
	return list
}

// programs are those of the machine of h, h first.
func (h *Host) programs() []*Host {
	if h.machine == nil {
		return []*Host{h}
	}
	all := slices.DeleteFunc(slices.Clone(h.machine.programs), func(o *Host) bool { return o == h })
	return slices.Insert(all, 0, h)
}
