package main

import (
	"math/rand/v2"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// packetBase is a PacketProtocol that does nothing but keep its transport.
type packetBase struct{ t reactor.PacketTransport }

// StartProtocol keeps t.
func (b *packetBase) StartProtocol(t reactor.PacketTransport) { b.t = t }

// DatagramReceived does nothing.
func (*packetBase) DatagramReceived([]byte, kernel.Addr) {}

// StopProtocol does nothing.
func (*packetBase) StopProtocol(error) {}

// nameless tells whether a is of a UNIX socket that has bound no name, so that nothing can be sent to it.
func nameless(a kernel.Addr) bool {
	return a.IsZero() || a.Net == kernel.UNIXDatagram && a.Name == ""
}

// PacketEcho sends each datagram back where it came from, and from the address to which it came (RFC 862). What there is no
// room to send is dropped.
type PacketEcho struct{ packetBase }

func newPacketEcho() reactor.PacketProtocol { return new(PacketEcho) }

// TakesTrains is true.
func (*PacketEcho) TakesTrains() bool { return true }

// PacketsReceived sends ps back. The port refuses those of a nameless sender.
func (e *PacketEcho) PacketsReceived(ps []kernel.Packet) { sendAll(e.t, ps) }

// sendAll sends ps by t. An error is about one of them, or a full queue: the port counts what was not sent.
func sendAll(t reactor.PacketTransport, ps []kernel.Packet) {
	for len(ps) > 0 {
		n, err := t.WritePackets(ps)
		if ps = ps[n:]; err != nil {
			ps = ps[1:]
		}
	}
}

// PacketDiscard throws datagrams away (RFC 863).
type PacketDiscard struct{ packetBase }

func newPacketDiscard() reactor.PacketProtocol { return new(PacketDiscard) }

// maxChargen is the most characters in an answer, by RFC 864.
const maxChargen = 512

// PacketChargen answers each datagram by one with a random number of characters, 0 to 512 (RFC 864).
type PacketChargen struct {
	packetBase
	lines  []byte
	random *rand.Rand
}

// newPacketChargens returns what makes them. They share the lines of f.
func newPacketChargens(f *Chargens, random *rand.Rand) func() reactor.PacketProtocol {
	return func() reactor.PacketProtocol { return &PacketChargen{lines: f.lines, random: random} }
}

// PacketsReceived answers ps.
func (c *PacketChargen) PacketsReceived(ps []kernel.Packet) {
	for i := range ps {
		if p := &ps[i]; !nameless(p.Peer) {
			n := c.random.IntN(maxChargen + 1)
			_ = c.t.WritePacket(kernel.Packet{Data: c.lines[:n], Peer: p.Peer, Local: p.Local})
		}
	}
}
