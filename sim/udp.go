package sim

import (
	"net/netip"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// broadcast is the address of all hosts, and near that of this host's loopback. There are no other networks with such
// an address.
func broadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }
func near() netip.Addr      { return netip.AddrFrom4([4]byte{127, 255, 255, 255}) }

// isGroup tells whether several sockets may receive what is sent to ip.
func isGroup(ip netip.Addr) bool { return ip.IsMulticast() || ip == broadcast() || ip == near() }

// UDPAddr is the host's IPv4 address with that UDP port.
func (h *Host) UDPAddr(port uint16) kernel.Addr { return kernel.UDPAddr(h.ip4, port) }

// UDPAddr6 is the host's IPv6 address with that UDP port.
func (h *Host) UDPAddr6(port uint16) kernel.Addr { return kernel.UDPAddr(h.ip6, port) }

// kernels are that of the host's program, and those that drive themselves.
func (h *Host) kernels() []*simKernel { return append([]*simKernel{h.k}, h.alone...) }

// bindUDP finds the local address for a socket.
func (k *simKernel) bindUDP(a netip.AddrPort, p *packets) (netip.AddrPort, error) {
	ip := a.Addr()
	switch {
	case !k.h.local(ip) && !ip.IsUnspecified() && !ip.IsMulticast():
		return a, fail(kernel.OpBind, kernel.ErrAddrUnavailable)
	case a.Port() == 0:
		port := k.h.freeUDP()
		if port == 0 {
			return a, fail(kernel.OpBind, kernel.ErrAddrUnavailable)
		}
		return netip.AddrPortFrom(ip, port), nil
	case slices.ContainsFunc(k.h.udp[a.Port()], func(s *sock) bool { return s.excludes(ip, p) }):
		return a, fail(kernel.OpBind, kernel.ErrAddrInUse)
	}
	return a, nil
}

// excludes tells whether no socket with the options p can be bound to ip and the port of s.
func (s *sock) excludes(ip netip.Addr, p *packets) bool {
	mine := s.local.IP.Addr()
	return mine.Is4() == ip.Is4() && (mine == ip || mine.IsUnspecified() || ip.IsUnspecified()) &&
		!(s.p.shared && p.shared) && !(s.p.reuses && p.reuses)
}

// freeUDP is a port that no socket uses, 0 if there is none.
func (h *Host) freeUDP() uint16 {
	if h.lastUDP == 0 {
		h.lastUDP = uint16(firstPort + h.n.air.random.below(lastPort-firstPort))
	}
	for range lastPort - firstPort + 1 {
		if h.lastUDP++; h.lastUDP > lastPort {
			h.lastUDP = firstPort
		}
		if len(h.udp[h.lastUDP]) == 0 {
			return h.lastUDP
		}
	}
	return 0
}

// takes tells whether s receives what is sent to ip, an address of its host, or the broadcast address.
func (s *sock) takes(ip netip.Addr) bool {
	mine := s.local.IP.Addr()
	return mine == ip || mine.IsUnspecified() && mine.Is4() == ip.Is4()
}

// hears tells whether s receives d, which was sent to its port.
func (s *sock) hears(d *datagram) bool {
	if s.remote.IP.IsValid() && s.remote.IP != d.src {
		return false
	}
	if d.dst.Addr().IsMulticast() {
		return s.joined(d)
	}
	return s.takes(d.dst.Addr())
}

// receivers are the sockets that receive d: all that hear it if it was sent to a group, otherwise one. As on
// Linux that is one that is connected, or else one that is bound to the address.
func (h *Host) receivers(d *datagram) (list []*sock) {
	best := 0
	for _, s := range h.udp[d.dst.Port()] {
		if !s.hears(d) {
			continue
		}
		score := 1
		switch {
		case isGroup(d.dst.Addr()):
		case s.remote.IP.IsValid():
			score = 3
		case !s.local.IP.Addr().IsUnspecified():
			score = 2
		}
		if score > best {
			best, list = score, nil
		}
		if score == best {
			list = append(list, s)
		}
	}
	if len(list) < 2 || isGroup(d.dst.Addr()) {
		return list
	}
	var i int
	if list[0].p.reuses { // the sender decides
		ip := d.src.Addr().As16()
		i = int((checksum(ip[:]) + uint64(d.src.Port())*0x9e3779b97f4a7c15) >> 16 % uint64(len(list)))
	} else {
		i = h.n.air.random.below(len(list))
	}
	return list[i : i+1]
}

