package reactor

import (
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

const (
	// packetBytes is how many bytes of datagrams a port reads in one wake-up, at least (UDP-10).
	packetBytes = 256 << 10
	// packetReads is how many batches it reads, because datagrams may be empty.
	packetReads = 32
	// maxDiscarded is how many datagrams a port that stops takes from the system, to count them.
	maxDiscarded = 1 << 16
)

// ready sends what waits, and reads and delivers datagrams until there are none, or until it is the turn
// of others.
func (t *PacketPort) ready(ev kernel.Ready) {
	if ev&kernel.Writable != 0 && t.state != portStopped {
		t.queue.send()
	}
	if ev&kernel.Readable != 0 {
		t.read()
	}
	t.r.gathered.flushFor(t)
	t.settle()
}

// settle does what is left to do after an event.
func (t *PacketPort) settle() {
	if len(t.failures.all) > 0 || t.state == portStopping || len(t.held) > 0 {
		t.touch()
		return
	}
	t.rearm()
}

func (t *PacketPort) reading() bool {
	return t.state == portListening && !t.paused && len(t.held) == 0
}

func (t *PacketPort) read() {
	for total, reads := 0, 0; total < packetBytes && reads < packetReads && t.reading(); reads++ {
		ps, err := t.receive()
		if err == kernel.ErrAgain {
			return
		}
		if err != nil {
			t.fail("read", err) // UDP-16
			return
		}
		for i := range ps {
			total += len(ps[i].Data)
		}
		t.lent, t.ours = ps, false
		t.deliver()
	}
}

// receive reads what is to be delivered.
func (t *PacketPort) receive() ([]kernel.Packet, error) {
	if t.couples {
		return t.trains.ReadTrains()
	}
	return t.conn.ReadPackets()
}

// deliver gives lent to the protocol, as far as the port is not stopped or paused meanwhile. If a callback panics, lent is
// what is left.
func (t *PacketPort) deliver() {
	for len(t.lent) > 0 && t.state == portListening && !t.paused {
		p := &t.lent[0]
		if p.Err == nil && t.batch != nil {
			t.deliverBatch()
			continue
		}
		t.lent = t.lent[1:]
		if p.Err != nil {
			t.refused(p)
			continue
		}
		t.count(p)
		t.note(probe.NoteDatagram, len(p.Data), nil)
		t.proto.DatagramReceived(p.Data, p.Peer)
	}
	t.hold()
}

// deliverBatch gives the datagrams at the beginning of lent to a PacketsReceiver.
func (t *PacketPort) deliverBatch() {
	n, datagrams := 0, 0
	for n < len(t.lent) && t.lent[n].Err == nil {
		datagrams += t.count(&t.lent[n])
		n++
	}
	ps := t.lent[:n:n]
	t.lent = t.lent[n:]
	t.note(probe.NoteDatagrams, datagrams, nil)
	t.batch.PacketsReceived(ps)
}

// count cuts p if it is too long, and counts it. It returns how many datagrams it is.
func (t *PacketPort) count(p *kernel.Packet) int {
	if len(p.Data) > t.cfg.MaxPacketSize {
		p.Data, p.Truncated = p.Data[:t.cfg.MaxPacketSize], true
	}
	if p.Truncated {
		t.stats.Truncated++
	}
	n := p.Datagrams()
	t.stats.Received += uint64(n)
	t.stats.ReceivedBytes += uint64(len(p.Data))
	return n
}

// refused tells of a datagram of ours that was not delivered.
func (t *PacketPort) refused(p *kernel.Packet) {
	t.stats.Refusals++
	if l, ok := PacketProtocolAs[DatagramRefusalListener](t.proto); ok {
		to := p.Peer
		if to.IsZero() {
			to = t.remote
		}
		t.note(probe.NoteRefused, len(p.Data), p.Err)
		l.DatagramRefused(p.Data, to, p.Err)
	}
}

// hold copies what is left of the batch, which belongs to the kernel: the port was paused, or a callback
// panicked. On a port that was stopped it is discarded (UDP-14).
func (t *PacketPort) hold() {
	rest := t.lent
	t.lent = nil
	if t.state != portListening {
		t.discarded(rest)
		return
	}
	if t.ours {
		t.held = rest
		return
	}
	for _, p := range rest {
		p.Data = append([]byte(nil), p.Data...)
		t.held = append(t.held, p)
	}
}

// deliverHeld delivers what is held, if the port is not paused.
func (t *PacketPort) deliverHeld() {
	if len(t.held) == 0 || t.paused {
		return
	}
	t.lent, t.ours, t.held = t.held, true, nil
	t.deliver()
}

// discarded counts datagrams that were read and are not delivered.
func (t *PacketPort) discarded(ps []kernel.Packet) {
	before := t.stats.Discarded
	for i := range ps {
		if ps[i].Err == nil {
			t.stats.Discarded += uint64(ps[i].Datagrams())
		} else {
			t.stats.Refusals++
		}
	}
	if n := t.stats.Discarded - before; n > 0 {
		t.note(probe.NoteDiscarded, int(n), nil)
	}
}

// discard counts the datagrams that came before the end and are not delivered: those held, and those that the system
// has, within a limit.
func (t *PacketPort) discard() {
	t.discarded(t.held)
	t.held = nil
	if t.shared {
		return // what the system has is for the others
	}
	for n := 0; n < maxDiscarded; {
		ps, err := t.conn.ReadPackets()
		if err != nil {
			return
		}
		t.discarded(ps)
		n += len(ps)
	}
}
