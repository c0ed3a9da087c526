package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// card is a network interface of a host. Each has the same two.
type card uint8

const (
	loopbackCard card = iota + 1 // "lo"
	ethernetCard                 // "eth0", through which hosts hear each other
)

// multicast is what a datagram socket has to do with groups.
type multicast struct {
	groups   []membership
	ttl      int
	loopback bool
	leavesBy string // the interface, as it was given
}

// membership is a group that was joined.
type membership struct {
	ip, source netip.Addr
	card       card
}

// mostGroups is how many groups of IPv4 a socket may join, on Linux.
const mostGroups = 20

// cardOf is the interface that is meant by a name, a number or an address; "" is the one that the routes choose.
func (h *Host) cardOf(name string) (card, error) {
	switch name {
	case "lo", "1":
		return loopbackCard, nil
	case "", "eth0", "2":
		return ethernetCard, nil
	}
	ip, err := netip.ParseAddr(name)
	switch {
	case err != nil || !h.local(ip):
		return 0, kernel.ErrNoInterface
	case ip.IsLoopback():
		return loopbackCard, nil
	}
	return ethernetCard, nil
}

// joined tells whether s has joined the group to which d was sent, and hears it on this interface from its sender.
func (s *sock) joined(d *datagram) bool {
	ip := d.dst.Addr()
	if mine := s.local.IP.Addr(); !mine.IsUnspecified() && mine != ip {
		return false
	}
	return slices.ContainsFunc(s.p.groups, func(m membership) bool {
		return m.ip == ip && m.card == d.card && (!m.source.IsValid() || m.source == d.src.Addr())
	})
}

// leaves is the interface by which what s sends to a group leaves.
func (s *sock) leaves(group, from netip.Addr) (card, error) {
	name := s.p.leavesBy
	switch {
	case group.Zone() != "":
		name = group.Zone()
	case name == "" && from.IsValid():
		name = from.String()
	}
	c, err := s.h.cardOf(name)
	if err != nil {
		err = fail(kernel.OpWrite, kernel.ErrNoRoute)
	}
	return c, err
}

// audience are the hosts that hear what s sends to a group. A host of which no socket has joined is not among them.
func (s *sock) audience(r route) (list []*Host) {
	d := &datagram{src: r.src, dst: r.dst, card: r.card}
	far := r.card == ethernetCard && s.p.ttl > 0 && !r.dst.Addr().IsInterfaceLocalMulticast()
	for _, h := range s.h.n.machines() {
		own := h.id == s.h.id
		if (own && s.p.loopback || !own && far) && len(h.receivers(d)) > 0 {
			list = append(list, h)
		}
	}
	return list
}

// member turns a Group into what s has if it has joined it.
func (s *sock) member(op string, g kernel.Group) (m membership, err error) {
	if err = kernel.CheckGroup(op, s.local, g); err != nil {
		return m, err
	}
	name := g.Interface
	if name == "" {
		name = g.IP.Zone()
	}
	c, err := s.h.cardOf(name)
	if err != nil {
		return m, &kernel.GroupError{Op: op, Group: g, Err: err}
	}
	return membership{g.IP.WithZone(""), g.Source.WithZone(""), c}, nil
}

// JoinGroup is kernel.Multicast.
func (c *udpConn) JoinGroup(g kernel.Group) error { return c.change(kernel.OpJoin, g) }

// LeaveGroup is kernel.Multicast.
func (c *udpConn) LeaveGroup(g kernel.Group) error { return c.change(kernel.OpLeave, g) }

// change joins or leaves a group.
func (c *udpConn) change(op string, g kernel.Group) error {
	s := c.s
	n := s.lock()
	defer n.mu.Unlock()
	if s.noHandle() {
		return kernel.ErrClosed
	}
	m, err := s.member(op, g)
	if err != nil {
		return err
	}
	bad := func(err error) error { return &kernel.GroupError{Op: op, Group: g, Err: err} }
	i := slices.Index(s.p.groups, m)
	switch {
	case op == kernel.OpLeave && i < 0:
		return bad(kernel.ErrNotJoined)
	case op == kernel.OpLeave:
		s.p.groups = slices.Delete(s.p.groups, i, i+1)
		c.joined = slices.DeleteFunc(c.joined, func(x membership) bool { return x == m })
		n.note(OpLeave, s, 0)
		return nil
	case i >= 0 && (s.of == nil || slices.Contains(c.joined, m)):
		return bad(kernel.ErrJoined)
	case i >= 0: // somebody else who has the socket has joined
		c.joined = append(c.joined, m)
		return nil
	case m.ip.Is4() && len(s.p.groups) >= mostGroups:
		return bad(fail(op, kernel.ErrNoResources))
	}
	s.p.groups = append(s.p.groups, m)
	c.joined = append(c.joined, m)
	n.note(OpJoin, s, 0)
	return nil
}

