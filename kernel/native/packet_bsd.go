//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"net/netip"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

const (
	slots    = 16       // how many datagrams one ReadPackets takes
	slotSize = 64 << 10 // holds the longest
)

// packetState is what only these systems need of a datagram socket.
type packetState struct {
	wild    bool  // it was bound to an unspecified address
	refused error // met by a send, of an earlier datagram, and not told yet
}

// inbox is where datagrams are received. A kernel has one, from its first datagram socket on.
type inbox struct {
	data    []byte
	space   [256]byte
	packets []kernel.Packet
}

// prepare sets what a new socket needs to be read. What fails is done without: it costs a Local.
func (s *packetSock) prepare(wild bool) {
	if s.b.in == nil {
		s.b.in = &inbox{data: make([]byte, slots*slotSize)}
	}
	if s.wild = wild; !wild {
		return
	}
	if s.at.IP.Addr().Is4() {
		s.turnOn(unix.IPPROTO_IP, unix.IP_RECVDSTADDR)
	} else {
		s.turnOn(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO)
	}
}

// sharing are the options of Shared.
func sharing() []int { return []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} }

// hearRefusals does nothing: a connected socket hears of them here.
func (s *packetSock) hearRefusals() {}

// countLost has nothing to count.
func (s *packetSock) countLost() {}

// Lost is 0: these systems do not tell.
func (s *packetSock) Lost() uint64 { return 0 }

// onlyUDP takes every datagram socket: these systems do not tell its protocol.
func onlyUDP(int) error { return nil }

// ReadPackets receives one datagram after the other.
func (s *packetSock) ReadPackets() ([]kernel.Packet, error) {
	in := s.b.in
	in.packets = in.packets[:0]
	if s.refused != nil {
		in.packets = append(in.packets, kernel.Packet{Peer: s.to, Err: s.refused})
		s.refused = nil
		s.watchAgain()
	}
	for tries := 0; len(in.packets) < slots && tries < maxPending+slots; tries++ {
		i := len(in.packets)
		room := in.data[i*slotSize:][:slotSize:slotSize]
		n, oob, flags, from, err := unix.Recvmsg(int(s.fd), room, in.space[:], 0)
		errno := errnoOf(err)
		switch {
		case err == nil:
			p := kernel.Packet{Data: room[:n:n], Truncated: flags&unix.MSG_TRUNC != 0}
			if p.Peer = s.addrOf(from); p.Peer.Name == "" && p.Peer.Net == kernel.UNIXDatagram {
				p.Peer = kernel.Addr{}
			}
			s.readControl(in.space[:oob], &p)
			in.packets = append(in.packets, p)
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			tries = maxPending + slots
		case s.to.Net == kernel.UDP && pending(errno):
			in.packets = append(in.packets, kernel.Packet{Peer: s.to, Err: SysError(kernel.OpRead, errno)})
		case pending(errno):
			// of an earlier datagram, and nobody asked
		case len(in.packets) > 0:
			return in.packets, nil // the next call meets it again
		default:
			return nil, s.opError(kernel.OpRead, errno)
		}
	}
	if len(in.packets) == 0 {
		return nil, kernel.ErrAgain
	}
	return in.packets, nil
}

// readControl takes our address from control messages, and closes descriptors that nobody asked for.
func (s *packetSock) readControl(b []byte, p *kernel.Packet) {
	if len(b) == 0 {
		return
	}
	all, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return
	}
	for i := range all {
		m := &all[i]
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_RIGHTS:
			fds, _ := unix.ParseUnixRights(m)
			for _, fd := range fds {
				unix.Close(fd)
			}
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVDSTADDR && len(m.Data) >= 4:
			if ip := netip.AddrFrom4([4]byte(m.Data)); !ip.IsMulticast() {
				p.Local = ip
			}
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= 20:
			ip, index := netip.AddrFrom16([16]byte(m.Data)), uint32(0)
			if ip.IsMulticast() {
				continue
			}
			if ip.IsLinkLocalUnicast() {
				index = *(*uint32)(unsafe.Pointer(&m.Data[16]))
			}
			p.Local = s.inZone(ip, index)
		}
	}
}

// WritePackets sends one datagram after the other. A Local of IPv4 is left to the system here.
func (s *packetSock) WritePackets(p []kernel.Packet) (int, error) {
	if s.fd < 0 {
		return 0, s.opError(kernel.OpWrite, badFD)
	}
	tries := 0
	for i := 0; i < len(p); {
		var to unix.Sockaddr
		switch {
		case s.to.IsZero():
			var err error
			if to, err = s.sockaddr(kernel.OpWrite, p[i].Peer); err != nil {
				return i, err
			}
		case !p[i].Peer.IsZero():
			return i, &kernel.AddrError{Op: kernel.OpWrite, Addr: p[i].Peer, Kind: kernel.ErrInvalidAddr,
				Reason: "the socket is connected to " + s.to.String()}
		}
		_, err := unix.SendmsgN(int(s.fd), p[i].Data, nil, to, 0)
		errno := errnoOf(err)
		switch {
		case err == nil:
			i++
			tries = 0
		case errno == unix.EINTR:
		case errno == unix.EAGAIN, errno == unix.ENOBUFS:
			return i, kernel.ErrAgain
		case s.to.Net == kernel.UDP && worthTrying(errno, tries):
			if tries++; errno == unix.ECONNREFUSED {
				s.keepRefusal(SysError(kernel.OpRead, errno))
			}
		default:
			return i, s.sendError(kernel.OpWrite, errno, netip.Addr{})
		}
	}
	return len(p), nil
}

// keepRefusal keeps err for ReadPackets. The system has forgotten it, so the socket counts as ready until then.
func (s *packetSock) keepRefusal(err error) {
	s.refused = err
	s.b.putAlways(&s.sock)
}

// watchAgain has the system watch the socket again.
func (s *packetSock) watchAgain() {
	token, r := s.token, s.armed()
	if r != 0 && s.is(alwaysReady) {
		s.b.disarm(&s.sock, false)
		_ = s.b.arm(&s.sock, token, r)
	}
}

// showHeld does nothing: nothing is held.
func (s *packetSock) showHeld() {}
