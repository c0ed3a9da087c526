package sim

import (
	"maps"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Host is a machine of a Net, with an IPv4 address, an IPv6 address and a loopback of its
// own.
type Host struct {
	// Kernel and Reactor are those of the host's program. Kill and Restart replace them.
	// The Net starts the reactor in the host's first turn, and turns it: do not call its
	// Run, Start or Turn.
	Kernel  kernel.Kernel
	Reactor *reactor.Reactor

	n        *Net
	name     string
	id       int
	ip4, ip6 netip.Addr
	up       bool
	k        *simKernel
	ports    map[netip.AddrPort]*port
	udp      map[uint16][]*sock    // of each UDP port, in the order in which they were bound
	names    map[string]*unixName  // of UNIX sockets
	locks    map[string]*simKernel // who has made the lock file of which name
	moving   []*sock               // that its programs have given to others, which have not taken them yet
	lastPort uint16
	lastUDP  uint16
	machine  *machine     // with more programs; nil: h is alone
	loops    []*Host      // of the program, h among them; nil: it has one
	shared   bool         // by kernels that drive themselves, or by more programs
	alone    []*simKernel // those, as long as they are open
	clock    clock
	paused   bool
	signals  []os.Signal // that came meanwhile
	program  func(*Host)
	begun    bool          // the reactor has been started
	starting bool          // the program is called in the next turn
	stopping bool          // the program ends in order, and is to start again
	renewed  []func()      // called when it does
	busy     time.Duration // until when a slow callback keeps the program
	slow     slowness
	proc     *proc // of a child
}

// port tells which sockets use an address and port of a host.
type port struct {
	listeners []*sock // several if all of them share the port
	dialled   int
	reusing   int // of those dialled
}

// Host is the host of that name. It is made when it is first asked for. The simulated
// resolver knows it by name.
func (n *Net) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.byName[name]; h != nil {
		return h
	}
	id := len(n.hosts) + 1
	h := &Host{
		n: n, name: name, id: id, up: true, ports: map[netip.AddrPort]*port{}, udp: map[uint16][]*sock{},
		names: map[string]*unixName{}, locks: map[string]*simKernel{},
		ip4: netip.AddrFrom4([4]byte{10, byte(id >> 16), byte(id >> 8), byte(id)}),
		ip6: netip.AddrFrom16([16]byte{0: 0xfd, 13: byte(id >> 16), 14: byte(id >> 8), 15: byte(id)}),
	}
	n.hosts = append(n.hosts, h)
	n.byName[name], n.byIP[h.ip4], n.byIP[h.ip6] = h, h, h
	h.boot()
	return h
}

// Hosts are all hosts, in the order in which they were made. The slice is the caller's.
func (n *Net) Hosts() []*Host { return n.everyHost() }

// Name is the host's name.
func (h *Host) Name() string { return h.name }

// Addr is the host's IPv4 address with that TCP port.
func (h *Host) Addr(port uint16) kernel.Addr { return kernel.TCPAddr(h.ip4, port) }

// Addr6 is the host's IPv6 address with that TCP port.
func (h *Host) Addr6(port uint16) kernel.Addr { return kernel.TCPAddr(h.ip6, port) }

// Up tells whether the host runs: it has not crashed, or was restarted since.
func (h *Host) Up() bool {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return h.up
}

// machineUp tells whether the machine of h answers what comes. A child that has exited leaves it up.
func (h *Host) machineUp() bool {
	if h.proc != nil {
		return h.proc.home.up
	}
	return h.up
}

// driven tells whether the host has a program that has not ended.
func (h *Host) driven() bool { return h.up && !h.k.ended }

// runs tells whether the host's reactor is turned: it is driven and not paused.
func (h *Host) runs() bool { return h.driven() && !h.paused }

// touch has the host's reactor turned.
func (h *Host) touch() { h.k.touched = true }

// Crash stops the host, as a power cut does: nothing of its program is called any more, and
// no peer is told. A peer that sends to it gets no answer until Restart, and then a reset;
// after Options.RetryTimeout it times out. In a callback of the host itself, the turn in
// progress still ends.
func (h *Host) Crash() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	for _, p := range h.programs() {
		p.crash()
	}
}

func (h *Host) crash() {
	if !h.up {
		return
	}
	h.n.noteHost(OpCrash, h)
	h.k.vanish(false)
	h.loseMoving()
	h.up, h.paused, h.signals = false, false, nil
	if h.proc != nil {
		h.proc.leave() // and its parent is gone too
	}
	h.n.probe(h)
	h.n.keepAlive()
}

// probe has the peers of h, which has crashed, ask for room in its buffers if they wait for
// it, as TCP does now and then. So they learn of the crash when h is up again, or give up.
func (n *Net) probe(h *Host) {
	for _, other := range n.everyProgram() {
		for _, s := range other.k.socks {
			f := s.out
			if f != nil && f.to.h == h && s.state == open && f.unsent > 0 && !f.dead && f.first == len(f.queue) {
				f.send(DATA, 0)
			}
		}
	}
}