// SetMulticastTTL is kernel.Multicast.
func (c *udpConn) SetMulticastTTL(ttl int) error {
	return c.set(kernel.CheckMulticastTTL(ttl), func(p *packets) { p.ttl = ttl })
}

// MulticastTTL is kernel.Multicast.
func (c *udpConn) MulticastTTL() (int, error) { return get(c.s, func() int { return c.s.p.ttl }) }

// SetMulticastLoopback is kernel.Multicast.
func (c *udpConn) SetMulticastLoopback(on bool) error {
	return c.set(nil, func(p *packets) { p.loopback = on })
}

// MulticastLoopback is kernel.Multicast.
func (c *udpConn) MulticastLoopback() (bool, error) {
	return get(c.s, func() bool { return c.s.p.loopback })
}

// SetMulticastInterface is kernel.Multicast.
func (c *udpConn) SetMulticastInterface(name string) error {
	_, err := c.s.h.cardOf(name)
	if err != nil {
		err = refused("MulticastInterface", name, err)
	}
	return c.set(err, func(p *packets) { p.leavesBy = name })
}

// MulticastInterface is kernel.Multicast.
func (c *udpConn) MulticastInterface() (string, error) {
	return get(c.s, func() string { return c.s.p.leavesBy })
}

// refused is the error of a setting.
func refused(option string, value any, why error) error {
	return &kernel.OptionError{Op: kernel.OpOption, Option: option, Value: value, Err: why}
}

// set changes the options, unless the socket is closed or err is not nil.
func (c *packetConn) set(err error, change func(*packets)) error {
	s := c.s
	n := s.lock()
	defer n.mu.Unlock()
	if s.noHandle() {
		return kernel.ErrClosed
	}
	if err == nil {
		change(s.p)
		s.notify()
	}
	return err
}

// SetBroadcast is kernel.PacketSettings.
func (c *packetConn) SetBroadcast(on bool) error {
	var err error
	if on && c.s.local.Net != kernel.UDP {
		err = refused("Broadcast", on, fmt.Errorf("%w: a UNIX address has no broadcast", kernel.ErrInvalidOption))
	}
	return c.set(err, func(p *packets) { p.broadcast = on })
}

// Broadcast is kernel.PacketSettings.
func (c *packetConn) Broadcast() (bool, error) {
	return get(c.s, func() bool { return c.s.p.broadcast })
}

// SetSendBuffer is kernel.PacketSettings.
func (c *packetConn) SetSendBuffer(size int) error {
	return c.set(kernel.CheckBuffer("SendBuffer", size), func(p *packets) { p.sendBuffer = size })
}

// SendBuffer is kernel.PacketSettings.
func (c *packetConn) SendBuffer() (int, error) { return get(c.s, c.s.packetSendBuffer) }

// SetRecvBuffer is kernel.PacketSettings. What waits to be read already stays.
func (c *packetConn) SetRecvBuffer(size int) error {
	return c.set(kernel.CheckBuffer("RecvBuffer", size), func(p *packets) { p.recvBuffer = size })
}

// RecvBuffer is kernel.PacketSettings.
func (c *packetConn) RecvBuffer() (int, error) { return get(c.s, c.s.packetRecvBuffer) }

// Lost is kernel.PacketSettings.
func (c *packetConn) Lost() uint64 {
	n := c.s.lock()
	defer n.mu.Unlock()
	return c.s.p.lost - c.before
}

// packetSendBuffer is from how many bytes of datagrams that wait to leave the host a UDP socket takes no more, and the size of the largest
// datagram of a UNIX socket.
func (s *sock) packetSendBuffer() int {
	return or(s.p.sendBuffer, packetSendBuffer)
}

// packetRecvBuffer is how many bytes of datagrams may wait to be read. One is always taken if none waits.
func (s *sock) packetRecvBuffer() int {
	if s.local.Net != kernel.UDP {
		return or(s.p.recvBuffer, kernel.DefaultPacketBuffer)
	}
	return or(s.p.recvBuffer, or(s.h.n.Options.PacketBuffer, kernel.DefaultPacketBuffer))
}
