package native

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/internal/hosttest"
	"github.com/whorl-go/whorl/kernel"
)

// hosts are two hosts. Sockets of both can be watched by one kernel.
type hosts struct{ *hosttest.Pair }

// bind opens a socket on host i.
func (h hosts) bind(t *testing.T, k kernel.Kernel, i int, at string, port uint16, o kernel.PacketOptions) *udpConn {
	t.Helper()
	h.At(i)
	return testBind(t, k, kernel.UDPAddr(netip.MustParseAddr(at), port), &o).(*udpConn)
}

// Datagrams for a group reach another host that has joined it, and our own one unless that is switched off (MC-3). They
// do not reach it any more when it has left (MC-8). An interface that goes away is told.
func TestTwoHostsMulticast(t *testing.T) {
	h := hosts{hosttest.NewPair(t)}
	for _, x := range []struct{ all, group, first, second string }{
		{"0.0.0.0", "239.77.77.1", "10.77.0.1", "10.77.0.2"}, {"::", "ff12::7777", "fd77::1", "fd77::2"},
	} {
		k := testKernel(t, "", Options{})
		shared := kernel.PacketOptions{Shared: true}
		there := h.bind(t, k, 1, x.all, 0, shared)
		to := kernel.UDPAddr(netip.MustParseAddr(x.group), there.Local().Port())
		here := h.bind(t, k, 0, x.all, to.Port(), shared)
		c := h.bind(t, k, 0, x.first, 0, kernel.PacketOptions{})
		group := func(dev, source string) kernel.Group {
			g := kernel.Group{IP: to.IP.Addr(), Interface: dev}
			if source != "" {
				g.Source = netip.MustParseAddr(source)
			}
			return g
		}
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		h.At(1)
		do(there.JoinGroup(group("vb", "")))
		h.At(0)
		do(here.JoinGroup(group(x.first, "")))
		do(c.SetMulticastInterface("va"))
		p := equals(to, 3, 100)
		testPut(t, c, p)
		readAll(t, k, there, p) // MC-8
		readAll(t, k, here, p)  // MC-3
		do(c.SetMulticastLoopback(false))
		testPut(t, c, p)
		readAll(t, k, there, p)
		if q, err := here.ReadPackets(); err != kernel.ErrAgain {
			t.Errorf("MC-3: %d came back, %v", len(q), err)
		}
		do(c.SetMulticastTTL(0))
		do(c.SetMulticastLoopback(true))
		testPut(t, c, p)
		readAll(t, k, here, p) // MC-2: it stays on this host
		if q, err := there.ReadPackets(); err != kernel.ErrAgain {
			t.Errorf("MC-2: %d have left the host, %v", len(q), err)
		}
		do(c.SetMulticastTTL(1))
		h.At(1)
		do(there.LeaveGroup(group("vb", "")))
		do(there.JoinGroup(group("vb", x.second)))
		h.At(0)
		testPut(t, c, p)
		readAll(t, k, here, p)
		h.At(1)
		do(there.JoinGroup(group("vb", x.first)))
		h.At(0)
		p = equals(to, 2, 50)
		testPut(t, c, p)
		readAll(t, k, there, p) // and not the three before: MC-8, and a source that is another
		readAll(t, k, here, p)
	}
	k := testKernel(t, "", Options{})
	here := h.bind(t, k, 0, "0.0.0.0", 0, kernel.PacketOptions{})
	g := kernel.Group{IP: netip.MustParseAddr("239.77.77.1"), Interface: "va"}
	if err := here.JoinGroup(g); err != nil {
		t.Fatal(err)
	}
	h.Run(0, "ip link del va")
	other := g
	other.IP = netip.MustParseAddr("239.77.77.2")
	if err := here.JoinGroup(other); !errors.Is(err, kernel.ErrNoInterface) {
		t.Errorf("MC-7: the interface is gone: %v", err)
	}
	if err := here.LeaveGroup(g); err != nil && !errors.Is(err, kernel.ErrNoInterface) && !errors.Is(err, kernel.ErrNotJoined) {
		t.Errorf("the interface is gone: %v", err)
	}
	if err := here.LeaveGroup(g); !errors.Is(err, kernel.ErrNotJoined) {
		t.Errorf("MC-6: left: %v", err)
	}
}

// A broadcast reaches the other host (UDP-24), which is told its own address. Datagrams that are longer than the cable takes
// arrive, though no train of such can be sent.
func TestTwoHostsBroadcast(t *testing.T) {
	h := hosts{hosttest.NewPair(t)}
	k := testKernel(t, "", Options{})
	there := h.bind(t, k, 1, "0.0.0.0", 0, kernel.PacketOptions{})
	c := h.bind(t, k, 0, "10.77.0.1", 0, kernel.PacketOptions{Broadcast: true})
	p := equals(kernel.UDPAddr(netip.MustParseAddr("10.77.0.255"), there.Local().Port()), 1, 100)
	testPut(t, c, p)
	testReady(t, k, there, kernel.Readable)
	if q, err := there.ReadPackets(); err != nil || len(q) != 1 || q[0].Local != netip.MustParseAddr("10.77.0.2") || q[0].Peer != c.Local() {
		t.Errorf("UDP-24: %v, %v", q, err)
	}
	p = equals(kernel.UDPAddr(netip.MustParseAddr("10.77.0.2"), there.Local().Port()), 20, 2000)
	testPut(t, c, p)
	readAll(t, k, there, p)
	if c.longest == 0 && !c.noGSO {
		t.Error("a train of datagrams was sent that are longer than the cable takes")
	}
	p = equals(p[0].Peer, 20, 1000)
	testPut(t, c, p)
	readAll(t, k, there, p)
	if !c.noGSO && c.b.out.count[0] != 20 {
		t.Errorf("shorter ones were put together by %d", c.b.out.count[0])
	}
}
