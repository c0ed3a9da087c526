//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"net/netip"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// These systems have no common call for many datagrams, so they are read and sent one by one.

const slotSize = 64 << 10

// joining and dividing are what Linux has.
type (
	joining  struct{}
	dividing struct{}
	lastPeer struct{}
	reports  struct{}
)

// packetBuffers is the memory for datagrams, made for the first socket.
type packetBuffers struct {
	slot    [slotSize]byte
	packets [1]kernel.Packet
}

func (b *base) packetMemory() *packetBuffers {
	if b.packets == nil {
		b.packets = new(packetBuffers)
	}
	return b.packets
}

// prepare does nothing: our address is not told.
func (s *udpConn) prepare(bool) {}

// adopted does nothing: our address is not told.
func (s *udpConn) adopted() {}

// shareMore sets the option that lets several sockets have a port.
func (s *udpConn) shareMore() error {
	return s.setOption(kernel.OpListen, "Shared", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
}

// look does nothing: there are no options to look at.
func (s *udpConn) look() {}

// hearErrors does nothing: a connected socket hears of refusals, but not of which datagram.
func (s *udpConn) hearErrors() {}

// showHeld does nothing: nothing is held.
func (s *udpConn) showHeld() {}

// ReadPackets receives one datagram.
func (s *udpConn) ReadPackets() ([]kernel.Packet, error) {
	return s.readPacket(func(sa unix.Sockaddr) kernel.Addr {
		p := shortAddrFrom(sa)
		return asUDP(p.addr(s.b, s.fd))
	})
}

// ReadPackets receives one datagram.
func (s *unixgramConn) ReadPackets() ([]kernel.Packet, error) {
	return s.readPacket(func(sa unix.Sockaddr) kernel.Addr {
		if at, ok := sa.(*unix.SockaddrUnix); ok && nameOf(at) != "" {
			return kernel.UNIXDatagramAddr(nameOf(at))
		}
		return kernel.Addr{}
	})
}

func (s *packetSock) readPacket(peer func(unix.Sockaddr) kernel.Addr) ([]kernel.Packet, error) {
	m := s.b.packetMemory()
	for {
		errno := s.pending
		s.pending = 0
		var n, flags int
		var from unix.Sockaddr
		if errno == 0 {
			var err error
			n, _, flags, from, err = unix.Recvmsg(int(s.fd), m.slot[:], nil, 0)
			errno = errnoOf(err)
		}
		switch {
		case errno == 0:
			m.packets[0] = kernel.Packet{Data: m.slot[:n:n], Peer: peer(from), Truncated: flags&unix.MSG_TRUNC != 0}
			return m.packets[:], nil
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return nil, kernel.ErrAgain
		case undelivered(errno) && s.connected:
			m.packets[0] = kernel.Packet{Peer: asUDP(s.remote.addr(s.b, s.fd)), Err: SysError(kernel.OpRead, errno)}
			return m.packets[:], nil
		case undelivered(errno):
		default:
			return nil, s.opError(kernel.OpRead, errno)
		}
	}
}

// undelivered tells whether errno is about a datagram that was sent earlier.
func undelivered(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN:
		return true
	}
	return false
}

// WritePackets sends one after the other.
func (s *udpConn) WritePackets(p []kernel.Packet) (int, error) {
	return s.writePackets(p, func(a kernel.Addr) (unix.Sockaddr, error) {
		if err := kernel.CheckPacketPeer(kernel.OpWrite, s.Local(), a); err != nil {
			return nil, err
		}
		short, err := shortIP(kernel.OpWrite, a, a.IP.Addr(), int(s.fd))
		if err != nil {
			return nil, err
		}
		return short.sockaddr(), nil
	})
}

// WritePackets sends one after the other.
func (s *unixgramConn) WritePackets(p []kernel.Packet) (int, error) {
	return s.writePackets(p, func(a kernel.Addr) (unix.Sockaddr, error) {
		if err := kernel.CheckPacketPeer(kernel.OpWrite, s.Local(), a); err != nil {
			return nil, err
		}
		name, err := systemName(kernel.OpWrite, a)
		if err != nil {
			return nil, err
		}
		return &unix.SockaddrUnix{Name: name}, nil
	})
}

func (s *packetSock) writePackets(p []kernel.Packet, peer func(kernel.Addr) (unix.Sockaddr, error)) (int, error) {
	if s.fd < 0 {
		return 0, s.opError(kernel.OpWrite, badFD)
	}
	for i := range p {
		var to unix.Sockaddr
		var err error
		switch {
		case !s.connected:
			to, err = peer(p[i].Peer)
		case p[i].Peer != (kernel.Addr{}):
			err = &kernel.AddrError{Op: kernel.OpWrite, Addr: p[i].Peer, Kind: kernel.ErrInvalidAddr, Reason: "the socket is connected"}
		}
		if err == nil {
			err = s.writePacket(p[i].Data, to, p[i].Local)
		}
		if err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// writePacket sends one datagram. A refusal on a connected socket is about an earlier one, and is kept for ReadPackets.
func (s *packetSock) writePacket(data []byte, to unix.Sockaddr, from netip.Addr) error {
	if from.IsValid() {
		return &kernel.OptionError{Op: kernel.OpWrite, Option: "Local", Value: from, Err: kernel.ErrUnsupported}
	}
	for tries := 0; ; {
		_, err := unix.SendmsgN(int(s.fd), data, nil, to, 0)
		switch errno := errnoOf(err); {
		case err == nil:
			return nil
		case errno == unix.EINTR:
		case errno == unix.EAGAIN, errno == unix.ENOBUFS:
			return kernel.ErrAgain
		case undelivered(errno) && s.connected && s.remote.kind != noAddr && tries < 3:
			s.pending = errno
			tries++
		default:
			return s.opError(kernel.OpWrite, errno)
		}
	}
}

// Lost is not told here.
func (s *packetSock) Lost() uint64 { return 0 }