// Kill ends the host's program, not the host: its connections are reset, its ports are freed,
// and Kernel and Reactor are replaced at once. The program given to Start is called again.
func (h *Host) Kill() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if !h.up {
		return
	}
	h.n.noteHost(OpKill, h)
	if h.proc != nil {
		h.n.killed(h.proc, syscall.SIGKILL)
		return
	}
	h.k.vanish(true)
	h.boot()
}

// Restart starts a crashed host again, with a new Kernel and Reactor and no connections. A
// host that is up crashes first. The program given to Start is called again.
func (h *Host) Restart() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	all := h.programs()
	for _, p := range all {
		p.crash()
	}
	for _, p := range all {
		if p.proc != nil {
			continue // it is for its parent to start it again
		}
		p.n.noteHost(OpRestart, p)
		p.up = true
		p.boot()
	}
	h.n.unpark()
}

// local tells whether ip is one of the host's own.
func (h *Host) local(ip netip.Addr) bool {
	return ip == h.ip4 || ip == h.ip6 || ip.IsLoopback()
}

// source is the address from which the host connects to ip.
func (h *Host) source(ip netip.Addr) netip.Addr {
	switch {
	case h.local(ip) && !(ip.Is4() && ip.IsLoopback()):
		return ip
	case ip.IsLoopback():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case ip.Is4():
		return h.ip4
	}
	return h.ip6
}

// listening are the sockets that listen on a: on that address, or on the unspecified one.
func (h *Host) listening(a netip.AddrPort) []*sock {
	if p := h.ports[a]; p != nil && len(p.listeners) > 0 {
		return p.listeners
	}
	if p := h.ports[netip.AddrPortFrom(unspecified(a.Addr()), a.Port())]; p != nil {
		return p.listeners
	}
	return nil
}

// listener is the socket that gets a connection to a, nil if there is none. Several share
// what comes by chance.
func (h *Host) listener(a netip.AddrPort) *sock {
	switch ls := h.listening(a); len(ls) {
	case 0:
		return nil
	case 1:
		return ls[0]
	default:
		return ls[h.n.random.below(len(ls))]
	}
}

func unspecified(ip netip.Addr) netip.Addr {
	if ip.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// The range of ports that are given out, as Linux has it.
const (
	firstPort = 32768
	lastPort  = 60999
)

// freePort is a port that no socket uses on ip, 0 if there is none.
func (h *Host) freePort(ip netip.Addr) uint16 {
	if h.lastPort == 0 {
		h.lastPort = uint16(firstPort + h.n.random.below(lastPort-firstPort))
	}
	for range lastPort - firstPort + 1 {
		if h.lastPort++; h.lastPort > lastPort {
			h.lastPort = firstPort
		}
		if h.ports[netip.AddrPortFrom(ip, h.lastPort)] == nil &&
			h.ports[netip.AddrPortFrom(unspecified(ip), h.lastPort)] == nil {
			return h.lastPort
		}
	}
	return 0
}

// taken tells whether a cannot be bound. A listener on a, or on its port of the unspecified
// address, takes it, and so does a dialled socket on a. If a is the unspecified
// address, any socket on that port of the host takes it. Sockets that share do not take it
// from each other.
func (h *Host) taken(a netip.AddrPort, u use) bool {
	if h.ports[a].refuses(u) || h.ports[netip.AddrPortFrom(unspecified(a.Addr()), a.Port())].refuses(u) {
		return true
	}
	if !a.Addr().IsUnspecified() {
		return false
	}
	return slices.ContainsFunc(slices.SortedFunc(maps.Keys(h.ports), netip.AddrPort.Compare), func(at netip.AddrPort) bool {
		return at.Port() == a.Port() && at.Addr().Is4() == a.Addr().Is4() && h.ports[at].refuses(u)
	})
}

// refuses tells whether the sockets of p, which may be nil, have it for themselves.
func (p *port) refuses(u use) bool {
	if p == nil {
		return false
	}
	for _, s := range p.listeners {
		if !u.listens || !u.shares || !s.l.shares {
			return true
		}
	}
	return p.dialled > 0 && (u.listens || !u.shares || p.reusing < p.dialled)
}

// connected tells whether a socket of the host is connected, or connects, from one address to
// another.
func (h *Host) connected(from, to netip.AddrPort) bool {
	for _, p := range h.programs() {
		for _, k := range append([]*simKernel{p.k}, p.alone...) {
			for _, s := range k.socks {
				if s.dialled && s.local.IP == from && s.remote.IP == to {
					return true
				}
			}
		}
	}
	return false
}

func (h *Host) port(a netip.AddrPort) *port {
	p := h.ports[a]
	if p == nil {
		p = &port{}
		h.ports[a] = p
	}
	return p
}

// leave gives a port back.
func (h *Host) leave(s *sock) {
	a := s.local.IP
	p := h.ports[a]
	if p == nil {
		return
	}
	switch {
	case s.l != nil:
		p.listeners = slices.DeleteFunc(p.listeners, func(x *sock) bool { return x == s })
	case s.dialled:
		p.dialled--
		if s.reuses {
			p.reusing--
		}
	}
	if len(p.listeners) == 0 && p.dialled == 0 {
		delete(h.ports, a)
	}
}
