package flow

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// ParseProxyHeader reads the header, of version 1 or 2, with which p begins (PROXY-1, PROXY-2). n is how many bytes of p it
// takes; what is behind them is the connection's input. If p is the beginning of a header that may still become a good one,
// n is 0 and err is nil: call it again when more has come. The error is ErrProxyHeader for everything else (PROXY-3,
// PROXY-6). At most 107 bytes of version 1 and 65551 of version 2 are needed.
func ParseProxyHeader(p []byte) (h ProxyHeader, n int, err error) {
	switch {
	case begins(p, proxySignature):
		return parseProxyBinary(p)
	case begins(p, proxyLineStart):
		return parseProxyLine(p)
	}
	return h, 0, fmt.Errorf("%w: it begins with %q", ErrProxyHeader, p[:min(len(p), len(proxySignature))])
}

// begins tells whether p begins with start, as far as there is anything of p.
func begins(p []byte, start string) bool {
	n := min(len(p), len(start))
	return string(p[:n]) == start[:n]
}

func parseProxyLine(p []byte) (h ProxyHeader, n int, err error) {
	window := p[:min(len(p), maxProxyLine)]
	end := bytes.IndexByte(window, '\n')
	switch {
	case end < 0 && len(window) == maxProxyLine:
		return h, 0, fmt.Errorf("%w: no end of the line in %d bytes", ErrProxyHeader, maxProxyLine)
	case end < 0:
		return h, 0, nil
	case window[end-1] != '\r':
		return h, 0, fmt.Errorf("%w: the line ends without CR", ErrProxyHeader)
	}
	line := string(window[len(proxyLineStart) : end-1])
	if err := h.parseLine(line); err != nil {
		return ProxyHeader{}, 0, err
	}
	return h, end + 1, nil
}

// parseLine reads what stands between "PROXY " and the end of the line.
func (h *ProxyHeader) parseLine(line string) error {
	h.Version = 1
	if strings.IndexByte(line, '\r') >= 0 {
		return fmt.Errorf("%w: a CR in the line", ErrProxyHeader)
	}
	family, rest, more := strings.Cut(line, " ")
	if family == "UNKNOWN" {
		return nil // what follows is for people
	}
	if family != "TCP4" && family != "TCP6" || !more {
		return fmt.Errorf("%w: the family is %q", ErrProxyHeader, family)
	}
	fields := strings.Split(rest, " ")
	if len(fields) != 4 {
		return fmt.Errorf("%w: %d fields behind the family, want 4", ErrProxyHeader, len(fields))
	}
	var err error
	if h.Source, err = lineAddr(fields[0], fields[2], family == "TCP4"); err != nil {
		return err
	}
	h.Destination, err = lineAddr(fields[1], fields[3], family == "TCP4")
	return err
}

// lineAddr reads an address and a port of version 1.
func lineAddr(addr, port string, v4 bool) (kernel.Addr, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Is4() != v4 || ip.Zone() != "" {
		return kernel.Addr{}, fmt.Errorf("%w: the address is %q", ErrProxyHeader, addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '0' && port != "0" {
		return kernel.Addr{}, fmt.Errorf("%w: the port is %q", ErrProxyHeader, port)
	}
	return kernel.TCPAddr(ip.Unmap(), uint16(n)), nil
}

func parseProxyBinary(p []byte) (h ProxyHeader, n int, err error) {
	h.Version = 2
	if len(p) > 12 && p[12] != proxyLocal && p[12] != proxyProxied {
		return ProxyHeader{}, 0, fmt.Errorf("%w: version and command are %#02x", ErrProxyHeader, p[12])
	}
	if len(p) > 13 && p[12] == proxyProxied { // what LOCAL says of a family does not count
		if family, kind := p[13]>>4, p[13]&15; family > familyUNIX || kind > kindDatagram || family != familyNone && kind == kindNone {
			return ProxyHeader{}, 0, fmt.Errorf("%w: family and kind are %#02x", ErrProxyHeader, p[13])
		}
	}
	if len(p) < proxyFixed {
		return ProxyHeader{}, 0, nil
	}
	size := proxyFixed + int(binary.BigEndian.Uint16(p[14:]))
	h.Own = p[12] == proxyLocal
	family := p[13] >> 4
	if !h.Own {
		if least := proxyFixed + [...]int{0, 12, 36, 2 * proxyUNIX}[family]; size < least {
			return ProxyHeader{}, 0, fmt.Errorf("%w: %d bytes are too few for family %d", ErrProxyHeader, size, family)
		}
	}
	switch {
	case len(p) < size:
		return ProxyHeader{}, 0, nil
	case !h.Own: // what follows LOCAL is to be skipped
		h.Extensions = h.parseAddresses(p[proxyFixed:size:size], family, p[13]&15 == kindDatagram)
	}
	return h, size, nil
}

// parseAddresses reads the addresses of version 2, and returns what is behind them.
func (h *ProxyHeader) parseAddresses(p []byte, family byte, datagram bool) []byte {
	ip, unix := kernel.TCP, kernel.UNIX
	if datagram {
		ip, unix = kernel.UDP, kernel.UNIXDatagram
	}
	size := 4
	switch family {
	case familyNone:
		return p
	case familyUNIX:
		h.Source = kernel.Addr{Net: unix, Name: unixName(p[:proxyUNIX])}
		h.Destination = kernel.Addr{Net: unix, Name: unixName(p[proxyUNIX : 2*proxyUNIX])}
		return p[2*proxyUNIX:]
	case familyIPv6:
		size = 16
	}
	at := func(addr, port []byte) kernel.Addr {
		a, _ := netip.AddrFromSlice(addr)
		return kernel.Addr{Net: ip, IP: netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))}
	}
	ports := p[2*size:]
	h.Source, h.Destination = at(p[:size], ports), at(p[size:2*size], ports[2:])
	return ports[4:]
}

// unixName is the name of p, which is what the system has, as kernel.UNIXAddr wants it. A path ends at the first zero byte. An abstract name begins with one, and
// may have others; nobody knows how many of those at its end belong to it.
func unixName(p []byte) string {
	if p[0] == 0 {
		return kernel.UNIXAddr(strings.TrimRight(string(p), "\x00")).Name
	}
	path, _, _ := bytes.Cut(p, []byte{0})
	if path[0] == '@' {
		return "./" + string(path)
	}
	return string(path)
}
