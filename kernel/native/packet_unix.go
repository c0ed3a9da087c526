//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// packetSock is one datagram socket. It is watched by levels, because a read of it takes only some of what
// has come.
type packetSock struct {
	sock
	at, to  kernel.Addr // ours; the peer that Connect has fixed, or the zero Addr
	adopted bool        // somebody else may have the socket too
	turned  [][2]int    // options of an adopted socket that were turned on here: level and name
	zone    lastZone
	packetState
}

// udpConn is a datagram socket of UDP.
type udpConn struct {
	packetSock
	groups  []membership
	leaveBy string // SetMulticastInterface
}

// unixgramConn is a datagram socket of UNIX.
type unixgramConn struct {
	packetSock
	made unixFile
}

var (
	_ kernel.Packets        = (*base)(nil)
	_ kernel.PacketConn     = (*udpConn)(nil)
	_ kernel.PacketConn     = (*unixgramConn)(nil)
	_ kernel.FileOwner      = (*unixgramConn)(nil)
	_ kernel.PacketSettings = (*udpConn)(nil)
	_ kernel.PacketSettings = (*unixgramConn)(nil)
	_ kernel.Multicast      = (*udpConn)(nil)
	_ kernel.OptionLeaver   = (*udpConn)(nil)
)

// ListenPacket opens a datagram socket. If it fails it leaves no descriptor open.
func (b *base) ListenPacket(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	if o == nil {
		o = new(kernel.PacketOptions)
	}
	if err := kernel.CheckPacket(a, o); err != nil {
		return nil, err
	}
	if b.closed {
		return nil, kernel.ErrClosed
	}
	if err := kernel.CheckPacketAddr(kernel.OpListen, a); err != nil {
		return nil, err
	}
	if a.Net == kernel.UNIXDatagram {
		return b.listenUnixgram(a, o)
	}
	s, err := b.openKind(familyOf(a), unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	c := &udpConn{packetSock: packetSock{sock: s}}
	return setUp[kernel.PacketConn](b, &c.sock, c, c.Close, func() error { return c.listen(a, o) })
}

func (s *udpConn) listen(a kernel.Addr, o *kernel.PacketOptions) error {
	fd := int(s.fd)
	p, err := shortIP(kernel.OpListen, a, a.IP.Addr().Unmap(), fd)
	if err != nil {
		return err
	}
	if p.kind == inet6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return opError("setsockopt", err)
		}
	}
	if o.RecvBuffer == 0 {
		askBuffer(fd)
	}
	if err := s.packetOptions(o); err != nil {
		return err
	}
	// With a port that the system chooses, sharing begins after the bind. Otherwise the system might choose
	// one that others share.
	if p.port != 0 {
		if err := s.share(o); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, p.sockaddr()); err != nil {
		return opError(kernel.OpBind, err)
	}
	if p.port == 0 {
		if err := s.share(o); err != nil {
			return err
		}
	}
	s.at = s.askLocal()
	s.prepare(a.IP.Addr().IsUnspecified())
	return nil
}

// askBuffer asks for the default size of the buffer of what comes, and for less if the system refuses that.
func askBuffer(fd int) {
	for size := kernel.DefaultPacketBuffer; size >= 64<<10; size /= 2 {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size) == nil {
			return
		}
	}
}

// share lets other sockets have the address.
func (s *udpConn) share(o *kernel.PacketOptions) error {
	if o.ReusePort {
		if err := s.setOption(kernel.OpListen, "ReusePort", unix.SOL_SOCKET, reusePort, 1); err != nil {
			return err
		}
	}
	if !o.Shared {
		return nil
	}
	for _, name := range sharing() {
		if err := s.setOption(kernel.OpListen, "Shared", unix.SOL_SOCKET, name, 1); err != nil {
			return err
		}
	}
	return nil
}

// packetOptions sets the options that do not depend on the address.
func (s *packetSock) packetOptions(o *kernel.PacketOptions) error {
	if o.Broadcast {
		if err := s.setOption(kernel.OpListen, "Broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return err
		}
	}
	return s.socketOptions(kernel.OpListen, &kernel.StreamOptions{SendBuffer: o.SendBuffer, RecvBuffer: o.RecvBuffer, Control: o.Control})
}

