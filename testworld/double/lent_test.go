package double_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld/double"
)

// keeper has the mistake to keep what it was lent.
type keeper struct {
	reactor.Base
	kept []byte
}

func (p *keeper) DataReceived(b []byte) { p.kept = b }

// packetKeeper makes it with a datagram.
type packetKeeper struct{ kept []byte }

func (p *packetKeeper) StartProtocol(reactor.PacketTransport)       {}
func (p *packetKeeper) DatagramReceived(b []byte, from kernel.Addr) { p.kept = b }
func (p *packetKeeper) StopProtocol(error)                          {}

// What DataReceived was given belongs to the reactor again when it returns. A protocol that keeps it finds garbage, also if nothing else
// comes: on both sides of a pump and on a recording kernel, and a datagram too.
func TestKeptSliceIsOverwritten(t *testing.T) {
	garbage := func(name string, kept []byte) {
		t.Helper()
		if len(kept) != 4 || string(kept) == "only" {
			t.Errorf("%s: what was kept is %q", name, kept)
		}
	}
	server, client := new(keeper), new(keeper)
	pump := double.Connect(t, server, client, nil)
	server.T.Write([]byte("only"))
	client.T.Write([]byte("only"))
	pump.Flush()
	garbage("the pump's server", server.kept)
	garbage("the pump's client", client.kept)

	r, k := double.New(t, reactor.Config{})
	p, d := new(keeper), new(packetKeeper)
	r.Dial(kernel.HostAddr("example.org", 80), reactor.One(p), nil, nil)
	double.Advance(t, r, time.Second)
	k.Dials[0].Succeed().Send("only")
	double.Advance(t, r, 0)
	garbage("a connection of New", p.kept)

	port, err := r.ListenPacket(kernel.UDPAddr(netip.MustParseAddr("127.0.0.1"), 0), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	from, err := r.ListenPacket(kernel.UDPAddr(netip.MustParseAddr("127.0.0.1"), 0), new(packetKeeper), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := from.WriteTo([]byte("only"), port.Local()); err != nil {
		t.Fatal(err)
	}
	double.Advance(t, r, time.Second)
	garbage("a datagram", d.kept)
}
