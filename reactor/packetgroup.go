package reactor

import (
	"errors"
	"net/netip"
	"strconv"

	"github.com/whorl-go/whorl/kernel"
)

// Join has what is sent to a group delivered to the port too, and Leave is the reverse. g may have a source (MC-8). The
// error is a [*kernel.GroupError], which says what is wrong with g (MC-6): kernel.ErrInvalidAddr, ErrJoined,
// ErrNotJoined, ErrNoInterface; kernel.ErrUnsupported on a port that has no groups, such as one of UNIX; or ErrClosed.
func (t *PacketPort) Join(g kernel.Group) error {
	return t.group(kernel.OpJoin, g, kernel.Multicast.JoinGroup)
}

// Leave is described by Join.
func (t *PacketPort) Leave(g kernel.Group) error {
	return t.group(kernel.OpLeave, g, kernel.Multicast.LeaveGroup)
}

func (t *PacketPort) group(op string, g kernel.Group, do func(kernel.Multicast, kernel.Group) error) error {
	m, err := t.Multicast()
	if err == nil {
		return do(m, g)
	}
	return &kernel.GroupError{Op: op, Group: g, Err: err}
}

// Multicast is the socket's settings for groups: TTL, loopback, and the interface that datagrams leave by (MC-2,
// MC-3). The error is kernel.ErrUnsupported for a socket without groups, or ErrClosed.
func (t *PacketPort) Multicast() (kernel.Multicast, error) {
	if t.state == portStopped {
		return nil, ErrClosed
	}
	if m, ok := kernel.PacketAs[kernel.Multicast](t.conn); ok {
		return m, nil
	}
	return nil, kernel.ErrUnsupported
}

// JoinGroup is Join with names that may have to be resolved: group is a group's address or a host name for one, and iface
// the name, the number or an address of an interface, or a host name for such an address; "" leaves it to the
// system. done is called once, later, with nil or the error of Join (MC-5), or with ErrStopped before JoinGroup returns if the
// reactor has stopped (THR-32). It may be nil.
func (t *PacketPort) JoinGroup(group, iface string, done func(error)) {
	t.groupByName(group, iface, t.Join, done)
}

// LeaveGroup is Leave with names, as JoinGroup is Join.
func (t *PacketPort) LeaveGroup(group, iface string, done func(error)) {
	t.groupByName(group, iface, t.Leave, done)
}

// SetMulticastInterface chooses the interface that datagrams to groups leave by. name is what iface is for JoinGroup. done is
// called once, as that of JoinGroup, with nil or the error (MC-4, MC-7). It may be nil.
func (t *PacketPort) SetMulticastInterface(name string, done func(error)) {
	t.r.Tell(func(stopped error) {
		if stopped != nil {
			t.answer(done, stopped)
			return
		}
		t.withInterface(name, func(name string) error {
			m, err := t.Multicast()
			if err == nil {
				err = m.SetMulticastInterface(name)
			}
			return err
		}, done)
	})
}

// groupByName resolves group and iface, and then has do join or leave.
func (t *PacketPort) groupByName(group, iface string, do func(kernel.Group) error, done func(error)) {
	t.r.Resolve(group, func(ips []netip.Addr, err error) {
		if err != nil {
			t.answer(done, err)
			return
		}
		ip := t.choose(ips)
		t.withInterface(iface, func(name string) error { return do(kernel.Group{IP: ip, Interface: name}) }, done)
	})
}

// choose is the first of ips that has the family of the port, or the first at all, which is then refused.
func (t *PacketPort) choose(ips []netip.Addr) netip.Addr {
	for _, ip := range ips {
		if ip.Is4() == t.local.IP.Addr().Is4() {
			return ip
		}
	}
	return ips[0]
}

// withInterface calls do with name. If there is no such interface, and name may be one of a host, it calls do again with the
// address of that host.
func (t *PacketPort) withInterface(name string, do func(string) error, done func(error)) {
	err := do(name)
	if !errors.Is(err, kernel.ErrNoInterface) || !isHostName(name) {
		t.answer(done, err)
		return
	}
	t.r.Resolve(name, func(ips []netip.Addr, unknown error) {
		if unknown == nil {
			err = do(t.choose(ips).String())
		}
		t.answer(done, err)
	})
}

// isHostName tells whether the name of an interface is neither an address nor a number.
func isHostName(name string) bool {
	_, notIP := netip.ParseAddr(name)
	_, notNumber := strconv.Atoi(name)
	return name != "" && notIP != nil && notNumber != nil
}

func (t *PacketPort) answer(done func(error), err error) {
	if done != nil {
		_ = t.r.guard("JoinGroup", func() { done(err) })
	}
}
