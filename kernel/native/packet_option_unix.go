//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// SetBroadcast sets SO_BROADCAST. A UNIX socket has none.
func (s *packetSock) SetBroadcast(v bool) error {
	if s.at.Net == kernel.UNIXDatagram && v && s.fd >= 0 {
		return &kernel.OptionError{Op: kernel.OpOption, Option: "Broadcast", Value: v, Err: kernel.ErrUnsupported}
	}
	return s.setOption(kernel.OpOption, "Broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST, on(v))
}

// Broadcast asks the system for SO_BROADCAST.
func (s *packetSock) Broadcast() (bool, error) {
	v, err := s.option("Broadcast", unix.SOL_SOCKET, unix.SO_BROADCAST)
	return v != 0, err
}

// SetSendBuffer sets SO_SNDBUF.
func (s *packetSock) SetSendBuffer(size int) error {
	return s.setBuffer("SendBuffer", unix.SO_SNDBUF, size)
}

// SendBuffer asks the system for SO_SNDBUF.
func (s *packetSock) SendBuffer() (int, error) {
	return s.option("SendBuffer", unix.SOL_SOCKET, unix.SO_SNDBUF)
}

// SetRecvBuffer sets SO_RCVBUF.
func (s *packetSock) SetRecvBuffer(size int) error {
	return s.setBuffer("RecvBuffer", unix.SO_RCVBUF, size)
}

// RecvBuffer asks the system for SO_RCVBUF.
func (s *packetSock) RecvBuffer() (int, error) {
	return s.option("RecvBuffer", unix.SOL_SOCKET, unix.SO_RCVBUF)
}

// AdoptPacketConn makes a socket of a duplicate of fd.
func (b *base) AdoptPacketConn(fd int, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	if o == nil {
		o = new(kernel.PacketOptions)
	}
	if err := kernel.CheckAdoptPacket(o); err != nil {
		return nil, err
	}
	name, err := socketName(fd, unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	if at, ok := name.(*unix.SockaddrUnix); ok {
		if err := kernel.CheckPacket(kernel.UNIXDatagramAddr(nameOf(at)), o); err != nil {
			return nil, err
		}
	} else if err := onlyUDP(fd); err != nil {
		return nil, err
	}
	own, err := b.duplicate(fd)
	if err != nil {
		return nil, err
	}
	s := packetSock{sock: own, adopted: true}
	s.at = s.addrOf(name)
	if s.at.Net == kernel.UNIXDatagram {
		c := &unixgramConn{packetSock: s}
		return setUp[kernel.PacketConn](b, &c.sock, c, c.Close, func() error { return c.adopt(o) })
	}
	c := &udpConn{packetSock: s}
	return setUp[kernel.PacketConn](b, &c.sock, c, c.Close, func() error { return c.adopt(o) })
}

// adopt sets the options and finds the peer.
func (s *packetSock) adopt(o *kernel.PacketOptions) error {
	if err := s.packetOptions(o); err != nil {
		return err
	}
	if peer, err := unix.Getpeername(int(s.fd)); err == nil {
		s.to = s.addrOf(peer)
	}
	s.countLost()
	s.prepare(s.at.Net == kernel.UDP && s.at.IP.Addr().IsUnspecified())
	if s.to.Net == kernel.UDP {
		s.hearRefusals()
	}
	return nil
}
