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
