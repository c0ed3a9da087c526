//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"net"
	"slices"
	"strconv"
)

// zone is the scope of a link-local address: the index of an interface, and its name.
type zone struct {
	index uint32
	name  string
}

// zones are the zones that addresses of a kernel's socks have had. An address that was asked
// for once refers to its zone by its place here. So the system is asked once for each
// connection, and the answer does not change while the connection lives.
type zones struct {
	known []zone
}

// maxZones is how many zones are kept. An address in one more is asked for each time.
const maxZones = 256

// keep returns the place of x. It returns false if there is no room.
func (z *zones) keep(x zone) (place uint32, ok bool) {
	i := slices.Index(z.known, x)
	if i < 0 && len(z.known) < maxZones {
		i = len(z.known)
		z.known = append(z.known, x)
	}
	return uint32(i), i >= 0
}

// name returns the name of the interface with that index, or the index as text if there is
// none (ADDR-7). fd is a socket, or negative. On Linux a socket makes it work without a free
// descriptor; elsewhere it needs none.
func (z *zones) name(fd int32, index uint32) string {
	if name, ok := interfaceName(int(fd), index); ok {
		return name
	}
	for _, x := range slices.Backward(z.known) {
		if x.index == index {
			return x.name
		}
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}

// zoneIndex returns the index of the interface that zone names, or that it is as text. It is 0
// for "". It returns false if there is no such interface. fd is a socket, or negative.
func zoneIndex(fd int, zone string) (index uint32, ok bool) {
	if zone == "" {
		return 0, true
	}
	if index, ok := interfaceIndex(fd, zone); ok {
		return index, true
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index), true
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	return uint32(n), err == nil
}
