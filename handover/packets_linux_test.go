package handover_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// locals notes at which of our addresses datagrams came.
type locals struct {
	grams
	at []netip.Addr
}

func (l *locals) PacketsReceived(ps []kernel.Packet) {
	for _, p := range ps {
		l.at = append(l.at, p.Local)
	}
}

// A program that has adopted a socket of a stranger, such as a service manager, hands it over with what the successor
// needs of it: the local address of each datagram.
func TestHandoverOfAdoptedDatagrams(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		path := socketPath(t)
		foreign, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer foreign.Close()
		file, err := foreign.File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		a, b := newProgram(t, w, "A", path), newProgram(t, w, "B", path)
		client := w.New(t, reactor.Config{})
		until := func(done func() bool) { t.Helper(); testworld.Until(t, done, a.r, b.r, client) }
		old, again, asks := &locals{}, &locals{}, &grams{}
		port, err := a.r.AdoptPacketPort(int(file.Fd()), old, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.more = append(a.more, handover.Offered{Name: "packets", Port: port})
		a.offer()
		to := kernel.UDPAddr(loopback().IP.Addr(), port.Addr().Port())
		if _, err := client.DialPacket(to, asks, nil); err != nil {
			t.Fatal(err)
		}
		asks.t.Write([]byte("one"))
		until(func() bool { return len(old.at) == 1 })
		b.cfg.Offered = func(x *handover.Taking) {
			if _, err := b.r.ListenPacket(port.Addr(), again, nil); err != nil {
				t.Fatal(err)
			}
			x.Ready()
		}
		b.take()
		until(func() bool { return b.stopped && a.handed != nil && old.lost != nil })
		asks.t.Write([]byte("two"))
		until(func() bool { return len(again.at) == 1 })
		if old.at[0] != to.IP.Addr() || again.at[0] != to.IP.Addr() {
			t.Errorf("came to %v, and at the successor to %v; want %v", old.at, again.at, to.IP.Addr())
		}
	})
}
