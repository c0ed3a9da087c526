package certs

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrName: a host name that cannot be asked for, or, in a handshake, a certificate that
// is not for the name.
var ErrName = errors.New("wrong host name")

// NameError says which text is not a host name, and why. It is ErrName.
type NameError struct {
	// Name is the text as it was given.
	Name string
	// Err is what is wrong with it.
	Err error
}

// Error is one line, such as `wrong host name: "a b": ' ' cannot stand in a host name`.
func (e *NameError) Error() string { return fmt.Sprintf("%v: %q: %v", ErrName, e.Name, e.Err) }

// Unwrap is ErrName and Err.
func (e *NameError) Unwrap() []error { return []error{ErrName, e.Err} }

// ServerName is host as DNS and tls.Config.ServerName want it. A DNS name is in lower
// case, without a final dot. An IP address, also in brackets or with a zone, becomes
// the bare address. crypto/tls sends a name as SNI and checks it against the
// certificate's DNS names; it sends no SNI for an address, and checks it against the
// certificate's IP addresses (TLS-41).
//
// A name that is not all ASCII is converted by IDNA 2008 as for a look-up, with the
// mapping of UTS #46: it is normalised (NFC), letters of full width and upper case
// become plain ones, ß stays ß, and each label that is still not ASCII becomes xn--.
// An ASCII name is not converted, so that xn-- says exactly what to ask for.
//
// What is no host name fails with a [*NameError].
func ServerName(host string) (string, error) {
	bare := host
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		bare = host[1 : len(host)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		return ip.WithZone("").Unmap().String(), nil
	}
	name := strings.ToLower(host)
	if strings.ContainsFunc(host, func(c rune) bool { return c >= 0x80 }) {
		var err error
		if name, err = toASCII(host); err != nil {
			return "", &NameError{Name: host, Err: err}
		}
	}
	name = strings.TrimSuffix(name, ".")
	if err := checkName(name); err != nil {
		return "", &NameError{Name: host, Err: err}
	}
	return name, nil
}

// toASCII converts a name that is not all ASCII.
func toASCII(host string) (string, error) {
	if strings.ContainsRune(host, utf8.RuneError) { // package idna takes it for a letter
		return "", errors.New("not UTF-8")
	}
	name, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", fmt.Errorf("%w; if it is right all the same, give it in ASCII, with xn--", err)
	}
	return name, nil
}

// The longest name and label of DNS.
const (
	longestName  = 253
	longestLabel = 63
)

// checkName finds what no ASCII host name has. An underscore is not one of these:
// names with it are in use, though not for hosts on the Internet.
func checkName(name string) error {
	if len(name) > longestName {
		return fmt.Errorf("longer than %d bytes", longestName)
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		last = label
		switch {
		case label == "":
			return errors.New("an empty label")
		case len(label) > longestLabel:
			return fmt.Errorf("label %q is longer than %d bytes", label, longestLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("label %q begins or ends with a hyphen", label)
		}
		for _, c := range label {
			if c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				if c == ':' || c == '/' {
					return fmt.Errorf("%q cannot stand in a host name: give the host alone, without a scheme, a port or a path", c)
				}
				return fmt.Errorf("%q cannot stand in a host name", c)
			}
		}
	}
	if strings.Trim(last, "0123456789") == "" {
		return errors.New("neither an IP address nor a name")
	}
	return nil
}