func (b *base) listenUnixgram(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	name := ""
	if a.Name != "" {
		var err error
		if name, err = systemName(kernel.OpListen, a); err != nil {
			return nil, err
		}
	}
	s, err := b.openKind(unix.AF_UNIX, unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	c := &unixgramConn{packetSock: packetSock{sock: s, at: kernel.UNIXDatagramAddr(name)}}
	return setUp[kernel.PacketConn](b, &c.sock, c, c.Close, func() error { return c.listen(a, o) })
}

func (s *unixgramConn) listen(a kernel.Addr, o *kernel.PacketOptions) error {
	if err := s.packetOptions(o); err != nil {
		return err
	}
	s.prepare(false)
	if s.at.Name == "" {
		return nil
	}
	// Datagrams may come as soon as there is a file. On Linux it is born with no more permissions than these.
	_ = unix.Fchmod(int(s.fd), uint32(o.UNIX.FileMode()))
	return s.made.make(int(s.fd), s.at.Name, a, &o.UNIX)
}

// turnOn turns an option of the socket on, until the end if somebody else may have the socket too, and tells whether it is on.
func (s *packetSock) turnOn(level, name int) bool {
	fd := int(s.fd)
	if s.adopted {
		if v, err := unix.GetsockoptInt(fd, level, name); err == nil && v != 0 {
			return true // by its owner
		}
	}
	if unix.SetsockoptInt(fd, level, name, 1) != nil {
		return false
	}
	if s.adopted {
		s.turned = append(s.turned, [2]int{level, name})
	}
	return true
}

// turnBack undoes turnOn, before the end.
func (s *packetSock) turnBack() {
	for _, o := range s.turned {
		if s.fd >= 0 {
			_ = unix.SetsockoptInt(int(s.fd), o[0], o[1], 0)
		}
	}
	s.turned = nil
}

// LeaveOptions leaves what turnOn has turned on to another process.
func (s *packetSock) LeaveOptions() { s.turned = nil }

// askLocal asks the system for our address.
func (s *packetSock) askLocal() kernel.Addr {
	sa, err := unix.Getsockname(int(s.fd))
	if err != nil {
		return s.at
	}
	return s.addrOf(sa)
}

// addrOf is an address of the system. It is for what is rare, because it allocates.
func (s *packetSock) addrOf(sa unix.Sockaddr) kernel.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return kernel.UDPAddr(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return kernel.UDPAddr(s.inZone(netip.AddrFrom16(sa.Addr), sa.ZoneId), uint16(sa.Port))
	case *unix.SockaddrUnix:
		return kernel.UNIXDatagramAddr(nameOf(sa))
	}
	return kernel.Addr{}
}

// lastZone is the last link-local address that a socket has met. To give an address its zone costs more than
// to compare two of them.
type lastZone struct {
	index uint32
	bare  netip.Addr // without the zone
	ip    netip.Addr // with it
}

// inZone returns ip with the interface of that index as its zone. 0 is no interface.
func (s *packetSock) inZone(ip netip.Addr, index uint32) netip.Addr {
	if index == 0 {
		return ip
	}
	z := &s.zone
	switch {
	case z.index != index:
		z.ip = ip.WithZone(s.b.zones.name(s.fd, index))
	case z.bare != ip:
		z.ip = ip.WithZone(z.ip.Zone())
	}
	z.index, z.bare = index, ip
	return z.ip
}

// shortPeer returns the UDP address a in short form. An IPv4 address that is mapped into IPv6 stays so.
func (s *packetSock) shortPeer(op string, a kernel.Addr) (shortAddr, error) {
	return shortIP(op, a, a.IP.Addr(), int(s.fd))
}

// Connect fixes the peer.
func (s *packetSock) Connect(a kernel.Addr) error {
	if s.fd < 0 {
		return s.opError(kernel.OpConnect, badFD)
	}
	sa, err := s.sockaddr(kernel.OpConnect, a)
	if err != nil {
		return err
	}
	if s.at.Net == kernel.UDP {
		if err := s.undoConnect(); err != nil {
			return err
		}
		s.to = kernel.Addr{}
		s.hearRefusals()
	}
	if err := unix.Connect(int(s.fd), sa); err != nil {
		return s.sendError(kernel.OpConnect, errnoOf(err), netip.Addr{})
	}
	if s.at.Net == kernel.UDP {
		s.at = s.askLocal()
		if a.IP.Addr().IsUnspecified() { // the system has taken it for this host
			if sa, err := unix.Getpeername(int(s.fd)); err == nil {
				a = s.addrOf(sa)
			}
		}
	} else if a.Name[0] == 0 {
		a = kernel.UNIXDatagramAddr(a.Name)
	}
	s.to = a
	return nil
}

