package sim

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// packets is what a datagram socket has besides a sock.
type packets struct {
	queue  []*datagram // to be read, from first on
	first  int
	used   int // bytes of the receive buffer
	unsent int // bytes that have not left the host
	lost   uint64
	peer   *sock // a UNIX socket that it is connected to
	parted bool  // from peer, which is gone

	wild                      bool // it was bound to an unspecified address
	broadcast, shared, reuses bool
	sendBuffer, recvBuffer    int // 0: the default
	multicast
}

// packetConn is a datagram socket as its program has it: of UNIX, or the part of one of UDP that has nothing to
// do with groups.
type packetConn struct {
	s      *sock
	before uint64 // so many were lost before this handle was made
}

// udpConn is a datagram socket of UDP.
type udpConn struct {
	packetConn
	joined []membership // those of the socket that this handle has asked for
}

var (
	_ kernel.Packets        = (*simKernel)(nil)
	_ kernel.PacketConn     = (*packetConn)(nil)
	_ kernel.Trains         = (*packetConn)(nil)
	_ kernel.PacketSettings = (*packetConn)(nil)
	_ kernel.Multicast      = (*udpConn)(nil)
)

const (
	// packetBatch is how many datagrams one read returns at most.
	packetBatch = 16
	// longestRead is how many bytes of a datagram it returns.
	longestRead = 64 << 10
	// unixQueue is how many datagrams wait at a UNIX socket at most, on Linux.
	unixQueue = 11
	// packetSendBuffer is the size of a send buffer for which nothing else is said, on Linux.
	packetSendBuffer = 208 << 10
)

// socket is for innerHandle.
func (c *packetConn) socket() *sock { return c.s }

// queued are the datagrams to be read.
func (p *packets) queued() []*datagram { return p.queue[p.first:] }

// ListenPacket is kernel.Packets.
func (k *simKernel) ListenPacket(a kernel.Addr, o *kernel.PacketOptions) (kernel.PacketConn, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	if o == nil {
		o = &kernel.PacketOptions{}
	}
	err := kernel.CheckPacketAddr(kernel.OpListen, a)
	if err == nil {
		err = cmp.Or(kernel.CheckPacket(a, o), noPacketControl(o))
	}
	switch {
	case err != nil:
		return nil, err
	case k.closed:
		return nil, kernel.ErrClosed
	}
	s := &sock{state: open, p: &packets{broadcast: o.Broadcast, shared: o.Shared, reuses: o.ReusePort,
		sendBuffer: o.SendBuffer, recvBuffer: o.RecvBuffer, multicast: multicast{ttl: 1, loopback: true}}}
	if a.Net == kernel.UNIXDatagram {
		return k.openUNIX(s, a, o)
	}
	at, err := k.bindUDP(plain(a.IP), s.p)
	if err == nil {
		err = k.file(kernel.OpSocket)
	}
	if err != nil {
		return nil, err
	}
	s.local, s.p.wild = kernel.Addr{Net: kernel.UDP, IP: at}, at.Addr().IsUnspecified()
	k.own(s)
	k.h.udp[at.Port()] = append(k.h.udp[at.Port()], s)
	k.n.note(OpListen, s, 0)
	return &udpConn{packetConn: packetConn{s: s}}, nil
}

// noPacketControl is the error of a Control, which needs a descriptor.
func noPacketControl(o *kernel.PacketOptions) error {
	if o.Control == nil {
		return nil
	}
	return &kernel.OptionError{Op: kernel.OpListen, Option: "Control", Err: kernel.ErrUnsupported}
}

// plain is a without what a simulated socket does not have: the scope, and IPv4 in IPv6.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// packetReadiness is readiness of a datagram socket.
func (s *sock) packetReadiness() (r kernel.Ready) {
	p := s.p
	if len(p.queued()) > 0 {
		r = kernel.Readable
	}
	room := p.unsent < s.packetSendBuffer()
	if p.peer != nil { // if that is closed, there is an error to tell
		room = p.peer.state == shut || len(p.peer.p.queued()) < unixQueue
	}
	if room {
		r |= kernel.Writable
	}
	return r
}

// receive puts d in the queue of s, if there is room.
func (s *sock) receive(d *datagram) {
	p := s.p
	s.addressed(d)
	room := bookkeeping + len(d.data)
	if p.first == len(p.queue) {
		p.queue, p.first = p.queue[:0], 0
	} else if s.local.Net == kernel.UDP && p.used+room > s.packetRecvBuffer() {
		if d.kind == DATAGRAM {
			p.lost++
		}
		d.drop(DropFull)
		return
	}
	if p.first > len(p.queue)/2 && len(p.queue) == cap(p.queue) {
		p.queue = slices.Delete(p.queue, 0, p.first)
		p.first = 0
	}
	p.queue = append(p.queue, d)
	p.used += room
	if d.fate.arrived {
		d.note(OpDuplicate, s, "")
	} else {
		d.note(OpArrive, s, "")
	}
	d.fate.arrived = true
	s.notify()
}

// ReadPackets is kernel.PacketConn.
func (c *packetConn) ReadPackets() ([]kernel.Packet, error) {
	s := c.s
	n := s.lock()
	defer n.mu.Unlock()
	s.k.takeBack()
	if s.noHandle() {
		return nil, kernel.ErrClosed
	}
	reported := s.reported
	s.reported = false
	p := s.p
	most := min(len(p.queued()), packetBatch)
	switch {
	case most == 0, reported && s.k.forced(SiteReadAgain):
		n.note(OpRead, s, -1)
		return nil, kernel.ErrAgain
	case s.k.forced(SiteReadOne):
		most = 1
	case n.Options.Chunk > 0:
		most = min(most, 1+n.air.random.below(n.Options.Chunk))
	}
	for _, d := range p.queue[p.first : p.first+most] {
		s.k.lentPackets = append(s.k.lentPackets, s.packet(d))
	}
	clear(p.queue[p.first : p.first+most])
	p.first += most
	n.note(OpRead, s, most)
	s.file().wakeSenders()
	return s.k.lentPackets, nil
}

