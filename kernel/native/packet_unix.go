//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// packetSock is one datagram socket of any family.
type packetSock struct {
	sock
	connected bool
	info      bool // the system tells to which of our addresses a datagram came
	receives  joining
	sends     dividing
	emptied   bool          // the last read got all there was
	pending   syscall.Errno // a failure of an earlier datagram, which a send has met; for ReadPackets
	last      lastPeer
	reports
}

// udpConn is one UDP socket.
type udpConn struct {
	packetSock
	outgoing string // interface of datagrams to groups, as it was set
}

// unixgramConn is one UNIX datagram socket.
type unixgramConn struct {
	packetSock
	from, to string
	made     unixFile
}

var (
	_ kernel.Packets        = (*base)(nil)
	_ kernel.PacketConn     = (*udpConn)(nil)
	_ kernel.PacketConn     = (*unixgramConn)(nil)
	_ kernel.PacketSettings = (*udpConn)(nil)
	_ kernel.PacketSettings = (*unixgramConn)(nil)
	_ kernel.Multicast      = (*udpConn)(nil)
)

// ListenPacket opens a datagram socket. If it fails it leaves no descriptor open.
func (b *base) ListenPacket(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	if o == nil {
		o = new(kernel.PacketOptions)
	}
	if err := kernel.CheckPacketAddr(kernel.OpListen, a); err != nil {
		return nil, err
	}
	if err := kernel.CheckPacket(a, o); err != nil {
		return nil, err
	}
	if a.Net == kernel.UNIXDatagram {
		return b.listenUNIXDatagram(a, o)
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
	if o.Shared {
		if err := s.share(); err != nil {
			return err
		}
	}
	if o.ReusePort {
		if err := s.setOption(kernel.OpListen, "ReusePort", unix.SOL_SOCKET, reusePort, 1); err != nil {
			return err
		}
	}
	s.prepare(a.IP.Addr().IsUnspecified())
	if o.RecvBuffer == 0 {
		s.enlarge()
	}
	if err := s.packetOptions(o); err != nil {
		return err
	}
	s.look()
	if err := unix.Bind(fd, p.sockaddr()); err != nil {
		return opError(kernel.OpBind, err)
	}
	return nil
}

// share lets several sockets have the port. Systems other than Linux want another option for that.
func (s *udpConn) share() error {
	if err := s.setOption(kernel.OpListen, "Shared", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return s.shareMore()
}

// enlarge asks for a receive buffer that holds more than 256 small datagrams. The system may cut it.
func (s *packetSock) enlarge() {
	for size := kernel.DefaultPacketBuffer; size > 128<<10; size /= 2 {
		if unix.SetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size) == nil {
			return
		}
	}
}

// packetOptions sets the options that a datagram socket of any family has.
func (s *packetSock) packetOptions(o *kernel.PacketOptions) error {
	if o.Broadcast {
		if err := s.setOption(kernel.OpListen, "Broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return err
		}
	}
	return s.socketOptions(kernel.OpListen, &kernel.StreamOptions{SendBuffer: o.SendBuffer, RecvBuffer: o.RecvBuffer, Control: o.Control})
}

func (b *base) listenUNIXDatagram(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
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
	c := &unixgramConn{packetSock: packetSock{sock: s}, from: name}
	return setUp[kernel.PacketConn](b, &c.sock, c, c.Close, func() error { return c.listen(a, o) })
}

func (s *unixgramConn) listen(a kernel.Addr, o *kernel.PacketOptions) error {
	if err := s.packetOptions(o); err != nil || s.from == "" {
		return err
	}
	return s.made.make(int(s.fd), s.from, a, &o.UNIX)
}

// Connect fixes the peer (UDP-25).
func (s *udpConn) Connect(a kernel.Addr) error {
	if s.fd < 0 {
		return s.opError(kernel.OpConnect, badFD)
	}
	if err := kernel.CheckPacketPeer(kernel.OpConnect, s.Local(), a); err != nil {
		return err
	}
	p, err := shortIP(kernel.OpConnect, a, a.IP.Addr(), int(s.fd))
	if err != nil {
		return err
	}
	if err := unix.Connect(int(s.fd), p.sockaddr()); err != nil {
		return s.opError(kernel.OpConnect, errnoOf(err))
	}
	s.remote.set(p)
	s.local.kind = noAddr // the system may have chosen another one
	s.connected, s.emptied = true, false
	s.hearErrors()
	return nil
}

// Connect fixes the peer.
func (s *unixgramConn) Connect(a kernel.Addr) error {
	if s.fd < 0 {
		return s.opError(kernel.OpConnect, badFD)
	}
	if err := kernel.CheckPacketPeer(kernel.OpConnect, s.Local(), a); err != nil {
		return err
	}
	name, err := systemName(kernel.OpConnect, a)
	if err != nil {
		return err
	}
	if err := unix.Connect(int(s.fd), &unix.SockaddrUnix{Name: name}); err != nil {
		return s.opError(kernel.OpConnect, errnoOf(err))
	}
	s.to, s.connected, s.emptied = name, true, false
	return nil
}

// Local asks the system at the first call.
func (s *udpConn) Local() kernel.Addr { return asUDP(s.sock.Local()) }

// Remote is the peer of Connect.
func (s *udpConn) Remote() kernel.Addr { return asUDP(s.remote.addr(s.b, s.fd)) }

func asUDP(a kernel.Addr) kernel.Addr {
	if a.Net != 0 {
		a.Net = kernel.UDP
	}
	return a
}

// Local is the name that was bound.
func (s *unixgramConn) Local() kernel.Addr { return kernel.UNIXDatagramAddr(s.from) }

// Remote is the peer of Connect.
func (s *unixgramConn) Remote() kernel.Addr {
	if !s.connected {
		return kernel.Addr{}
	}
	return kernel.UNIXDatagramAddr(s.to)
}

// Close removes the file, if it is still ours, and closes (UNIXD-4).
func (s *unixgramConn) Close() error {
	s.made.remove()
	return s.sock.Close()
}

// SetBroadcast sets SO_BROADCAST.
func (s *packetSock) SetBroadcast(v bool) error {
	return s.setOption(kernel.OpOption, "Broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST, on(v))
}

// Broadcast asks for SO_BROADCAST.
func (s *packetSock) Broadcast() (bool, error) {
	v, err := s.option("Broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST)
	return v != 0, err
}

// SetSendBuffer sets SO_SNDBUF.
func (s *packetSock) SetSendBuffer(size int) error {
	return s.setBuffer("SendBuffer", unix.SO_SNDBUF, size)
}

// SendBuffer asks for SO_SNDBUF.
func (s *packetSock) SendBuffer() (int, error) {
	return s.option("SendBuffer", unix.SOL_SOCKET, unix.SO_SNDBUF)
}

// SetRecvBuffer sets SO_RCVBUF.
func (s *packetSock) SetRecvBuffer(size int) error {
	return s.setBuffer("RecvBuffer", unix.SO_RCVBUF, size)
}

// RecvBuffer asks for SO_RCVBUF.
func (s *packetSock) RecvBuffer() (int, error) {
	return s.option("RecvBuffer", unix.SOL_SOCKET, unix.SO_RCVBUF)
}
