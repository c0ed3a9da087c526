package std

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// groups reads Groups, and checks TTL.
func (m *Multicast) groups(scheme string) ([]kernel.Group, error) {
	if err := m.Sending.check(scheme); err != nil || m.Groups == "" {
		return nil, err
	}
	var all []kernel.Group
	for one := range strings.SplitSeq(unbracketed(m.Groups), ",") {
		text, iface, _ := strings.Cut(strings.TrimSpace(one), "@")
		ip, err := netip.ParseAddr(text)
		if err != nil || !ip.IsMulticast() {
			return nil, badArgument(scheme, "groups", m.Groups, "%q is not the address of a group, such as 224.0.0.251 or ff02::fb", text)
		}
		if zone := ip.Zone(); zone != "" && iface == "" {
			ip, iface = ip.WithZone(""), zone
		} else if zone != "" {
			return nil, badArgument(scheme, "groups", m.Groups, "%q has two interfaces, %s and %s", one, zone, iface)
		}
		all = append(all, kernel.Group{IP: ip, Interface: iface})
	}
	return all, nil
}

// check fails unless TTL is a number that can be.
func (s *Sending) check(scheme string) error {
	if s.TTL == "" {
		return nil
	}
	if _, err := strconv.ParseUint(s.TTL, 10, 8); err != nil {
		return badArgument(scheme, "ttl", s.TTL, "%q is not a number from 0 to 255", s.TTL)
	}
	return nil
}

// setUp returns what sets a socket up for s and groups, and calls then. It is nil if there is nothing to do.
func (s *Sending) setUp(groups []kernel.Group, then func(kernel.PacketConn) error) func(kernel.PacketConn) error {
	if *s == (Sending{}) && len(groups) == 0 {
		return then
	}
	return func(c kernel.PacketConn) error {
		m, ok := kernel.PacketAs[kernel.Multicast](c)
		if !ok {
			return errNoGroups
		}
		if err := s.apply(m); err != nil {
			return err
		}
		for _, g := range groups {
			if err := m.JoinGroup(g); err != nil {
				return err
			}
		}
		if then != nil {
			return then(c)
		}
		return nil
	}
}

var errNoGroups = kernel.Sentinel("this kernel has no multicast groups", kernel.ErrUnsupported)

func (s *Sending) apply(m kernel.Multicast) error {
	if s.TTL != "" {
		n, err := strconv.Atoi(s.TTL)
		if err == nil {
			err = m.SetMulticastTTL(n)
		}
		if err != nil {
			return err
		}
	}
	if s.GroupInterface != "" {
		return m.SetMulticastInterface(s.GroupInterface)
	}
	return nil
}

// unbracketed is text without the brackets around it, in which a description may hold ':' and '='.
func unbracketed(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if inner, ok := strings.CutSuffix(inner, "]"); ok {
			return inner
		}
	}
	return text
}

// checkPacketOptions returns an *endpoint.ArgumentError for an option of a datagram socket that has a value that it cannot have.
func checkPacketOptions(scheme string, at kernel.Addr, o *kernel.PacketOptions) error {
	err := kernel.CheckPacket(at, o)
	e, ok := errors.AsType[*kernel.OptionError](err)
	if !ok {
		return err
	}
	argument := map[string]string{"Mode": "mode", "SendBuffer": "sndbuf", "RecvBuffer": "rcvbuf"}[e.Option]
	return badArgument(scheme, argument, textOf(e.Value), "%v: %w", e.Value, e.Err)
}
