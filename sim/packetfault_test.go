package sim_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

// numbers sends so many numbered datagrams from a to b, ten milliseconds apart, and returns those that have come.
func (x *net0) numbers(count int) (come []string) {
	x.t.Helper()
	a, b := x.Host("a"), x.Host("b")
	src, dst := x.open("a", a.UDPAddr(0), nil), x.open("b", b.UDPAddr(0), nil)
	for i := range count {
		x.send(src, dst.Local(), fmt.Sprintf("%06d", i))
		x.pass(10 * time.Millisecond)
		come = append(come, got(dst)...)
	}
	x.pass(time.Second)
	come = append(come, got(dst)...)
	for i, s := range come {
		come[i], _, _ = strings.Cut(s, " ")
	}
	return come
}

// about tells whether got is at most a quarter away from want.
func about(got, want int) bool { return got > want*3/4 && got < want*5/4 }

// Each class of faults does what it says, as often as it says. Without faults all arrive in order.
func TestPacketFaults(t *testing.T) {
	const count = 2000
	for _, c := range []struct {
		faults string
		ok     func(come []string, k sim.PacketCount) bool
	}{
		{"none", func(come []string, k sim.PacketCount) bool {
			return k.Read == count && slices.IsSorted(come) && k.Copied == 0
		}},
		{"latency=1ms-9ms", func(come []string, k sim.PacketCount) bool { return k.Read == count && slices.IsSorted(come) }},
		{"latency=1ms-40ms", func(come []string, k sim.PacketCount) bool { return k.Read == count && !slices.IsSorted(come) }},
		{"reorder=0.1", func(come []string, k sim.PacketCount) bool {
			late := 0
			for i := 1; i < len(come); i++ {
				if come[i] < come[i-1] {
					late++
				}
			}
			return k.Read == count && about(late, count/10)
		}},
		{"drop=0.1", func(come []string, k sim.PacketCount) bool {
			return about(k.Dropped[sim.DropLost], count/10) && k.Read == count-k.Dropped[sim.DropLost]
		}},
		{"duplicate=0.1", func(come []string, k sim.PacketCount) bool {
			slices.Sort(come)
			return about(k.Copied, count/10) && k.Read == count+k.Copied && len(slices.Compact(come)) == count
		}},
		{"corrupt=0.1", func(come []string, k sim.PacketCount) bool {
			bad := 0
			for i, s := range come {
				if s != fmt.Sprintf("%06d", i) {
					bad++
				}
			}
			return about(bad, count/10) && bad == k.Corrupted && k.Read == count
		}},
		{"drop=0.05,duplicate=0.1,reorder=0.2,latency=longtail:1ms-2s:20ms,chunk=3", func(come []string, k sim.PacketCount) bool {
			return k.Sent == count && k.Read > count/2
		}},
	} {
		x := packetNet(t, 7, "a", "b")
		o, err := sim.ParseOptions(c.faults)
		noErr(t, err)
		x.Options = o
		come := x.numbers(count)
		if k := x.Packets(); !c.ok(come, k) {
			t.Errorf("%s: %d have come, sorted: %v, %+v", c.faults, len(come), slices.IsSorted(come), k)
		}
	}
}

// A partition loses what is sent, and what arrives, meanwhile. A hold keeps it back. A clog delays it.
func TestPacketLinks(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	x.SetLatency("a", "b", 10*time.Millisecond, 10*time.Millisecond)
	src, dst := x.open("a", x.Host("a").UDPAddr(1), nil), x.open("b", x.Host("b").UDPAddr(1), nil)
	say := func(text string) { t.Helper(); x.send(src, dst.Local(), text) }
	hear := func(want ...string) {
		t.Helper()
		for i := range want {
			want[i] += " 10.0.0.1:1"
		}
		x.expect(dst, want...)
	}
	say("cut on its way")
	heal := x.Partition("a", "b")
	x.pass(15 * time.Millisecond)
	say("cut at once")
	heal()
	x.pass(15 * time.Millisecond)
	hear()
	say("healed")
	x.pass(20 * time.Millisecond)
	hear("healed")

	say("held on its way")
	release := x.Hold("a", "b")
	x.pass(time.Minute)
	say("held")
	x.pass(time.Minute)
	hear()
	release()
	x.pass(5 * time.Millisecond)
	x.Hold("a", "b")() // what is on its way again stays so
	x.pass(4 * time.Millisecond)
	hear()
	x.pass(time.Millisecond)
	hear("held on its way", "held")

	x.Clog("a", "b", time.Second)
	say("clogged")
	x.pass(time.Second)
	hear()
	x.pass(20 * time.Millisecond)
	hear("clogged")
	x.Clog("a", "b", time.Hour)
	say("freed")
	x.Calm()
	x.pass(10 * time.Millisecond)
	hear("freed")
	say("launched again")
	say("and this one")
	x.pass(5 * time.Millisecond)
	x.Calm()
	x.pass(5 * time.Millisecond)
	hear()
	if k := x.Packets(); k.UnderWay != 2 {
		t.Errorf("%+v", k)
	}
	x.pass(5 * time.Millisecond)
	hear("launched again", "and this one")
	if k := x.Packets(); k.Dropped[sim.DropCut] != 2 || k.Sent != 9 || k.Read != 7 || k.UnderWay != 0 {
		t.Errorf("%+v", k)
	}
}

