package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/whorl-go/whorl/certs"
)

// Host is a host name, or an IP literal with its scope, in brackets or not. A name in
// another script is normalised and looked up in its "xn--" form, and a description turns
// it into that form (HOST-1). [certs.ServerName] has the rules.
type Host string

// IP returns the address that h is. An IPv4 address mapped to IPv6 is returned as IPv4.
// It returns false if h is a name.
func (h Host) IP() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(unbracket(string(h)))
	return ip.Unmap(), err == nil
}

// ParseHost returns the Host that text stands for: a literal in its shortest form and
// without brackets, or a name in ASCII. The error names text and says why it is no host.
func ParseHost(text string) (Host, error) {
	if ip, err := netip.ParseAddr(unbracket(text)); err == nil {
		return Host(ip.String()), nil
	}
	name := text
	if strings.ContainsFunc(text, func(c rune) bool { return c >= 0x80 }) {
		ascii, err := certs.ServerName(text)
		if err != nil {
			return "", err
		}
		name = ascii
	}
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("%q is not a host name: %w", text, err)
	}
	return Host(name), nil
}

// checkName checks the limits of an ASCII name in DNS, and refuses characters that can
// only be a mistake.
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