// packet is d as it is read.
func (s *sock) packet(d *datagram) kernel.Packet {
	s.p.used -= bookkeeping + len(d.data)
	s.isRead(d)
	if d.kind == REFUSAL {
		return kernel.Packet{Data: d.data, Peer: kernel.Addr{Net: kernel.UDP, IP: d.src}, Err: fail(kernel.OpRead, kernel.ErrRefused)}
	}
	s.h.n.air.counts.Read++
	s.seen.read++
	p := kernel.Packet{Data: d.data, Peer: d.sender}
	if s.local.Net == kernel.UNIXDatagram {
		if p.Truncated = len(p.Data) > longestRead; p.Truncated {
			p.Data = p.Data[:longestRead]
		}
		return p
	}
	p.Peer = kernel.Addr{Net: kernel.UDP, IP: d.src}
	if s.p.wild { // also when Connect has fixed the address since, as on Linux
		p.Local = s.h.came(d)
	}
	return p
}

// takeBack overwrites what the last read has lent, so that whoever still uses it is found.
func (k *simKernel) takeBack() {
	for i := range k.lentPackets {
		for j := range k.lentPackets[i].Data {
			k.lentPackets[i].Data[j] = 0xdb
		}
	}
	clear(k.lentPackets)
	k.lentPackets = k.lentPackets[:0]
}

// WritePackets is kernel.PacketConn.
func (c *packetConn) WritePackets(p []kernel.Packet) (int, error) {
	s := c.s
	n := s.lock()
	defer n.mu.Unlock()
	if s.noHandle() {
		return 0, kernel.ErrClosed
	}
	sent, err := s.writePackets(p)
	m := sent
	if sent == 0 && err != nil {
		m = -1
	}
	n.note(OpWrite, s, m)
	return sent, err
}

func (s *sock) writePackets(p []kernel.Packet) (int, error) {
	most := len(p)
	if s.local.Net == kernel.UDP && most > 0 { // nothing tells when an unconnected UNIX socket can send again
		switch {
		case s.k.forced(SiteWriteAgain):
			most = 0
		case s.k.forced(SiteWriteOne):
			most = 1
		}
	}
	for i := range p {
		err := kernel.ErrAgain
		switch {
		case i >= most:
		case p[i].Train():
			err = s.writeTrain(&p[i])
		default:
			err = s.writePacket(&p[i])
		}
		if err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func (s *sock) writePacket(p *kernel.Packet) error {
	to := p.Peer
	switch {
	case s.remote == (kernel.Addr{}):
		if err := kernel.CheckPacketPeer(kernel.OpWrite, s.local, to); err != nil {
			return err
		}
	case to == (kernel.Addr{}):
		to = s.remote
	default:
		return &kernel.AddrError{Op: kernel.OpWrite, Addr: to, Kind: kernel.ErrInvalidAddr, Reason: "the socket is connected to " + s.remote.String()}
	}
	var err error
	if to.Net == kernel.UNIXDatagram {
		err = s.writeUNIX(to, p.Data)
	} else {
		err = s.writeUDP(to.IP, p)
	}
	if err == nil {
		s.h.n.air.counts.Written += p.Datagrams()
		s.h.n.content(s, p.Data)
	}
	return err
}

// Connect is kernel.PacketConn.
func (c *packetConn) Connect(a kernel.Addr) error {
	s := c.s
	n := s.lock()
	defer n.mu.Unlock()
	if s.noHandle() {
		return kernel.ErrClosed
	}
	err := kernel.CheckPacketPeer(kernel.OpConnect, s.local, a)
	switch {
	case err != nil:
		return err
	case a.Net == kernel.UNIXDatagram:
		err = s.connectUNIX(a)
	default:
		err = s.connectUDP(a.IP)
	}
	if err == nil {
		n.note(OpDial, s, 0)
		s.notify()
	}
	return err
}

// Remote is kernel.PacketConn.
func (c *packetConn) Remote() kernel.Addr { return c.s.remote }

// Local is kernel.Handle.
func (c *packetConn) Local() kernel.Addr { return c.s.local }

// Close is kernel.Handle. What was sent is on its way; what was not read is dropped.
func (c *packetConn) Close() error {
	s := c.s
	n := s.lock()
	defer n.mu.Unlock()
	if s.noHandle() {
		return nil
	}
	n.note(OpClose, s, 0)
	s.k.files--
	shared := s.of != nil || s.held()
	if !s.leavesFile && (!shared || !s.local.IsAbstract()) {
		s.unname(true)
	}
	if shared {
		s.release()
		return nil
	}
	s.end()
	return nil
}

// endPackets drops what was not read, and gives the port back.
func (s *sock) endPackets() {
	for _, d := range s.p.queued() {
		d.drop(DropClosed)
	}
	s.wakeSenders()
	if s.local.Net != kernel.UDP {
		return
	}
	port := s.local.IP.Port()
	left := slices.DeleteFunc(s.h.udp[port], func(x *sock) bool { return x == s })
	if s.h.udp[port] = left; len(left) == 0 {
		delete(s.h.udp, port)
	}
}
