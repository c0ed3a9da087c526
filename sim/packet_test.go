package sim_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

// net0 is a network whose sockets a test opens and uses between steps.
type net0 struct {
	*sim.Net
	t     *testing.T
	socks []kernel.PacketConn
}

func packetNet(t *testing.T, seed uint64, hosts ...string) *net0 {
	x := &net0{Net: sim.New(seed), t: t}
	for _, name := range hosts {
		x.Host(name)
	}
	t.Cleanup(func() {
		for _, s := range x.socks {
			s.Close()
		}
		if err := x.Close(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return x
}

// open opens a socket on the host of that name.
func (x *net0) open(host string, a kernel.Addr, o *kernel.PacketOptions) kernel.PacketConn {
	x.t.Helper()
	c, err := x.Host(host).Kernel.(kernel.Packets).ListenPacket(a, o)
	if err != nil {
		x.t.Fatal(err)
	}
	x.socks = append(x.socks, c)
	return c
}

// fails checks that opening a socket does.
func (x *net0) fails(host string, a kernel.Addr, o *kernel.PacketOptions, want error) {
	x.t.Helper()
	c, err := x.Host(host).Kernel.(kernel.Packets).ListenPacket(a, o)
	if !errors.Is(err, want) {
		x.t.Errorf("%s, %+v: %v, %v, want %v", a, o, c, err, want)
	}
}

// send sends a datagram.
func (x *net0) send(c kernel.PacketConn, to kernel.Addr, data string) {
	x.t.Helper()
	if err := sendTo(c, to, data); err != nil {
		x.t.Fatal(err)
	}
}

func sendTo(c kernel.PacketConn, to kernel.Addr, data string) error {
	m, err := c.WritePackets([]kernel.Packet{{Data: []byte(data), Peer: to}})
	if (m == 1) != (err == nil) {
		return fmt.Errorf("%d sent, and the error is %v", m, err)
	}
	return err
}

func (x *net0) pass(d time.Duration) {
	x.t.Helper()
	if err := x.Run(d); err != nil {
		x.t.Fatal(err)
	}
}

// got reads everything: data and sender, "!" for a refusal.
func got(c kernel.PacketConn) (all []string) {
	for {
		ps, err := c.ReadPackets()
		if err == kernel.ErrAgain {
			return all
		}
		if err != nil {
			return append(all, err.Error())
		}
		for _, p := range ps {
			s := string(p.Data) + " " + p.Peer.String()
			if p.Err != nil {
				s = "!" + s
			}
			if p.Local.IsValid() {
				s += " at " + p.Local.String()
			}
			all = append(all, s)
		}
	}
}

func (x *net0) expect(c kernel.PacketConn, want ...string) {
	x.t.Helper()
	if all := got(c); !slices.Equal(all, want) {
		x.t.Errorf("%v has got %q, want %q", c.Local(), all, want)
	}
}

func udp(ip string, port uint16) kernel.Addr { return kernel.UDPAddr(netip.MustParseAddr(ip), port) }

// Hosts have addresses of IPv4, of IPv6 and of their own. A socket of a wildcard address hears all of its family, says
// at which one, and can answer from there.
func TestPacketAddresses(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	a, b := x.Host("a"), x.Host("b")
	cli, cli6 := x.open("a", a.UDPAddr(1000), nil), x.open("a", a.UDPAddr6(1000), nil)
	any4, any6 := x.open("b", udp("0.0.0.0", 53), nil), x.open("b", udp("::", 53), nil)
	home := x.open("b", udp("127.0.0.1", 54), nil)
	x.send(cli, b.UDPAddr(53), "one")
	x.send(cli, b.UDPAddr(53), "") // UDP-11
	x.send(cli6, b.UDPAddr6(53), "six")
	x.send(home, udp("127.0.0.1", 53), "near")
	x.send(home, udp("0.0.0.0", 53), "nearer")
	x.pass(time.Second)
	x.expect(any4, "one 10.0.0.1:1000 at 10.0.0.2", " 10.0.0.1:1000 at 10.0.0.2", "near 127.0.0.1:54 at 127.0.0.1", "nearer 127.0.0.1:54 at 127.0.0.1")
	x.expect(any6, "six [fd00::1]:1000 at fd00::2")
	if _, err := any4.WritePackets([]kernel.Packet{{Data: []byte("to me"), Peer: udp("127.0.0.1", 54), Local: netip.MustParseAddr("10.0.0.2")}}); err != nil {
		t.Error(err)
	}
	x.send(any4, cli.Local(), "back")
	x.pass(time.Second)
	x.expect(home, "to me 10.0.0.2:53")
	x.expect(cli, "back 10.0.0.2:53")
	x.expect(cli6)

	for what, err := range map[string]error{
		"UDP-20, IPv6 from IPv4":      sendTo(cli, b.UDPAddr6(53), "x"),
		"UDP-18, without an address":  sendTo(cli, kernel.Addr{}, "x"),
		"UDP-19, a name":              sendTo(cli, kernel.Addr{Net: kernel.UDP, Name: "b", IP: netip.AddrPortFrom(netip.Addr{}, 53)}, "x"),
		"a UNIX name":                 sendTo(cli, kernel.UNIXDatagramAddr("/run/x"), "x"),
		"UDP-25, a name to be peer":   cli.Connect(kernel.Addr{Net: kernel.UDP, Name: "b"}),
		"UDP-25, IPv6 to be the peer": cli.Connect(b.UDPAddr6(53)),
	} {
		if e, ok := errors.AsType[*kernel.AddrError](err); !ok || !errors.Is(e, kernel.ErrInvalidAddr) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"an address of nobody":        sendTo(cli, udp("10.9.9.9", 1), "x"),
		"a peer that nobody has":      cli.Connect(udp("10.9.9.9", 1)),
		"another host from localhost": sendTo(home, a.UDPAddr(1000), "x"),
	} {
		if !errors.Is(err, kernel.ErrNoRoute) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := cli.WritePackets([]kernel.Packet{{Peer: b.UDPAddr(53), Local: netip.MustParseAddr("10.0.0.2")}})
	if !errors.Is(err, kernel.ErrAddrUnavailable) {
		t.Errorf("from another's address: %v", err)
	}
}

// A port belongs to one socket, unless all say that they share it. TCP has ports of its own.
func TestPacketPorts(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	a := x.Host("a")
	one := x.open("a", udp("0.0.0.0", 0), nil)
	if p := one.Local().Port(); p < 32768 { // UDP-3
		t.Errorf("port %d", p)
	}
	if two := x.open("a", udp("127.0.0.1", 0), nil); two.Local().Port() == one.Local().Port() {
		t.Error("one port for two")
	}
	l, err := a.Kernel.Listen(a.Addr(53), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x.open("a", a.UDPAddr(53), nil)
	x.open("a", udp("127.0.0.2", 53), nil)
	x.open("a", udp("::", 53), nil)
	x.fails("a", a.UDPAddr(53), nil, kernel.ErrAddrInUse)
	x.fails("a", udp("0.0.0.0", 53), nil, kernel.ErrAddrInUse)
	x.fails("a", udp("::1", 53), nil, kernel.ErrAddrInUse)
	x.fails("a", x.Host("b").UDPAddr(53), nil, kernel.ErrAddrUnavailable)
	x.fails("a", kernel.HostAddr("b", 1), nil, kernel.ErrUnsupported)
	x.fails("a", a.UDPAddr(1), &kernel.PacketOptions{RecvBuffer: -1}, kernel.ErrInvalidOption)
	x.fails("a", a.UDPAddr(1), &kernel.PacketOptions{Control: func(uintptr) error { return nil }}, kernel.ErrUnsupported)

	shared, reuse := &kernel.PacketOptions{Shared: true}, &kernel.PacketOptions{ReusePort: true}
	for i, o := range []*kernel.PacketOptions{shared, reuse} {
		port := uint16(60 + i)
		var all []kernel.PacketConn
		for range 2 + i {
			all = append(all, x.open("a", udp("0.0.0.0", port), o))
		}
		x.fails("a", udp("0.0.0.0", port), []*kernel.PacketOptions{reuse, shared}[i], kernel.ErrAddrInUse)
		x.fails("a", udp("127.0.0.1", port), nil, kernel.ErrAddrInUse)
		for sender := range 20 {
			s := x.open("b", udp("0.0.0.0", 0), nil)
			for range 5 {
				x.send(s, a.UDPAddr(port), fmt.Sprint(sender))
			}
		}
		x.pass(time.Second)
		receivers, count := map[string]int{}, 0
		for _, c := range all {
			mine := map[string]bool{}
			list := got(c)
			if count += len(list); len(list) == 0 {
				t.Errorf("%+v: a socket gets nothing", o)
			}
			for _, s := range list {
				mine[s] = true
			}
			for s := range mine {
				receivers[s]++
			}
		}
		if count != 100 {
			t.Errorf("%+v: %d datagrams have come", o, count)
		}
		for s, m := range receivers {
			if m > 1 && o.ReusePort {
				t.Errorf("ReusePort: %q goes to %d sockets", s, m)
			}
		}
	}
}

// A connected socket hears its peer alone, and of refusals. What came from others before may still be read.
func TestPacketConnect(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	x.Options.Latency = sim.Latency{Min: 10 * time.Millisecond, Max: 10 * time.Millisecond}
	a, b := x.Host("a"), x.Host("b")
	c, srv, other := x.open("a", udp("0.0.0.0", 9), nil), x.open("b", b.UDPAddr(53), nil), x.open("b", b.UDPAddr(54), nil)
	x.send(other, a.UDPAddr(9), "early")
	x.pass(time.Second)
	before := x.Packets()
	if err := c.Connect(srv.Local()); err != nil || c.Remote() != srv.Local() || c.Local() != a.UDPAddr(9) {
		t.Fatal(err, c.Remote(), c.Local())
	}
	x.pass(time.Second)
	if x.Packets() != before {
		t.Errorf("UDP-25: connecting has sent something: %+v", x.Packets())
	}
	x.send(other, a.UDPAddr(9), "late")
	x.send(srv, a.UDPAddr(9), "right")
	x.send(c, kernel.Addr{}, "hello")
	x.pass(time.Second)
	x.expect(c, "early 10.0.0.2:54 at 10.0.0.1", "right 10.0.0.2:53 at 10.0.0.1")
	x.expect(srv, "hello 10.0.0.1:9")
	x.expect(other)
	if err := sendTo(c, other.Local(), "x"); !errors.Is(err, kernel.ErrInvalidAddr) {
		t.Errorf("an address on a connected socket: %v", err)
	}

	// UDP-27: nobody is there, and the network says so after the way back.
	srv.Close()
	x.send(c, kernel.Addr{}, "anybody?")
	x.send(other, b.UDPAddr(53), "who is not connected hears nothing")
	x.pass(19 * time.Millisecond)
	x.expect(c)
	x.pass(time.Millisecond)
	ps, err := c.ReadPackets()
	if err != nil || len(ps) != 1 || !errors.Is(ps[0].Err, kernel.ErrRefused) || !errors.Is(ps[0].Err, syscall.ECONNREFUSED) {
		t.Fatal(ps, err)
	}
	if string(ps[0].Data) != "anybody?" || ps[0].Peer != b.UDPAddr(53) {
		t.Errorf("what was refused is %q to %v", ps[0].Data, ps[0].Peer)
	}
	x.expect(other)
	b.Crash()
	x.send(c, kernel.Addr{}, "and now?")
	x.pass(time.Second)
	x.expect(c)

	// A second Connect replaces the first; refusals of the first peer are nothing to it.
	b.Restart()
	again := x.open("b", b.UDPAddr(55), nil)
	x.send(c, kernel.Addr{}, "refused")
	if err := c.Connect(again.Local()); err != nil {
		t.Fatal(err)
	}
	x.send(again, a.UDPAddr(9), "from the new one")
	x.pass(time.Second)
	x.expect(c, "from the new one 10.0.0.2:55 at 10.0.0.1")
}

// What was lent is overwritten by the next read of the kernel, so that a keeper is found.
func TestPacketDataIsLent(t *testing.T) {
	x := packetNet(t, 1, "a")
	a := x.Host("a")
	c, other := x.open("a", a.UDPAddr(1), nil), x.open("a", a.UDPAddr(2), nil)
	x.send(other, a.UDPAddr(1), "data")
	x.pass(time.Second)
	ps, err := c.ReadPackets()
	if err != nil || string(ps[0].Data) != "data" {
		t.Fatal(err)
	}
	kept := ps[0].Data
	if _, err := other.ReadPackets(); err != kernel.ErrAgain {
		t.Fatal(err)
	}
	if string(kept) == "data" || ps[0].Peer != (kernel.Addr{}) {
		t.Errorf("it still is %q of %v", kept, ps[0].Peer)
	}
}

// Reads are bounded, and sizes are those of the network.
func TestPacketSizes(t *testing.T) {
	x := packetNet(t, 1, "a")
	a := x.Host("a")
	c, c6 := x.open("a", a.UDPAddr(1), nil), x.open("a", a.UDPAddr6(1), nil)
	for range 40 {
		x.send(c, a.UDPAddr(1), strings.Repeat("x", kernel.MaxDatagram))
	}
	x.send(c6, a.UDPAddr6(1), strings.Repeat("x", kernel.MaxDatagram+20))
	x.pass(time.Second)
	var sizes []int
	for {
		ps, err := c.ReadPackets()
		if err != nil {
			break
		}
		for _, p := range ps {
			if len(p.Data) != kernel.MaxDatagram || p.Truncated {
				t.Errorf("%d bytes, truncated: %v", len(p.Data), p.Truncated)
			}
		}
		sizes = append(sizes, len(ps))
	}
	if !slices.Equal(sizes, []int{16, 16, 8}) {
		t.Errorf("reads of %d", sizes)
	}
	for _, err := range []error{sendTo(c, a.UDPAddr(1), strings.Repeat("x", kernel.MaxDatagram+1)), sendTo(c6, a.UDPAddr6(1), strings.Repeat("x", kernel.MaxDatagram+21))} {
		if !errors.Is(err, kernel.ErrMessageSize) || !errors.Is(err, syscall.EMSGSIZE) { // UDP-21
			t.Error(err)
		}
	}
	m, err := c.WritePackets([]kernel.Packet{{Peer: a.UDPAddr(1)}, {Peer: a.UDPAddr(1)}, {}, {Peer: a.UDPAddr(1)}})
	if m != 2 || !errors.Is(err, kernel.ErrInvalidAddr) {
		t.Errorf("a bad one behind two: %d, %v", m, err)
	}
	x.pass(time.Second)
	x.expect(c, " 10.0.0.1:1", " 10.0.0.1:1")
}

// A receive buffer that is full loses what comes, and counts it. It holds one datagram however small it is.
func TestPacketBufferOverflows(t *testing.T) {
	x := packetNet(t, 1, "a")
	a := x.Host("a")
	send := x.open("a", a.UDPAddr(1), nil)
	for i, o := range []*kernel.PacketOptions{{RecvBuffer: 10_000}, {RecvBuffer: 1}, nil} {
		want := []int{5, 1, 20}[i]
		c := x.open("a", a.UDPAddr(uint16(10+i)), o)
		for range 20 {
			x.send(send, c.Local(), strings.Repeat("x", 1000))
		}
		x.pass(time.Second)
		settings, _ := kernel.PacketAs[kernel.PacketSettings](c)
		if all := got(c); len(all) != want || settings.Lost() != uint64(20-want) {
			t.Errorf("%+v: %d have come, %d are lost", o, len(all), settings.Lost())
		}
		if size, err := settings.RecvBuffer(); err != nil || o != nil && size != o.RecvBuffer || o == nil && size != kernel.DefaultPacketBuffer {
			t.Errorf("%+v: the buffer is %d, %v", o, size, err)
		}
		if err := settings.SetRecvBuffer(0); !errors.Is(err, kernel.ErrInvalidOption) {
			t.Error(err)
		}
		x.send(send, c.Local(), "there is room again")
		x.pass(time.Second)
		x.expect(c, "there is room again 10.0.0.1:1")
	}
	if c := x.Packets(); c.Dropped[sim.DropFull] != 34 || c.Sent != 63 || c.Read != 29 {
		t.Errorf("%+v", c)
	}
}

// On a slow link the send buffer fills. A socket is Writable again when something has left.
func TestPacketSendBufferFills(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	x.SetBandwidth("a", "b", 10_280)
	a, b := x.Host("a"), x.Host("b")
	c, srv := x.open("a", a.UDPAddr(1), &kernel.PacketOptions{SendBuffer: 3 * 1028}), x.open("b", b.UDPAddr(1), nil)
	sent := 0
	for ; sent < 10; sent++ {
		if err := sendTo(c, srv.Local(), strings.Repeat("x", 1000)); err == kernel.ErrAgain {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if sent != 3 {
		t.Fatalf("%d are taken", sent)
	}
	k := a.Kernel
	ev := make([]kernel.Event, 4)
	for _, want := range []int{0, 1} {
		x.pass(50 * time.Millisecond)
		if err := k.Arm(c, 7, kernel.Writable); err != nil {
			t.Fatal(err)
		}
		if m, err := k.Wait(ev, 0); m != want || err != nil {
			t.Errorf("%d events, %v, want %d", m, err, want)
		}
		k.Arm(c, 7, 0) // the reactor of the host knows nothing of it
	}
	x.send(c, srv.Local(), "more")
	x.pass(time.Second)
	if all := got(srv); len(all) != 4 {
		t.Errorf("%d have come", len(all))
	}
}

// 255.255.255.255 is all hosts: their sockets of that port on the wildcard address (UDP-24).
func TestPacketBroadcast(t *testing.T) {
	x := packetNet(t, 1, "a", "b", "c")
	all := udp("255.255.255.255", 5)
	a := x.open("a", udp("0.0.0.0", 5), nil)
	b1, b2 := x.open("b", udp("0.0.0.0", 5), &kernel.PacketOptions{Shared: true}), x.open("b", udp("0.0.0.0", 5), &kernel.PacketOptions{Shared: true})
	c := x.open("c", x.Host("c").UDPAddr(5), nil)
	settings, _ := kernel.PacketAs[kernel.PacketSettings](a)
	for _, err := range []error{sendTo(a, all, "x"), a.Connect(all), sendTo(a, udp("127.255.255.255", 5), "x")} {
		if !errors.Is(err, kernel.ErrPermission) {
			t.Errorf("UDP-24: %v", err)
		}
	}
	if err := settings.SetBroadcast(true); err != nil {
		t.Fatal(err)
	}
	if on, err := settings.Broadcast(); !on || err != nil {
		t.Error(on, err)
	}
	x.send(a, all, "hello")
	x.pass(time.Second)
	x.expect(a, "hello 10.0.0.1:5 at 10.0.0.1")
	x.expect(b1, "hello 10.0.0.1:5 at 10.0.0.2")
	x.expect(b2, "hello 10.0.0.1:5 at 10.0.0.2")
	x.expect(c)
	x.send(a, udp("127.255.255.255", 5), "near")
	x.pass(time.Second)
	x.expect(a, "near 127.0.0.1:5 at 127.0.0.1")
	x.expect(b1)
	if k := x.Packets(); k.Written != 2 || k.Sent != 4 || k.Copied != 1 || k.Read != 4 || k.Dropped[sim.DropRefused] != 1 {
		t.Errorf("%+v", k)
	}
}

// After Close everything fails, and what waits is dropped and counted.
func TestPacketClosed(t *testing.T) {
	x := packetNet(t, 1, "a")
	a := x.Host("a")
	c := x.open("a", a.UDPAddr(1), nil)
	x.send(c, a.UDPAddr(1), "waits")
	x.pass(time.Second)
	x.send(c, a.UDPAddr(1), "under way")
	c.Close()
	c.Close()
	x.pass(time.Second)
	settings, _ := kernel.PacketAs[kernel.PacketSettings](c)
	groups, _ := kernel.PacketAs[kernel.Multicast](c)
	_, read := c.ReadPackets()
	_, ttl := groups.MulticastTTL()
	for i, err := range []error{read, sendTo(c, a.UDPAddr(1), "x"), c.Connect(a.UDPAddr(1)), settings.SetBroadcast(true), ttl,
		groups.JoinGroup(kernel.Group{IP: netip.MustParseAddr("224.0.0.9")}), groups.SetMulticastTTL(1)} {
		if err != kernel.ErrClosed {
			t.Errorf("%d: %v", i, err)
		}
	}
	if c.Local() != a.UDPAddr(1) {
		t.Error(c.Local())
	}
	if k := x.Packets(); k.Dropped[sim.DropClosed] != 1 || k.Dropped[sim.DropRefused] != 1 {
		t.Errorf("%+v", k)
	}
	x.open("a", a.UDPAddr(1), nil)
}

// Datagrams keep their order while some are read and others come.
func TestPacketQueueKeepsOrder(t *testing.T) {
	x := packetNet(t, 1, "a")
	a := x.Host("a")
	c := x.open("a", a.UDPAddr(1), nil)
	sent, read := 0, 0
	for range 200 {
		for range 18 {
			x.send(c, a.UDPAddr(1), fmt.Sprint(sent))
			sent++
		}
		x.pass(time.Millisecond)
		ps, err := c.ReadPackets()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			if string(p.Data) != fmt.Sprint(read) {
				t.Fatalf("%s comes in place of %d", p.Data, read)
			}
			read++
		}
	}
	if k := x.Packets(); k.Waiting != sent-read || k.Waiting != 400 {
		t.Errorf("%+v", k)
	}
}

// Among sockets that share a port, the one that is connected to the sender is first, and then the one that is bound to
// the address.
func TestPacketBestSocket(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	a, shared := x.Host("a"), &kernel.PacketOptions{Shared: true}
	src := x.open("b", x.Host("b").UDPAddr(1), nil)
	wild, bound, connected := x.open("a", udp("0.0.0.0", 1), shared), x.open("a", a.UDPAddr(1), shared), x.open("a", a.UDPAddr(1), shared)
	noErr(t, connected.Connect(src.Local()))
	some := func(from kernel.PacketConn, c kernel.PacketConn) {
		t.Helper()
		for range 20 {
			x.send(from, a.UDPAddr(1), "x")
		}
		x.pass(time.Second)
		if all := got(c); len(all) != 20 {
			t.Errorf("%d of 20 have come", len(all))
		}
	}
	some(src, connected)
	some(x.open("b", udp("0.0.0.0", 0), nil), bound)
	bound.Close()
	some(x.open("b", udp("0.0.0.0", 0), nil), wild)
}

// Every port of the range is given out once, and then there is none.
func TestPacketPortsRunOut(t *testing.T) {
	x := packetNet(t, 1, "a")
	const ports = 60999 - 32768 + 1
	for range ports {
		x.open("a", udp("0.0.0.0", 0), nil)
	}
	x.fails("a", udp("0.0.0.0", 0), nil, kernel.ErrAddrUnavailable)
	free := x.socks[1234]
	free.Close()
	if c := x.open("a", udp("0.0.0.0", 0), nil); c.Local() != free.Local() {
		t.Errorf("%v is given in place of %v", c.Local(), free.Local())
	}
}