// What a crash or a kill finds is lost. A program that has the port again gets what was on its way to the one before.
func TestPacketHosts(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	x.Options.Latency = sim.Latency{Min: 10 * time.Millisecond, Max: 10 * time.Millisecond}
	b := x.Host("b")
	src := x.open("a", x.Host("a").UDPAddr(1), nil)
	dst := x.open("b", b.UDPAddr(1), nil)
	x.send(src, dst.Local(), "waits")
	x.pass(time.Second)
	x.send(src, dst.Local(), "comes to a host that is down")
	b.Crash()
	x.pass(time.Second)
	b.Restart()
	dst = x.open("b", b.UDPAddr(1), nil)
	x.pass(time.Second)
	x.expect(dst)
	x.send(src, dst.Local(), "on its way")
	b.Kill()
	x.send(src, dst.Local(), "for the next")
	dst = x.open("b", b.UDPAddr(1), nil)
	x.pass(time.Second)
	x.expect(dst, "on its way 10.0.0.1:1", "for the next 10.0.0.1:1")
	b.Pause()
	x.send(src, dst.Local(), "to a paused program")
	x.pass(time.Second)
	b.Resume()
	x.expect(dst, "to a paused program 10.0.0.1:1")
	if k := x.Packets(); k.Dropped[sim.DropClosed] != 1 || k.Dropped[sim.DropDown] != 1 || k.Sent != 5 || k.Read != 3 {
		t.Errorf("%+v", k)
	}
}

// Rules judge datagrams and refusals.
func TestPacketRules(t *testing.T) {
	x := packetNet(t, 1, "a", "b")
	a, b := x.Host("a"), x.Host("b")
	src, dst := x.open("a", a.UDPAddr(1), nil), x.open("b", b.UDPAddr(1), nil)
	verdicts := []sim.Verdict{{Drop: true}, {Corrupt: true}, {Duplicate: true}, {Delay: time.Second}, {Duplicate: true, Delay: time.Second}, {}}
	var seen []sim.Segment
	x.AddRule(func(s *sim.Segment) sim.Verdict {
		seen = append(seen, *s)
		return verdicts[len(seen)-1]
	})
	for i := range 5 {
		x.send(src, dst.Local(), fmt.Sprint(i))
		x.pass(time.Millisecond)
	}
	x.expect(dst, "2 10.0.0.1:1", "2 10.0.0.1:1", "4 10.0.0.1:1")
	x.pass(time.Minute)
	x.expect(dst, "3 10.0.0.1:1", "4 10.0.0.1:1")
	if s := seen[3]; s.Kind != sim.DATAGRAM || s.From != a.UDPAddr(1) || s.To != b.UDPAddr(1) || s.FromHost != "a" || s.ToHost != "b" || s.Len != 1 {
		t.Errorf("%+v", s)
	}
	dst.Close()
	x.send(src, dst.Local(), "nobody")
	verdicts = append(verdicts, sim.Verdict{Drop: true})
	x.pass(time.Minute)
	if s := seen[6]; len(seen) != 7 || s.Kind != sim.REFUSAL || s.From != b.UDPAddr(1) || s.To != a.UDPAddr(1) {
		t.Errorf("%+v", s)
	}
	if k := x.Packets(); k.Dropped[sim.DropLost] != 1 || k.Dropped[sim.DropCorrupt] != 1 || k.Copied != 2 {
		t.Errorf("%+v", k)
	}
}

