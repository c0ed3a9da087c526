package sim

import "github.com/whorl-go/whorl/kernel"

// A train has at most so many datagrams and bytes, as on Linux.
const (
	longestTrain = 64
	trainBytes   = 65000
)

// ReadTrains is kernel.Trains. Which datagrams have come together is drawn.
func (c *packetConn) ReadTrains() ([]kernel.Packet, error) {
	all, err := c.ReadPackets()
	if err != nil || c.s.local.Net != kernel.UDP {
		return all, err
	}
	n := c.s.lock()
	defer n.mu.Unlock()
	k := c.s.k
	k.lentPackets = k.couple(all)
	return k.lentPackets, nil
}

// couple makes trains of all, in the memory of all.
func (k *simKernel) couple(all []kernel.Packet) []kernel.Packet {
	trains := all[:0]
	for len(all) > 0 {
		p := all[0]
		n := coupled(all, 1+k.n.air.random.below(longestTrain))
		if n > 1 {
			p.Segment = len(p.Data)
			p.Data = append(make([]byte, 0, n*p.Segment), p.Data...)
			for i := range all[1:n] {
				p.Data = append(p.Data, all[1+i].Data...)
			}
		}
		all = all[n:]
		trains = append(trains, p)
	}
	return trains
}

// coupled is how many datagrams at the beginning of all, most at the most, can be one train.
func coupled(all []kernel.Packet, most int) int {
	first := &all[0]
	size := len(first.Data)
	if size == 0 || first.Err != nil || first.Truncated {
		return 1
	}
	n := 1
	for n < min(most, len(all)) && (n+1)*size <= trainBytes {
		q := &all[n]
		if q.Err != nil || q.Peer != first.Peer || q.Local != first.Local || len(q.Data) == 0 || len(q.Data) > size {
			break
		}
		if n++; len(q.Data) < size {
			break
		}
	}
	return n
}

// writeTrain sends a train as the system does, which takes it whole or not at all.
func (s *sock) writeTrain(p *kernel.Packet) error {
	if s.local.Net != kernel.UDP || p.Datagrams() > longestTrain || len(p.Data) > trainBytes || s.k.forced(SiteWriteOne) {
		return kernel.ErrTrain
	}
	switch unsent := s.p.unsent; {
	case unsent >= s.packetSendBuffer():
		return kernel.ErrAgain
	case unsent+p.Datagrams()*packetHeader+len(p.Data) > s.packetSendBuffer():
		return kernel.ErrTrain
	}
	return s.writePacket(p)
}
