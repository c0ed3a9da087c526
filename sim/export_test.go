package sim

var ReplayLine = replayLine

// Corrupt changes a byte that is under way or waits to be read, and tells whether there
// was one.
func Corrupt(n *Net) bool {
	for _, h := range n.hosts {
		for _, s := range h.k.socks {
			if f := s.in; f != nil && f.unread+f.flight > 0 {
				f.ring[f.head] ^= 1
				return true
			}
		}
	}
	return false
}

// LoseTail drops a byte that waits to be sent, and tells whether there was one.
func LoseTail(n *Net) bool {
	for _, h := range n.hosts {
		for _, s := range h.k.socks {
			if s.out != nil && s.out.unsent > 0 {
				s.out.unsent--
				return true
			}
		}
	}
	return false
}

// eachPacketSock calls fn for the datagram sockets of n until it returns true, and tells whether it has.
func eachPacketSock(n *Net, fn func(s *sock) bool) bool {
	for _, h := range n.hosts {
		for _, s := range h.k.socks {
			if s.p != nil && fn(s) {
				return true
			}
		}
	}
	return false
}

// CorruptPacket changes a byte of a datagram that waits to be read.
func CorruptPacket(n *Net) bool {
	return eachPacketSock(n, func(s *sock) bool {
		for _, d := range s.p.queued() {
			d.data[0] ^= 1
			return true
		}
		return false
	})
}

// RepeatPacket has a datagram that waits to be read be there twice.
func RepeatPacket(n *Net) bool {
	return eachPacketSock(n, func(s *sock) bool {
		for _, d := range s.p.queued() {
			s.p.queue = append(s.p.queue, d)
			return true
		}
		return false
	})
}

// LosePacket takes a datagram that waits to be read away.
func LosePacket(n *Net) bool {
	return eachPacketSock(n, func(s *sock) bool {
		if len(s.p.queued()) == 0 {
			return false
		}
		s.p.first++
		return true
	})
}

// MisdeliverPacket gives a datagram under way to a socket that it is not for.
func MisdeliverPacket(n *Net) bool {
	for _, d := range n.air.flying {
		return eachPacketSock(n, func(s *sock) bool {
			if s.hears(d) && s.local.IP.Port() == d.dst.Port() {
				return false
			}
			d.land()
			s.receive(d)
			return true
		})
	}
	return false
}
