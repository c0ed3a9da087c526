package flow

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// ProxyHeader is the header of the PROXY protocol, with which a proxy begins a connection to say whose it is.
type ProxyHeader struct {
	// Version is 1, a line of text, or 2, which is binary. Zero counts as 2 in AppendProxyHeader.
	Version int
	// Own says that the connection is the proxy's own, such as a health check: LOCAL of version 2. Source and Destination
	// are then the zero Addr.
	Own bool
	// Source is the client, and Destination where it has connected to. Both are the zero Addr if the proxy does not know, or
	// does not say: UNKNOWN of version 1, and no family of version 2. Otherwise both are TCP, UDP, UNIX or UNIXDatagram
	// addresses of one network. An IPv4 address that is written as an IPv6 one (::ffff:192.0.2.1) is read as IPv4.
	Source, Destination kernel.Addr
	// Extensions are the type-length-value triples behind the addresses of version 2, as they came: All takes them apart.
	// Nobody has checked them. In a header that was parsed they are part of the slice that was parsed.
	Extensions ProxyExtensions
}

// Known tells whether the header says who the client is.
func (h *ProxyHeader) Known() bool { return !h.Source.IsZero() }

// ProxyExtensions are the extensions of a header of version 2: a type of one byte, a length of two, and so many bytes, one
// behind the other.
type ProxyExtensions []byte

// All yields the type and the value of each extension. It ends before the first one that is cut off. A value is part of e.
func (e ProxyExtensions) All() iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for rest := []byte(e); len(rest) >= 3; {
			n := 3 + int(binary.BigEndian.Uint16(rest[1:]))
			if n > len(rest) || !yield(rest[0], rest[3:n:n]) {
				return
			}
			rest = rest[n:]
		}
	}
}

// Append returns e with one more extension. It fails with ErrProxyHeader if the value has more than 65535 bytes.
func (e ProxyExtensions) Append(kind byte, value []byte) (ProxyExtensions, error) {
	if len(value) > maxProxyRest {
		return e, fmt.Errorf("%w: an extension of %d bytes: at most %d fit", ErrProxyHeader, len(value), maxProxyRest)
	}
	e = append(e, kind)
	e = binary.BigEndian.AppendUint16(e, uint16(len(value)))
	return append(e, value...), nil
}

const (
	maxProxyLine = 107   // bytes of version 1, with the CRLF
	maxProxyRest = 65535 // bytes of version 2 behind the first 16
	proxyFixed   = 16
	proxyUNIX    = 108 // bytes of a UNIX name

	proxyLineStart = "PROXY "
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
)

// AppendProxyHeader appends h to dst as a proxy sends it (PROXY-1, PROXY-2). It fails with ErrProxyHeader if the version is
// neither 1 nor 2, if only one address is known, if the two are of different networks, if a UNIX name is longer than 108
// bytes, or if the extensions do not fit. Version 1 has no extensions, and leaves those of h out; what it
// cannot say, such as UNIX names, it writes as UNKNOWN. If one address is IPv4 and the other one IPv6, both are written as IPv6.
// The scopes of addresses are left out.
func AppendProxyHeader(dst []byte, h ProxyHeader) ([]byte, error) {
	switch {
	case h.Own || h.Source.IsZero() && h.Destination.IsZero():
		h.Source, h.Destination = kernel.Addr{}, kernel.Addr{}
	case h.Source.Net != h.Destination.Net:
		return dst, fmt.Errorf("%w: the source is %v and the destination %v, of different networks", ErrProxyHeader, h.Source, h.Destination)
	case isIP(h.Source.Net) && !(h.Source.IP.Addr().IsValid() && h.Destination.IP.Addr().IsValid()):
		return dst, fmt.Errorf("%w: the source %v or the destination %v is no IP address", ErrProxyHeader, h.Source, h.Destination)
	}
	switch h.Version {
	case 1:
		return appendProxyLine(dst, h), nil
	case 0, 2:
		return appendProxyBinary(dst, h)
	}
	return dst, fmt.Errorf("%w: there is no version %d", ErrProxyHeader, h.Version)
}

func isIP(n kernel.Net) bool { return n == kernel.TCP || n == kernel.UDP }

// sameFamily returns both addresses as IPv4, or both as IPv6.
func sameFamily(a, b netip.Addr) (x, y netip.Addr, v4 bool) {
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	if a.Is4() && b.Is4() {
		return a, b, true
	}
	return netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16()), false
}

func appendProxyLine(dst []byte, h ProxyHeader) []byte {
	if h.Source.Net != kernel.TCP {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	src, to, v4 := sameFamily(h.Source.IP.Addr(), h.Destination.IP.Addr())
	family := "TCP6 "
	if v4 {
		family = "TCP4 "
	}
	dst = append(append(dst, proxyLineStart...), family...)
	dst = append(src.AppendTo(dst), ' ')
	dst = append(to.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(h.Source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(h.Destination.Port()), 10)
	return append(dst, "\r\n"...)
}

// Values of the bytes 12 and 13 of version 2.
const (
	proxyLocal   = 0x20
	proxyProxied = 0x21

	familyNone, familyIPv4, familyIPv6, familyUNIX = 0, 1, 2, 3
	kindNone, kindStream, kindDatagram             = 0, 1, 2
)

func appendProxyBinary(dst []byte, h ProxyHeader) ([]byte, error) {
	start := len(dst)
	command := byte(proxyProxied)
	if h.Own {
		command = proxyLocal
	}
	dst = append(append(dst, proxySignature...), command, 0, 0, 0)
	kind := byte(kindStream)
	if h.Source.Net == kernel.UDP || h.Source.Net == kernel.UNIXDatagram {
		kind = kindDatagram
	}
	switch h.Source.Net {
	case kernel.TCP, kernel.UDP:
		src, to, v4 := sameFamily(h.Source.IP.Addr(), h.Destination.IP.Addr())
		dst[start+13] = familyIPv6<<4 | kind
		if v4 {
			dst[start+13] = familyIPv4<<4 | kind
		}
		dst = append(append(dst, src.AsSlice()...), to.AsSlice()...)
		dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
		dst = binary.BigEndian.AppendUint16(dst, h.Destination.Port())
	case kernel.UNIX, kernel.UNIXDatagram:
		dst[start+13] = familyUNIX<<4 | kind
		for _, name := range [...]string{h.Source.Name, h.Destination.Name} {
			wire := name
			if strings.HasPrefix(name, "@") { // an abstract one
				wire = "\x00" + name[1:]
			} else if len(name) > proxyUNIX && strings.HasPrefix(name, "./@") { // in the header nothing takes the file for an abstract name
				wire = name[2:]
			}
			if len(wire) > proxyUNIX {
				return dst[:start], fmt.Errorf("%w: the UNIX name %q has %d bytes: at most %d fit", ErrProxyHeader, name, len(name), proxyUNIX)
			}
			dst = append(append(dst, wire...), strings.Repeat("\x00", proxyUNIX-len(wire))...)
		}
	}
	dst = append(dst, h.Extensions...)
	rest := len(dst) - start - proxyFixed
	if rest > maxProxyRest {
		return dst[:start], fmt.Errorf("%w: %d bytes of addresses and extensions: at most %d fit", ErrProxyHeader, rest, maxProxyRest)
	}
	binary.BigEndian.PutUint16(dst[start+14:], uint16(rest))
	return dst, nil
}
