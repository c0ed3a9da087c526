//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// membership is a group that a socket has joined.
type membership struct {
	kernel.Group
	index int // of the interface; 0: the system has chosen it
}

// JoinGroup joins g.
func (s *udpConn) JoinGroup(g kernel.Group) error {
	if s.fd < 0 {
		return s.opError(kernel.OpJoin, badFD)
	}
	if err := kernel.CheckGroup(kernel.OpJoin, s.at, g); err != nil {
		return err
	}
	failed := func(err error) error { return &kernel.GroupError{Op: kernel.OpJoin, Group: g, Err: err} }
	if s.membership(g) >= 0 {
		return failed(kernel.ErrJoined)
	}
	index, ok := s.groupIndex(g)
	if !ok {
		return failed(kernel.ErrNoInterface)
	}
	switch err := s.changeGroup(g, index, true); {
	case err == nil:
	case err == unix.EADDRINUSE, err == unix.EADDRNOTAVAIL && g.Source.IsValid():
		// Either we have joined under another name of the interface, or somebody else who has the socket has joined.
		if !s.adopted || s.joinedAt(g, index) {
			return failed(kernel.ErrJoined)
		}
	default:
		return failed(groupError(kernel.OpJoin, err))
	}
	s.groups = append(s.groups, membership{g, index})
	return nil
}

// LeaveGroup leaves g. Of an adopted socket the system knows more groups than we do.
func (s *udpConn) LeaveGroup(g kernel.Group) error {
	if s.fd < 0 {
		return s.opError(kernel.OpLeave, badFD)
	}
	if err := kernel.CheckGroup(kernel.OpLeave, s.at, g); err != nil {
		return err
	}
	failed := func(err error) error { return &kernel.GroupError{Op: kernel.OpLeave, Group: g, Err: err} }
	i, index := s.membership(g), 0
	switch {
	case i >= 0:
		index = s.groups[i].index
		s.groups = slices.Delete(s.groups, i, i+1)
	case !s.adopted:
		return failed(kernel.ErrNotJoined)
	default:
		var ok bool
		if index, ok = s.groupIndex(g); !ok {
			return failed(kernel.ErrNoInterface)
		}
	}
	switch err := s.changeGroup(g, index, false); err {
	case nil:
		return nil
	case unix.EADDRNOTAVAIL:
		return failed(kernel.ErrNotJoined)
	default:
		return failed(groupError(kernel.OpLeave, err))
	}
}

// membership is the place of g in groups, or -1.
func (s *udpConn) membership(g kernel.Group) int {
	return slices.IndexFunc(s.groups, func(m membership) bool { return m.Group == g })
}

// joinedAt tells whether we have joined g on the interface of that index, under any name. An interface that the system has
// chosen may be that one.
func (s *udpConn) joinedAt(g kernel.Group, index int) bool {
	return slices.ContainsFunc(s.groups, func(m membership) bool {
		return m.IP.WithZone("") == g.IP.WithZone("") && m.Source == g.Source && (m.index == index || m.index == 0 || index == 0)
	})
}

// groupError is the cause of a GroupError.
func groupError(op string, err error) error {
	switch err {
	case unix.ENODEV, unix.ENXIO:
		return kernel.ErrNoInterface
	case unix.ENOBUFS, unix.ENOMEM, unix.ETOOMANYREFS:
		return &kernel.SysError{Op: op, Kind: kernel.ErrNoResources, Errno: errnoOf(err)}
	}
	return opError(op, err)
}

// groupIndex finds the interface of g: the scope of its address, unless g names one.
func (s *udpConn) groupIndex(g kernel.Group) (index int, ok bool) {
	if g.Interface == "" {
		return s.interfaceIndex(g.IP.Zone())
	}
	return s.interfaceIndex(g.Interface)
}

// interfaceIndex finds an interface by its name, one of its addresses, or its number. "" is 0.
func (s *udpConn) interfaceIndex(name string) (index int, ok bool) {
	if name == "" {
		return 0, true
	}
	if index, ok := interfaceIndex(int(s.fd), name); ok {
		return int(index), true
	}
	if i, err := net.InterfaceByName(name); err == nil {
		return i.Index, true
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return interfaceOf(ip)
	}
	n, err := strconv.Atoi(name)
	if err != nil || n <= 0 {
		return 0, false
	}
	_, err = net.InterfaceByIndex(n)
	return n, err == nil
}

// interfaceOf finds the interface that has the address ip.
func interfaceOf(ip netip.Addr) (index int, ok bool) {
	all, err := net.Interfaces()
	if err != nil {
		return 0, false
	}
	for _, i := range all {
		if ip.Zone() != "" && ip.Zone() != i.Name && ip.Zone() != strconv.Itoa(i.Index) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				if have, ok := netip.AddrFromSlice(n.IP); ok && have.Unmap() == ip.WithZone("").Unmap() {
					return i.Index, true
				}
			}
		}
	}
	return 0, false
}

// is4 tells whether the socket is one of IPv4.
func (s *udpConn) is4() bool { return s.at.IP.Addr().Is4() }

// SetMulticastTTL sets IP_MULTICAST_TTL, or IPV6_MULTICAST_HOPS.
func (s *udpConn) SetMulticastTTL(n int) error {
	if err := kernel.CheckMulticastTTL(n); err != nil {
		return err
	}
	if s.is4() {
		return s.setByte("MulticastTTL", unix.IP_MULTICAST_TTL, n)
	}
	return s.setOption(kernel.OpOption, "MulticastTTL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, n)
}

// MulticastTTL asks the system.
func (s *udpConn) MulticastTTL() (int, error) {
	if s.is4() {
		return s.byteOf("MulticastTTL", unix.IP_MULTICAST_TTL)
	}
	return s.option("MulticastTTL", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS)
}

// SetMulticastLoopback sets IP_MULTICAST_LOOP, or IPV6_MULTICAST_LOOP.
func (s *udpConn) SetMulticastLoopback(v bool) error {
	if s.is4() {
		return s.setByte("MulticastLoopback", unix.IP_MULTICAST_LOOP, on(v))
	}
	return s.setOption(kernel.OpOption, "MulticastLoopback", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, on(v))
}

// MulticastLoopback asks the system.
func (s *udpConn) MulticastLoopback() (bool, error) {
	if s.is4() {
		v, err := s.byteOf("MulticastLoopback", unix.IP_MULTICAST_LOOP)
		return v != 0, err
	}
	v, err := s.option("MulticastLoopback", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP)
	return v != 0, err
}

// SetMulticastInterface sets IP_MULTICAST_IF, or IPV6_MULTICAST_IF.
func (s *udpConn) SetMulticastInterface(name string) error {
	if s.fd < 0 {
		return s.opError(kernel.OpOption, badFD)
	}
	failed := func(err error) error {
		return &kernel.OptionError{Op: kernel.OpOption, Option: "MulticastInterface", Value: name, Err: err}
	}
	index, ok := s.interfaceIndex(name)
	if !ok {
		return failed(kernel.ErrNoInterface)
	}
	var err error
	if s.is4() {
		err = leaveBy4(int(s.fd), index)
	} else {
		err = unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index)
	}
	if err != nil {
		// Without an address, an interface cannot send to a group of IPv4.
		return failed(errors.Join(kernel.ErrNoInterface, groupError("setsockopt", err)))
	}
	s.leaveBy = name
	return nil
}

// MulticastInterface is what was set.
func (s *udpConn) MulticastInterface() (string, error) {
	if s.fd < 0 {
		return "", s.opError(kernel.OpOption, badFD)
	}
	return s.leaveBy, nil
}
