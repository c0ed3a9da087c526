package handover_test

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// A successor joins the groups of its places, which its predecessor has joined with the same socket (ADOPT-8).
func TestHandoverGroups(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		path, at := socketPath(t), kernel.UDPAddr(netip.IPv4Unspecified(), 0)
		group := netip.MustParseAddr("239.77.77.9")
		cfg := &reactor.PacketConfig{SetUp: func(c kernel.PacketConn) error {
			m, _ := kernel.PacketAs[kernel.Multicast](c)
			return m.JoinGroup(kernel.Group{IP: group, Interface: "127.0.0.1"})
		}}
		client := w.New(t, reactor.Config{})
		asks := &grams{}
		ask, err := client.ListenPacket(kernel.UDPAddr(loopback().IP.Addr(), 0), asks, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := ask.Multicast(); err != nil || m.SetMulticastInterface("127.0.0.1") != nil {
			t.Fatal("no multicast by the loopback interface", err)
		}
		before := newProgram(t, w, "A", path)
		first := &grams{p: before}
		port, err := before.r.ListenPacket(at, first, cfg)
		if err != nil {
			t.Fatal(err)
		}
		before.more = append(before.more, handover.Offered{Name: "packets", Port: port})
		before.offer()
		to := kernel.UDPAddr(group, port.Addr().Port())
		for _, name := range []string{"B", "C"} { // the successor has a successor in its turn
			next := newProgram(t, w, name, path)
			next.cfg.Offered = func(x *handover.Taking) {
				taken, err := next.r.ListenPacket(at, &grams{p: next}, cfg)
				if err != nil {
					t.Fatalf("ADOPT-8: %v", err)
				}
				next.more = append(next.more, handover.Offered{Name: "packets", Port: taken})
				x.Ready()
			}
			next.take()
			testworld.Until(t, func() bool { return next.stopped && before.handed != nil }, before.r, next.r, client)
			asks.got = nil
			asks.t.WriteTo([]byte("q"), to)
			testworld.Until(t, func() bool { return len(asks.got) > 0 }, before.r, next.r, client)
			if asks.got[0] != name+":q" {
				t.Errorf("answered %q", asks.got)
			}
			before = next
		}
	})
}