// sockaddr is the peer a for a system call, or why it is none for this socket.
func (s *packetSock) sockaddr(op string, a kernel.Addr) (unix.Sockaddr, error) {
	if err := kernel.CheckPacketPeer(op, s.at, a); err != nil {
		return nil, err
	}
	if s.at.Net == kernel.UNIXDatagram {
		name, err := systemName(op, a)
		if err != nil {
			return nil, err
		}
		return &unix.SockaddrUnix{Name: name}, nil
	}
	p, err := s.shortPeer(op, a)
	if err != nil {
		return nil, err
	}
	return p.sockaddr(), nil
}

// undoConnect makes the socket unconnected, if the system has chosen its address for the first peer: the way to
// another one may begin elsewhere. The system may then take a port away that it has chosen, too.
func (s *packetSock) undoConnect() error {
	if s.to.IsZero() || !s.wild {
		return nil
	}
	port := s.at.Port()
	if !disconnect(int(s.fd)) {
		return nil
	}
	if s.at = s.askLocal(); s.at.Port() != 0 {
		return nil
	}
	ip := netip.IPv6Unspecified()
	if s.at.IP.Addr().Is4() {
		ip = netip.IPv4Unspecified()
	}
	p, err := s.shortPeer(kernel.OpBind, kernel.UDPAddr(ip, port))
	if err != nil {
		return err
	}
	if err := unix.Bind(int(s.fd), p.sockaddr()); err != nil {
		return opError(kernel.OpBind, err)
	}
	return nil
}

// sendError returns the error of a send or a connect. from is the Local of the datagram.
func (s *packetSock) sendError(op string, errno unix.Errno, from netip.Addr) error {
	switch {
	case s.at.Net == kernel.UNIXDatagram && (errno == unix.ENOENT || errno == unix.ENOTCONN || errno == unix.ECONNREFUSED):
		// Nobody has that name: there is no file, its owner is gone, or the peer of Connect is.
		return &kernel.SysError{Op: op, Kind: kernel.ErrRefused, Errno: errno}
	case from.IsValid() && (errno == unix.EINVAL || errno == unix.ENETUNREACH) && !ours(from):
		return &kernel.SysError{Op: op, Kind: kernel.ErrAddrUnavailable, Errno: errno}
	}
	return s.opError(op, errno)
}

// ours tells whether ip is an address of this host, as far as its interfaces say.
func ours(ip netip.Addr) bool {
	_, ok := interfaceOf(ip)
	return ok || ip.IsLoopback()
}

// pending tells whether errno may be what the network has told of an earlier datagram.
func pending(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENOPROTOOPT, unix.EMSGSIZE,
		unix.EPROTO, unix.EACCES, unix.EOPNOTSUPP, unix.ENETDOWN, unix.ECONNRESET:
		return true
	}
	return false
}

// maxPending is how often a datagram is tried again after a refusal of an earlier one. A refusal is never its own. Other
// errors may be, and are met again if so.
const maxPending = 16

// worthTrying tells whether a datagram of a connected UDP socket is to be tried again after errno, having been tried
// again so often.
func worthTrying(errno unix.Errno, tries int) bool {
	return tries == 0 && pending(errno) || errno == unix.ECONNREFUSED && tries < maxPending
}

// Remote is the peer that Connect has fixed.
func (s *packetSock) Remote() kernel.Addr { return s.to }

// Local was asked for when the socket was opened or connected. An adopted socket that was not bound gets its
// port with the first datagram.
func (s *packetSock) Local() kernel.Addr {
	if s.at.Net == kernel.UDP && s.at.Port() == 0 && s.fd >= 0 {
		s.at = s.askLocal()
	}
	return s.at
}

// Close closes the descriptor.
func (s *packetSock) Close() error {
	s.Lost() // it can be asked only of an open socket
	s.turnBack()
	return s.sock.Close()
}

// LeaveFile leaves the file and the lock file to another process.
func (s *unixgramConn) LeaveFile() { s.made = unixFile{} }

// OwnFile takes them from another process.
func (s *unixgramConn) OwnFile(lock bool, holder int) error {
	return s.made.own(s.at.Name, lock, holder)
}

// Close removes the file, if it is still ours, and then closes (UNIXD-4).
func (s *unixgramConn) Close() error {
	s.made.remove()
	return s.packetSock.Close()
}
