package kernel_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// MC-6: the error of what is no group says why.
func TestCheckGroup(t *testing.T) {
	four, six := kernel.UDPAddr(netip.IPv4Unspecified(), 5), kernel.UDPAddr(netip.IPv6Unspecified(), 5)
	ip := netip.MustParseAddr
	for _, c := range []struct {
		at   kernel.Addr
		g    kernel.Group
		says string
	}{
		{four, kernel.Group{}, "not the address of a group"},
		{four, kernel.Group{IP: ip("10.0.0.1")}, "not the address of a group"},
		{four, kernel.Group{IP: ip("ff02::fb")}, "the group is of IPv6, and the socket of IPv4"},
		{six, kernel.Group{IP: ip("224.0.0.251")}, "the group is of IPv4, and the socket of IPv6"},
		{four, kernel.Group{IP: ip("232.0.0.1"), Source: ip("::1")}, "the source"},
		{six, kernel.Group{IP: ip("ff32::1"), Source: ip("ff02::1")}, "the source"},
	} {
		err := kernel.CheckGroup(kernel.OpJoin, c.at, c.g)
		e, ok := errors.AsType[*kernel.GroupError](err)
		if !ok || e.Group != c.g || e.Op != kernel.OpJoin || !errors.Is(err, kernel.ErrInvalidAddr) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("MC-6: %v at %v: %v; want %q in it", c.g, c.at, err, c.says)
		}
	}
	for at, g := range map[kernel.Addr]kernel.Group{four: {IP: ip("232.0.0.1"), Source: ip("10.0.0.1")}, six: {IP: ip("ff02::fb%eth0")}} {
		if err := kernel.CheckGroup(kernel.OpJoin, at, g); err != nil {
			t.Error(err)
		}
	}
}