// Rare branches: would-block without cause, and one datagram at a time.
func TestPacketSites(t *testing.T) {
	x := packetNet(t, 1, "a")
	x.Options.Sites = 4
	a := x.Host("a")
	src, dst := x.open("a", a.UDPAddr(1), nil), x.open("a", a.UDPAddr(2), nil)
	ps := []kernel.Packet{{Peer: dst.Local()}, {Peer: dst.Local()}, {Peer: dst.Local()}}
	writes, reads := map[int]int{}, map[int]int{}
	for range 200 {
		m, err := src.WritePackets(ps)
		if (m < 3) != (err == kernel.ErrAgain) {
			t.Fatal(m, err)
		}
		writes[m]++
		x.pass(time.Millisecond)
		for left := m; left > 0; {
			list, err := dst.ReadPackets()
			if err != nil {
				t.Fatal(err)
			}
			reads[len(list)]++
			left -= len(list)
		}
	}
	if writes[0] < 20 || writes[1] < 20 || writes[3] < 20 || writes[2] > 0 || reads[1] < 20 || reads[3] < 20 {
		t.Errorf("writes of %v, reads of %v", writes, reads)
	}
}

// What the trace tells of a datagram.
func TestPacketTrace(t *testing.T) {
	n := sim.New(1)
	n.KeepTrace = true
	x := &net0{Net: n, t: t}
	a, b := x.Host("a"), x.Host("b")
	src, dst := x.open("a", a.UDPAddr(1), nil), x.open("b", b.UDPAddr(1), nil)
	x.join(dst, kernel.Group{IP: netip.MustParseAddr("224.0.0.9")})
	remove := x.AddRule(func(*sim.Segment) sim.Verdict { return sim.Verdict{Duplicate: true} })
	x.send(src, dst.Local(), "hello")
	x.pass(time.Second)
	remove()
	got(dst)
	dst.Close()
	x.send(src, dst.Local(), "nobody")
	x.pass(time.Second)
	if err := sendTo(src, kernel.Addr{}, "x"); err == nil {
		t.Error("it can be sent to nobody")
	}
	var list []string
	for e := range n.Events() {
		if e.Kind != 0 {
			list = append(list, strings.TrimSpace(fmt.Sprintf("%v #%d %v %v %d %s>%s id %d %s", e.Host, e.Sock, e.What(), e.Kind, e.N, e.From, e.To, e.ID, e.Text)))
		}
	}
	want := []string{"a #1 send datagram 5 a>b id 1", "b #2 arrive datagram 5 a>b id 1", "b #2 arrive again datagram 5 a>b id 1",
		"a #1 send datagram 6 a>b id 2", "b #0 drop datagram 6 a>b id 2 refused", "b #0 send refusal 6 b>a id 3", "a #0 drop refusal 6 b>a id 3 refused"}
	if !slices.Equal(list, want) {
		t.Errorf("the trace is\n%s", strings.Join(list, "\n"))
	}
	for _, text := range []string{"#2 listen", "#2 join", "#1 write 1", "#1 write -1", "#2 read 2", "#2 close"} {
		if !strings.Contains(n.Trace(), text) {
			t.Errorf("%q is not in the trace", text)
		}
	}
	if !strings.Contains(n.Table(), "#1 udp 10.0.0.1:1 >") {
		t.Errorf("the table is\n%s", n.Table())
	}
}

// The rules of datagrams find what they are for.
func TestPacketRulesAreChecked(t *testing.T) {
	for rule, plant := range map[string]func(*sim.Net) bool{
		sim.RuleIntact:    sim.CorruptPacket,
		sim.RuleOnce:      sim.RepeatPacket,
		sim.RuleAccounted: sim.LosePacket,
	} {
		n := sim.New(1)
		x := &net0{Net: n, t: t}
		a := x.Host("a")
		src, dst := x.open("a", a.UDPAddr(1), nil), x.open("a", a.UDPAddr(2), nil)
		x.send(src, dst.Local(), "hello")
		planted := plant(n)
		n.Run(time.Second)
		planted = planted || plant(n)
		got(dst)
		got(src)
		for _, s := range x.socks {
			s.Close()
		}
		n.Close()
		e, ok := n.Err().(*sim.InvariantError)
		if !planted || !ok || e.Rule != rule {
			t.Errorf("%s: planted: %v, found %v", rule, planted, n.Err())
		}
	}
	n := sim.New(1)
	x := &net0{Net: n, t: t}
	x.open("a", x.Host("a").UDPAddr(1), nil)
	n.Host("a").Reactor.Close()
	n.Close()
	if n.Err() == nil {
		t.Error("a socket that is left is not found")
	}
}

