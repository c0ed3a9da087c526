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

// JoinGroup joins a group.
func (s *udpConn) JoinGroup(g kernel.Group) error { return s.changeGroup(kernel.OpJoin, g) }

// LeaveGroup leaves a group.
func (s *udpConn) LeaveGroup(g kernel.Group) error { return s.changeGroup(kernel.OpLeave, g) }

func (s *udpConn) changeGroup(op string, g kernel.Group) error {
	failed := func(err error) error { return &kernel.GroupError{Op: op, Group: g, Err: err} }
	if s.fd < 0 {
		return s.opError(op, badFD)
	}
	if err := kernel.CheckGroup(op, s.Local(), g); err != nil {
		return err
	}
	at, err := findInterface(g.Interface)
	if err == nil && g.Interface == "" && g.IP.Zone() != "" {
		at, err = findInterface(g.IP.Zone())
	}
	if err != nil {
		return failed(err)
	}
	// To leave a group of IPv6 on no interface, systems take any on which it was joined.
	bare := kernel.Group{IP: g.IP.WithZone(""), Source: g.Source.WithZone("")}
	i := slices.Index(s.chosen, bare)
	byRoutes := at == nil && !s.is4() && !s.adopted
	if op == kernel.OpLeave && byRoutes && i < 0 {
		return failed(kernel.ErrNotJoined)
	}
	err = s.groupOption(op, g, at)
	switch {
	case err == nil && byRoutes && op == kernel.OpJoin:
		s.chosen = append(s.chosen, bare)
		return nil
	case err == nil && byRoutes:
		s.chosen = slices.Delete(s.chosen, i, i+1)
		return nil
	case err == nil:
		return nil
	case op == kernel.OpJoin && errors.Is(err, unix.EADDRINUSE), op == kernel.OpJoin && g.Source.IsValid() && errors.Is(err, unix.EADDRNOTAVAIL):
		return failed(&kernel.SysError{Op: op, Kind: kernel.ErrJoined, Errno: errnoOf(err)})
	case op == kernel.OpLeave && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV)):
		return failed(&kernel.SysError{Op: op, Kind: kernel.ErrNotJoined, Errno: errnoOf(err)})
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return failed(&kernel.SysError{Op: op, Kind: kernel.ErrNoInterface, Errno: errnoOf(err)})
	}
	return failed(opError(op, err))
}

// findInterface returns the interface that name, number or address means; nil for "". The error is
// ErrNoInterface.
func findInterface(name string) (*net.Interface, error) {
	if name == "" {
		return nil, nil
	}
	if i, err := net.InterfaceByName(name); err == nil {
		return i, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		if i, err := net.InterfaceByIndex(n); err == nil {
			return i, nil
		}
		return nil, kernel.ErrNoInterface
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return nil, kernel.ErrNoInterface
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range all {
		addrs, err := all[i].Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().WithZone("") == ip.Unmap().WithZone("") {
				return &all[i], nil
			}
		}
	}
	return nil, kernel.ErrNoInterface
}

// is4 tells whether the socket is one of IPv4.
func (s *udpConn) is4() bool { return s.Local().IP.Addr().Is4() }

// SetMulticastTTL sets IP_MULTICAST_TTL or IPV6_MULTICAST_HOPS.
func (s *udpConn) SetMulticastTTL(n int) error {
	if err := kernel.CheckMulticastTTL(n); err != nil {
		return err
	}
	return s.setMulticast("MulticastTTL", unix.IP_MULTICAST_TTL, unix.IPV6_MULTICAST_HOPS, n)
}

// MulticastTTL asks for it.
func (s *udpConn) MulticastTTL() (int, error) {
	return s.multicast("MulticastTTL", unix.IP_MULTICAST_TTL, unix.IPV6_MULTICAST_HOPS)
}

// SetMulticastLoopback sets IP_MULTICAST_LOOP or IPV6_MULTICAST_LOOP.
func (s *udpConn) SetMulticastLoopback(v bool) error {
	return s.setMulticast("MulticastLoopback", unix.IP_MULTICAST_LOOP, unix.IPV6_MULTICAST_LOOP, on(v))
}

// MulticastLoopback asks for it.
func (s *udpConn) MulticastLoopback() (bool, error) {
	v, err := s.multicast("MulticastLoopback", unix.IP_MULTICAST_LOOP, unix.IPV6_MULTICAST_LOOP)
	return v != 0, err
}

// setMulticast sets an option that each family has. Some systems want a byte for IPv4; all take one.
func (s *udpConn) setMulticast(field string, v4, v6, value int) error {
	if s.fd < 0 {
		return kernel.ErrClosed
	}
	if !s.is4() {
		return s.setOption(kernel.OpOption, field, unix.IPPROTO_IPV6, v6, value)
	}
	if err := unix.SetsockoptByte(int(s.fd), unix.IPPROTO_IP, v4, byte(value)); err != nil {
		return &kernel.OptionError{Op: kernel.OpOption, Option: field, Value: value, Err: opError("setsockopt", err)}
	}
	return nil
}

func (s *udpConn) multicast(field string, v4, v6 int) (int, error) {
	if s.fd < 0 {
		return 0, kernel.ErrClosed
	}
	if !s.is4() {
		return s.option(field, unix.IPPROTO_IPV6, v6)
	}
	return s.byteOption(field, v4)
}

// SetMulticastInterface sets IP_MULTICAST_IF or IPV6_MULTICAST_IF.
func (s *udpConn) SetMulticastInterface(name string) error {
	failed := func(err error) error {
		return &kernel.OptionError{Op: kernel.OpOption, Option: "MulticastInterface", Value: name, Err: err}
	}
	if s.fd < 0 {
		return kernel.ErrClosed
	}
	at, err := findInterface(name)
	if err != nil {
		return failed(err)
	}
	index := 0
	if at != nil {
		index = at.Index
	}
	if s.is4() {
		err = s.setInterface4(at)
	} else {
		err = unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index)
	}
	if err != nil {
		return failed(opError("setsockopt", err))
	}
	s.outgoing = name
	return nil
}

// MulticastInterface is what was set.
func (s *udpConn) MulticastInterface() (string, error) {
	if s.fd < 0 {
		return "", kernel.ErrClosed
	}
	return s.outgoing, nil
}