// came is the address of the host to which d came. For an IPv6 group systems do not tell it.
func (h *Host) came(d *datagram) netip.Addr {
	switch ip := d.dst.Addr(); {
	case !isGroup(ip):
		return ip
	case ip.Is6():
		return netip.Addr{}
	}
	return h.on(d.card, true)
}

// on is the address of a network card.
func (h *Host) on(c card, four bool) netip.Addr {
	switch {
	case c == loopbackCard && four:
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case c == loopbackCard:
		return netip.IPv6Loopback()
	case four:
		return h.ip4
	}
	return h.ip6
}

// route is where a datagram goes.
type route struct {
	src, dst netip.AddrPort
	card     card // by which it leaves
	hosts    []*Host
}

// route finds the way to a. from is the address that it is to come from; if it is not valid, that of the
// socket, or else of the host.
func (s *sock) route(op string, a netip.AddrPort, from netip.Addr) (r route, err error) {
	h, ip := s.h, a.Addr()
	r.dst = plain(a)
	if ip.IsUnspecified() { // as systems have it
		ip = h.on(loopbackCard, ip.Is4())
		r.dst = netip.AddrPortFrom(ip, a.Port())
	}
	mine := s.local.IP.Addr()
	switch {
	case from.IsValid() && (!h.local(from) || from.Is4() != mine.Is4()):
		return route{}, fail(op, kernel.ErrAddrUnavailable)
	case !from.IsValid() && h.local(mine):
		from = mine
	}
	r.card = ethernetCard
	switch {
	case ip.IsMulticast():
		r.card, err = s.leaves(ip, from)
		if err != nil {
			return route{}, err
		}
	case (ip == broadcast() || ip == near()) && !s.p.broadcast:
		return route{}, fail(op, kernel.ErrPermission)
	case ip == broadcast():
		r.hosts = h.n.machines()
	case ip == near():
		r.card, r.hosts = loopbackCard, []*Host{h}
	case h.local(r.dst.Addr()):
		r.hosts = []*Host{h}
	case h.n.byIP[r.dst.Addr()] == nil, from.IsValid() && from.IsLoopback():
		return route{}, fail(op, kernel.ErrNoRoute)
	default:
		r.hosts = []*Host{h.n.byIP[r.dst.Addr()]}
	}
	switch {
	case from.IsValid():
	case isGroup(r.dst.Addr()):
		from = h.on(r.card, r.dst.Addr().Is4())
	default:
		from = h.source(r.dst.Addr())
	}
	r.src = netip.AddrPortFrom(from, s.local.IP.Port())
	return r, nil
}

// connectUDP is Connect. As on Linux it fixes our address too, if that was unspecified.
func (s *sock) connectUDP(a netip.AddrPort) error {
	r, err := s.route(kernel.OpConnect, a, netip.Addr{})
	if err == nil {
		s.remote, s.local = kernel.Addr{Net: kernel.UDP, IP: r.dst}, kernel.Addr{Net: kernel.UDP, IP: r.src}
	}
	return err
}

// writeUDP sends a datagram, or all of a train: the buffer is looked at once, because what is refused is sent again.
func (s *sock) writeUDP(to netip.AddrPort, p *kernel.Packet) error {
	n, most := s.h.n, kernel.MaxDatagram
	if !s.local.IP.Addr().Is4() {
		most += 20
	}
	var one [1]kernel.Packet // most are no train
	all := p.AppendDatagrams(one[:0])
	if len(all[0].Data) > most {
		return fail(kernel.OpWrite, kernel.ErrMessageSize)
	}
	r, err := s.route(kernel.OpWrite, to, p.Local)
	if err != nil {
		return err
	}
	if s.p.unsent >= s.packetSendBuffer() {
		return kernel.ErrAgain
	}
	if r.dst.Addr().IsMulticast() {
		r.hosts = s.audience(r)
	}
	for i := range all {
		for _, h := range r.hosts {
			d := s.newDatagram(all[i].Data, h)
			d.src, d.dst, d.card, d.link = r.src, r.dst, r.card, n.link(s.h, h)
			n.air.counts.Sent++
			d.fly()
		}
	}
	return nil
}
