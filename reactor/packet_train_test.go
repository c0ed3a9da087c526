package reactor_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// trains is a PacketsReceiver that takes trains, and sends back what it gets.
type trains struct {
	gram
	takes   bool
	packets []kernel.Packet // what PacketsReceived got, without the data
	back    bool
}

func (x *trains) TakesTrains() bool { return x.takes }

func (x *trains) PacketsReceived(ps []kernel.Packet) {
	for _, p := range ps {
		for _, one := range p.AppendDatagrams(nil) {
			x.DatagramReceived(one.Data, one.Peer)
		}
		p.Data = nil
		x.packets = append(x.packets, p)
	}
	if x.back {
		if n, err := x.t.WritePackets(ps); n != len(ps) || err != nil {
			panic(fmt.Sprint(n, err))
		}
	}
}

func train(text string, segment int) kernel.Packet {
	return kernel.Packet{Data: []byte(text), Peer: udp(9), Segment: segment}
}

// UDP-28: a TrainsReceiver gets a train as it is, and its datagrams are counted. Without it, or with a MaxPacketSize, there are no trains.
func TestPacketTrainReceived(t *testing.T) {
	for _, c := range []struct {
		takes  bool
		most   int
		trains bool
	}{{true, 0, true}, {true, 64 << 10, true}, {false, 0, false}, {true, 2, false}} {
		x := &trains{takes: c.takes}
		r, s, p := scripted(t, udp(0), x, &reactor.PacketConfig{MaxPacketSize: c.most})
		if !c.trains { // the kernel is not asked for trains
			s.comes("ab", "c")
		} else {
			s.inbox = append(s.inbox, []kernel.Packet{train("aabbc", 2), train("d", 1), train("ee", 3)})
		}
		turns(r, 2)
		switch {
		case c.trains != s.asked:
			t.Errorf("UDP-28: %+v: asked for trains %v", c, s.asked)
		case c.trains && (!slices.Equal(x.got, []string{"aa", "bb", "c", "d", "ee"}) || len(x.packets) != 3 || p.Stats().Received != 5 || p.Stats().ReceivedBytes != 8):
			t.Errorf("UDP-28: %+v: %q in %v, %+v", c, x.got, x.packets, p.Stats())
		}
	}
}

// broken panics when it is asked for trains.
type broken struct{ trains }

func (*broken) TakesTrains() bool { panic("TakesTrains") }

// UDP-28: a TrainsReceiver that panics when it is asked fails the opening, and leaves no socket open.
func TestPacketTrainPanics(t *testing.T) {
	r, s, _ := scripted(t, udp(0), &gram{}, nil)
	k, x, before := s.k, &broken{}, r.Stats().Sources
	_, err := r.ListenPacket(udp(0), x, nil)
	if _, ok := errors.AsType[*reactor.PanicError](err); !ok || !errors.Is(err, reactor.ErrListen) || x.started != 0 || !k.socks[1].closed || r.Stats().Sources != before {
		t.Errorf("UDP-28: %v; started %d times, socket closed %v", err, x.started, k.socks[1].closed)
	}
}

// UDP-28: what a paused port holds of trains, and what a stopped one discards, is counted by datagrams too.
func TestPacketTrainHeld(t *testing.T) {
	x := &trains{takes: true}
	r, s, p := scripted(t, udp(0), x, nil)
	x.onData = func([]byte, kernel.Addr) { p.PauseProducing() }
	s.inbox = append(s.inbox, []kernel.Packet{train("a", 0), {Peer: udp(9), Err: kernel.ErrRefused}, train("bbcc", 2), train("ddd", 2)})
	turns(r, 2)
	if !slices.Equal(x.got, []string{"a"}) {
		t.Fatalf("%q", x.got)
	}
	x.onData = nil
	p.ResumeProducing()
	turns(r, 2)
	if !slices.Equal(x.got, []string{"a", "bb", "cc", "dd", "d"}) {
		t.Errorf("UDP-28: %q", x.got)
	}
	x.onData = func([]byte, kernel.Addr) { p.StopListening(nil) }
	s.inbox = append(s.inbox, []kernel.Packet{train("a", 0), {Peer: udp(9), Err: kernel.ErrRefused}, train("bbcc", 2)})
	turns(r, 3)
	if st := p.Stats(); st.Discarded != 2 || st.Received != 6 {
		t.Errorf("UDP-28: %+v", st)
	}
}

