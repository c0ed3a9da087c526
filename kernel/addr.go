package kernel

import (
	"net/netip"
	"strconv"
)

// Net is the kind of network an address belongs to.
type Net uint8

// The networks. The zero Net is of the zero Addr, which is no address.
const (
	TCP Net = iota + 1
	UDP
	UNIX
	UNIXDatagram
	Pipe
	Process
)

// String is the name package net uses where it has one: "tcp", "udp", "unix",
// "unixgram"; otherwise "pipe", "process", and "" for the zero Net.
func (n Net) String() string {
	names := [...]string{"", "tcp", "udp", "unix", "unixgram", "pipe", "process"}
	if int(n) < len(names) {
		return names[n]
	}
	return "net" + strconv.Itoa(int(n))
}

// Addr is one end of a connection, or where to find it. It is a comparable
// value: two are equal if every field is, so it can be a map key (ADDR-1,
// ADDR-3), and making one does not allocate. It implements net.Addr.
//
// For TCP and UDP, IP holds address, scope ("%eth0") and port. An Addr with a
// Name and no valid IP is a host name still to be resolved, with its port in IP.
// For UNIX, Name is the path.
type Addr struct {
	Net  Net
	IP   netip.AddrPort
	Name string
}

// TCPAddr is the TCP address of ip and port.
func TCPAddr(ip netip.Addr, port uint16) Addr {
	return Addr{Net: TCP, IP: netip.AddrPortFrom(ip, port)}
}

// HostAddr is the TCP address of a host name and a port, still to be resolved.
func HostAddr(name string, port uint16) Addr {
	return Addr{Net: TCP, IP: netip.AddrPortFrom(netip.Addr{}, port), Name: name}
}

// IsZero tells whether a is no address at all.
func (a Addr) IsZero() bool { return a == Addr{} }

// Port is the port number, 0 where there is none.
func (a Addr) Port() uint16 { return a.IP.Port() }

// Host is the host without the port: an IP literal with its scope, a name, or
// "" (ADDR-7).
func (a Addr) Host() string {
	if a.IP.Addr().IsValid() {
		return a.IP.Addr().String()
	}
	return a.Name
}

// Network is the name of the network, as net.Addr wants it.
func (a Addr) Network() string { return a.Net.String() }

// String is "127.0.0.1:80", "[::1%eth0]:80", "host:80", a path, or "" for the
// zero Addr.
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