// A datagram that comes to a socket that it is not for is found.
func TestPacketMisdelivered(t *testing.T) {
	g := udp("224.0.0.9", 1)
	for what, plant := range map[string]func(x *net0, src kernel.PacketConn){
		"another port": func(x *net0, src kernel.PacketConn) {
			x.open("a", udp("0.0.0.0", 2), nil)
			x.send(src, x.Host("a").UDPAddr(1), "x")
		},
		"another address": func(x *net0, src kernel.PacketConn) {
			x.open("a", udp("127.0.0.1", 1), nil)
			x.send(src, x.Host("a").UDPAddr(1), "x")
		},
		"another family": func(x *net0, src kernel.PacketConn) {
			x.open("a", udp("::", 1), nil)
			x.send(src, x.Host("a").UDPAddr(1), "x")
		},
		"a group that it has not joined": func(x *net0, src kernel.PacketConn) {
			x.open("a", udp("0.0.0.0", 1), &kernel.PacketOptions{Shared: true})
			x.join(x.open("a", udp("0.0.0.0", 1), &kernel.PacketOptions{Shared: true}), kernel.Group{IP: g.IP.Addr()})
			x.send(src, g, "x")
		},
		"another sender": func(x *net0, src kernel.PacketConn) {
			noErr(x.t, x.open("a", x.Host("a").UDPAddr(1), nil).Connect(x.Host("b").UDPAddr(2)))
			x.send(src, x.Host("a").UDPAddr(1), "x")
		},
	} {
		n := sim.New(1)
		x := &net0{Net: n, t: t}
		n.Host("a")
		plant(x, x.open("b", n.Host("b").UDPAddr(9), nil))
		ok := sim.MisdeliverPacket(n)
		if e, is := n.Err().(*sim.InvariantError); !ok || !is || e.Rule != sim.RuleAddressed {
			t.Errorf("%s: planted: %v, found %v", what, ok, n.Err())
		}
	}
}

// What is sent in a turn with slow callbacks leaves when these are over.
func TestPacketsOfSlowCallbacks(t *testing.T) {
	sent := 0
	for seed := range uint64(10) {
		n := sim.New(seed)
		n.KeepTrace = true
		n.Options.Slow = time.Second
		x := &net0{Net: n, t: t}
		a, b := x.Host("a"), x.Host("b")
		dst := x.open("b", b.UDPAddr(1), nil)
		a.Start(func(h *sim.Host) {
			src := x.open("a", a.UDPAddr(1), nil)
			h.Reactor.Every(time.Second, func() { x.send(src, dst.Local(), "x") })
		})
		x.pass(time.Minute)
		slow := map[time.Duration]time.Duration{} // until when
		left := map[uint64]time.Duration{}
		for e := range n.Events() {
			switch {
			case e.Op == sim.OpSlow && e.Host == "a":
				slow[e.At] = max(slow[e.At], e.At) + e.Lasts
			case e.Op == sim.OpSend && slow[e.At] > 0:
				left[e.ID] = slow[e.At]
			case e.Op == sim.OpArrive && left[e.ID] > 0:
				if sent++; e.At < left[e.ID] {
					t.Errorf("seed %d: it arrives at %v, and leaves at %v", seed, e.At, left[e.ID])
				}
			}
		}
	}
	if sent == 0 {
		t.Error("nothing is slow")
	}
}

// Within a host datagrams keep their order, whatever the latency. The class "packetbuffer" makes bursts overflow.
func TestPacketsWithinHost(t *testing.T) {
	x := packetNet(t, 1, "a")
	x.SetLatency("a", "a", 0, time.Second)
	x.Options.PacketBuffer = 1
	a := x.Host("a")
	c := x.open("a", a.UDPAddr(1), &kernel.PacketOptions{RecvBuffer: 1 << 20})
	small := x.open("a", a.UDPAddr(2), nil)
	var want []string
	for i := range 100 {
		x.send(c, a.UDPAddr(1), fmt.Sprint(i))
		x.send(c, a.UDPAddr(2), fmt.Sprint(i))
		want = append(want, fmt.Sprint(i)+" 10.0.0.1:1")
	}
	x.pass(time.Minute)
	x.expect(c, want...)
	x.expect(small, want[0])
}
