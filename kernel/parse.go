package kernel

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseError says why a text is no address. errors.Is finds [ErrInvalidAddr] in it.
type ParseError struct {
	// Text is what was parsed.
	Text string
	// Reason is what is wrong with it, such as "it has no port".
	Reason string
}

// Error is `"example.com" is no address: it has no port`.
func (e *ParseError) Error() string { return strconv.Quote(e.Text) + " is no address: " + e.Reason }

// Unwrap is ErrInvalidAddr.
func (e *ParseError) Unwrap() error { return ErrInvalidAddr }

// ParseAddr returns the address that text stands for. It asks neither the system nor a
// resolver. It is the inverse of [Addr.String] for each TCP address that can be dialled: if
// a.IP has an IP, or a.Name is a host name other than "unix" and "unixgram", ParseAddr(a.String())
// is a. Those two are written with the network before them, as "tcp:unix:80".
//
//	127.0.0.1:80        TCP, an IPv4 address
//	[::1]:80            TCP, an IPv6 address, always in brackets
//	[fe80::1%eth0]:80   the same with its scope
//	example.com:80      TCP, a name that is not resolved yet: see [HostAddr]
//	tcp:127.0.0.1:80    the network may stand before it: tcp or udp
//	unix:/run/x         with unix or unixgram, all that follows is the path
//
// A port is a number from 0 to 65535, not the name of a service. Every address needs one, so
// "tcp:80" is port 80 of a host called tcp. The error is a [*ParseError].
func ParseAddr(text string) (Addr, error) {
	bad := func(reason string) (Addr, error) { return Addr{}, &ParseError{text, reason} }
	n, rest := splitNet(text)
	if n == UNIX || n == UNIXDatagram {
		if rest == "" {
			return bad("it has no path")
		}
		return Addr{Net: n, Name: rest}, nil
	}
	host, port, reason := splitPort(rest)
	if reason != "" {
		return bad(reason)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return bad("port " + strconv.Quote(port) + " is not a number from 0 to 65535")
	}
	a := Addr{Net: n, IP: netip.AddrPortFrom(netip.Addr{}, uint16(number))}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		host = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case bracketed && (err != nil || !ip.Is6()):
		return bad(strconv.Quote(host) + " is not an IPv6 address")
	case err == nil:
		a.IP = netip.AddrPortFrom(ip, uint16(number))
		return a, nil
	}
	if reason := noHostName(host); reason != "" {
		return bad(reason)
	}
	a.Name = host
	return a, nil
}

// splitNet splits the network off. Without one it is TCP. What stands before a colon is a
// network only if the rest has a port of its own: "udp:53" is port 53 of the host "udp".
func splitNet(text string) (n Net, rest string) {
	word, rest, ok := strings.Cut(text, ":")
	if !ok {
		return TCP, text
	}
	switch word {
	case "unix":
		return UNIX, rest
	case "unixgram":
		return UNIXDatagram, rest
	case "tcp", "udp":
		if !strings.Contains(rest, ":") {
			break
		}
		if word == "udp" {
			return UDP, rest
		}
		return TCP, rest
	}
	return TCP, text
}

// splitPort splits "host:port", where the host may stand in brackets. reason is "" if that
// can be done.
func splitPort(text string) (host, port, reason string) {
	if strings.HasPrefix(text, "[") {
		end := strings.LastIndexByte(text, ']')
		switch {
		case end < 0:
			return "", "", "there is no ']'"
		case end+1 == len(text):
			return "", "", "it has no port"
		case text[end+1] != ':':
			return "", "", "a ':' must follow the ']'"
		}
		return text[:end+1], text[end+2:], ""
	}
	last := strings.LastIndexByte(text, ':')
	switch {
	case text == "":
		return "", "", "it is empty"
	case last < 0:
		return "", "", "it has no port"
	case last == 0:
		return "", "", "it has no host; all addresses of this host are 0.0.0.0 or [::]"
	case strings.IndexByte(text, ':') < last:
		return "", "", "there is more than one ':'; an IPv6 address must stand in brackets"
	}
	return text[:last], text[last+1:], ""
}

// noHostName returns why name, which is no IP, is no host name either; "" if it is one.
func noHostName(name string) (reason string) {
	if !utf8.ValidString(name) {
		return "the host is not UTF-8"
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f || strings.ContainsRune(`[]/\@%?#"<>`, c) {
			return strconv.QuoteRune(c) + " cannot stand in a host"
		}
	}
	short := strings.TrimSuffix(name, ".")
	if short == "" {
		return "it has no host"
	}
	// No domain at the top is a number, and 1.2.3.400 is no name to look up.
	top := short[strings.LastIndexByte(short, '.')+1:]
	if strings.Trim(top, "0123456789") == "" {
		return strconv.Quote(name) + " is neither an IP address nor a name"
	}
	return ""
}
