package kernel

import (
	"net/netip"
	"strconv"
)

// Net is the kind of network an address belongs to.
type Net uint8

// The networks. The zero Net belongs to the zero Addr, which is no address.
const (
	TCP Net = iota + 1
	UDP
	UNIX
	UNIXDatagram
	Pipe
	Process
)

// String returns the name that package net uses, if it has one: "tcp", "udp", "unix",
// "unixgram". Otherwise it is "pipe" or "process". The zero Net is "".
func (n Net) String() string {
	names := [...]string{"", "tcp", "udp", "unix", "unixgram", "pipe", "process"}
	if int(n) < len(names) {
		return names[n]
	}
	return "net" + strconv.Itoa(int(n))
}

// Addr is one end of a connection, or the address to listen on or connect to. It is a
// comparable value and can be a map key: two are equal if all their fields are (ADDR-1,
// ADDR-3). Making one does not allocate. It implements net.Addr.
//
// For TCP and UDP, IP holds the address, its scope ("%eth0") and the port. An Addr with a
// Name and no valid IP is a host name that is not resolved yet; its port is in IP. For
// UNIX, Name is the path.
type Addr struct {
	Net  Net
	IP   netip.AddrPort
	Name string
}

// TCPAddr is the TCP address of ip and port.
func TCPAddr(ip netip.Addr, port uint16) Addr {
	return Addr{Net: TCP, IP: netip.AddrPortFrom(ip, port)}
}

// HostAddr is the TCP address of a host name and a port. The name is not resolved yet.
func HostAddr(name string, port uint16) Addr {
	return Addr{Net: TCP, IP: netip.AddrPortFrom(netip.Addr{}, port), Name: name}
}

// IsZero tells whether a is the zero Addr, which is no address.
func (a Addr) IsZero() bool {
	return a.Net == 0 && a.Name == "" && a.IP.Port() == 0 && !a.IP.Addr().IsValid() // sooner than a comparison
}

// Port is the port number. It is 0 if there is none.
func (a Addr) Port() uint16 { return a.IP.Port() }

// Host is the host without the port: an IP address with its scope, or Name (ADDR-7). It
// is "" if there is neither.
func (a Addr) Host() string {
	if a.IP.Addr().IsValid() {
		return a.IP.Addr().String()
	}
	return a.Name
}

// Network is the name of the network, for net.Addr.
func (a Addr) Network() string { return a.Net.String() }

// String is "127.0.0.1:80", "[::1%eth0]:80", "host:80" or a path. Without a name it is
// that of the network: "unix", "pipe", or "" for the zero Addr.
func (a Addr) String() string {
	switch {
	case a.Net == TCP || a.Net == UDP:
		if a.IP.Addr().IsValid() {
			return a.IP.String()
		}
		return a.Name + ":" + strconv.Itoa(int(a.IP.Port()))
	case a.Name != "":
		return a.Name
	}
	return a.Net.String()
}