// UDP-28: a train that is sent is counted by its datagrams. One that the system does not send at once is divided, so that each datagram is sent, waits, or
// fails for itself.
func TestPacketTrainSent(t *testing.T) {
	for name, c := range map[string]struct {
		plain bool
		take  func(p kernel.Packet, n int) error // of the nth call
		most  int
		sent  string
		want  reactor.PacketStats
		fails string
	}{
		"whole":   {sent: "aabbc/2", want: reactor.PacketStats{Sent: 3, SentBytes: 5}},
		"plain":   {plain: true, sent: "aa bb c", want: reactor.PacketStats{Sent: 3, SentBytes: 5}},
		"divided": {take: noTrain, sent: "aa bb c", want: reactor.PacketStats{Sent: 3, SentBytes: 5}},
		"waits":   {take: fullOnce, sent: "aa bb c", want: reactor.PacketStats{Sent: 3, SentBytes: 5, Waited: 3}},
		"waits in the middle": {take: func(p kernel.Packet, n int) error {
			if n == 3 {
				return kernel.ErrAgain
			}
			return noTrain(p, n)
		}, sent: "aa bb c", want: reactor.PacketStats{Sent: 3, SentBytes: 5, Waited: 2}},
		"one fails": {take: func(p kernel.Packet, n int) error {
			if string(p.Data) == "bb" {
				return kernel.ErrMessageSize
			}
			return noTrain(p, n)
		}, sent: "aa c", want: reactor.PacketStats{Sent: 2, SentBytes: 3, Failed: 1}, fails: "[bb to 127.0.0.1:9]"},
		"all fail": {take: func(kernel.Packet, int) error { return kernel.ErrPermission }, want: reactor.PacketStats{Failed: 3},
			fails: "[aa to 127.0.0.1:9 bb to 127.0.0.1:9 c to 127.0.0.1:9]"},
		"no room": {take: func(kernel.Packet, int) error { return kernel.ErrAgain }, most: 2 * 66, want: reactor.PacketStats{Queued: 2, Waited: 2, Dropped: 1},
			fails: "[c to 127.0.0.1:9]"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gram{}
			r, s, p := scriptedBy(t, &packetKernel{plain: c.plain}, udp(0), g, &reactor.PacketConfig{MaxQueued: c.most})
			if n := 0; c.take != nil {
				s.refuse = func(p kernel.Packet) error {
					n++
					return c.take(p, n)
				}
				s.room = true
			}
			if n, err := p.WritePackets([]kernel.Packet{train("aabbc", 2)}); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			turns(r, 5)
			var sent []string
			for _, q := range s.sent {
				text := string(q.Data)
				if q.Train() {
					text += fmt.Sprint("/", q.Segment)
				}
				sent = append(sent, text)
			}
			failed := ""
			if len(g.failed) > 0 {
				failed = fmt.Sprint(g.failed)
			}
			if st := p.Stats(); strings.Join(sent, " ") != c.sent || st != c.want || failed != c.fails {
				t.Errorf("UDP-28: sent %q, failed %s, %+v", sent, failed, st)
			}
		})
	}
}

// fullOnce has no room at the first call.
func fullOnce(_ kernel.Packet, n int) error {
	if n == 1 {
		return kernel.ErrAgain
	}
	return nil
}

// noTrain refuses trains.
func noTrain(p kernel.Packet, _ int) error {
	if p.Train() {
		return kernel.ErrTrain
	}
	return nil
}

// UDP-28: one packet at a time may be a train too, and stands behind what was written before. A datagram of it that is too long is refused.
func TestPacketTrainWritten(t *testing.T) {
	_, s, p := scripted(t, udp(0), &gram{}, nil)
	_ = p.WriteTo([]byte("first"), udp(9))
	if err := p.WritePacket(train("aabbc", 2)); err != nil {
		t.Fatal(err)
	}
	if got := s.texts(); !slices.Equal(got, []string{"first", "aabbc"}) || s.sent[1].Segment != 2 {
		t.Errorf("UDP-28: sent %q", got)
	}
	if n, err := p.WritePackets([]kernel.Packet{train("a", 0), train(strings.Repeat("x", 70_000), 66_000)}); n != 1 || !errors.Is(err, kernel.ErrMessageSize) {
		t.Errorf("UDP-21: %d, %v", n, err)
	}
}

// UDP-28: whoever takes trains and sends them back loses nothing, changes nothing and keeps the order, on every kernel.
func TestPacketTrains(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		x, g := &trains{takes: true, back: true}, &gram{}
		server := listenPacket(t, r, udp(0), x, nil)
		client := listenPacket(t, r, udp(0), g, nil)
		var want []string
		for i := range 40 { // runs of one size, of which the last is shorter
			ps := []kernel.Packet{{Peer: server.Local(), Segment: 100 + i, Data: bytes.Repeat([]byte{byte('a' + i%26)}, 50+i*(100+i))}}
			if n, err := client.WritePackets(slices.Clone(ps)); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			for _, one := range ps[0].AppendDatagrams(nil) {
				want = append(want, string(one.Data))
			}
			if i%5 == 0 {
				testworld.Until(t, func() bool { return len(g.got) == len(want) }, r)
			}
		}
		testworld.Until(t, func() bool { return len(g.got) == len(want) }, r)
		if !slices.Equal(g.got, want) || !slices.Equal(x.got, want) {
			t.Error("UDP-28: other datagrams came, or in another order")
		}
		if a, b := server.Stats(), client.Stats(); a.Received != uint64(len(want)) || a.Sent != a.Received || b.Sent != a.Sent || b.Received != a.Received || a.SentBytes != b.SentBytes {
			t.Errorf("UDP-28: %+v and %+v", a, b)
		}
		if _, trains := kernel.PacketAs[kernel.Trains](server.Conn()); trains && len(x.packets) == len(want) {
			t.Error("UDP-28: there was no train")
		}
	})
}
