package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/whorl-go/whorl/tlsio"
)

// Family is which version of IP a place is of.
type Family uint8

// The families. The zero Family is any.
const (
	AnyFamily Family = iota
	IPv4
	IPv6
)

// String is "IP", "IPv4" or "IPv6".
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "IP"
}

// scheme is the name of TCP's type for f.
func (f Family) scheme() string {
	switch f {
	case IPv4:
		return "tcp4"
	case IPv6:
		return "tcp6"
	}
	return "tcp"
}

// holds tells whether ip, unmapped, is of the family.
func (f Family) holds(ip netip.Addr) bool {
	return f == AnyFamily || ip.Is4() == (f == IPv4)
}

// Host is a host name, or an IP literal with its scope, in brackets or not. A
// name in another script is looked up in its "xn--" form, which is also what a
// description makes of it (HOST-1): by the rules of [tlsio.ServerName], so that a
// letter with a combining accent must be given composed.
type Host string

// literal is the address that h is, an IPv4 address mapped to IPv6 as IPv4.
func (h Host) literal() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(unbracket(string(h)))
	return ip.Unmap(), err == nil
}

// parseHost checks that text can be a host.
func parseHost(text string) (Host, error) {
	h := Host(text)
	if _, ok := h.literal(); ok {
		return Host(unbracket(text)), nil
	}
	name := text
	if strings.ContainsFunc(text, func(c rune) bool { return c >= 0x80 }) {
		ascii, err := tlsio.ServerName(text)
		if err != nil {
			return "", fmt.Errorf("%q is not a host name: %w", text, err)
		}
		name = ascii
	}
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("%q is not a host name: %w", text, err)
	}
	return Host(name), nil
}

// checkName knows the limits of an ASCII name in DNS, and forbids what can only be
// a mistake.
func checkName(name string) error {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return errors.New("it is empty")
	}
	if len(name) > 253 {
		return errors.New("it is longer than 253 characters")
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f || strings.ContainsRune(`:[]/\@%?#"<>`, c) {
			return fmt.Errorf("%q cannot stand in it", c)
		}
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("the parts between its dots must have 1 to 63 characters")
		}
	}
	return nil
}
