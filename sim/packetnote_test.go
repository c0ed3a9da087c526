package sim_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// slowGram pauses after each datagram, for a moment.
type slowGram struct {
	t     *reactor.PacketPort
	count int
}

func (p *slowGram) StartProtocol(t reactor.PacketTransport) { p.t = t.(*reactor.PacketPort) }
func (p *slowGram) StopProtocol(error)                      {}
func (p *slowGram) DatagramReceived([]byte, kernel.Addr) {
	p.count++
	p.t.PauseProducing()
	p.t.Reactor().CallLater(time.Millisecond, p.t.ResumeProducing)
}

// manyGrams takes what was read together.
type manyGrams struct{ slowGram }

func (p *manyGrams) PacketsReceived(ps []kernel.Packet) { p.count += len(ps) }

// The rules of delivery hold for datagram ports too: a run in which a reactor says something else than it should, as the callbacks
// of a port go, ends with that rule.
func TestPacketInvariants(t *testing.T) {
	never := func(probe.Note, func(probe.Note)) {}
	less := func(n probe.Note, to func(probe.Note)) { n.N--; to(n) }
	more := func(n probe.Note, to func(probe.Note)) { n.N++; to(n) }
	twice := func(n probe.Note, to func(probe.Note)) { to(n); to(n) }
	for _, c := range []struct {
		name   string
		rule   string
		batch  bool
		kind   probe.NoteKind
		change func(probe.Note, func(probe.Note))
	}{
		{"none", "", false, 0, nil},
		{"none, in batches", "", true, 0, nil},
		{"not delivered", sim.RuleDelivered, false, probe.NoteDatagram, never},
		{"one of a batch not delivered", sim.RuleDelivered, true, probe.NoteDatagrams, less},
		{"one more in a batch", sim.RuleDelivered, true, probe.NoteDatagrams, more},
		{"delivered twice", sim.RuleDelivered, true, probe.NoteDatagrams, twice},
		{"not discarded", sim.RuleDelivered, false, probe.NoteDiscarded, never},
		{"never resumed", sim.RulePaused, false, probe.NoteResumed, never},
		{"stopped too early", sim.RulePaused, false, probe.NoteStartProtocol, func(n probe.Note, to func(probe.Note)) {
			to(n)
			n.Kind = probe.NoteClosing
			to(n)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := sim.New(1)
			changed := false
			n.Wrap = func(h *sim.Host, k kernel.Kernel) kernel.Kernel {
				if h.Name() != "srv" {
					return k
				}
				return &wrapKernel{Kernel: k, hear: func(note probe.Note, to func(probe.Note)) {
					if c.kind == 0 || note.Kind != c.kind || changed {
						to(note)
						return
					}
					changed = true
					c.change(note, to)
				}}
			}
			srv, cli := n.Host("srv"), n.Host("cli")
			p := new(slowGram)
			var proto reactor.PacketProtocol = p
			if c.batch {
				many := new(manyGrams)
				p, proto = &many.slowGram, many
			}
			n.At(0, func() {
				if _, err := srv.Reactor.ListenPacket(srv.UDPAddr(7), proto, nil); err != nil {
					t.Error(err)
				}
				q, err := cli.Reactor.DialPacket(srv.UDPAddr(7), new(slowGram), nil)
				if err != nil {
					t.Fatal(err)
				}
				for range 20 {
					q.Write([]byte("x"))
				}
			})
			n.At(12*time.Millisecond, func() { p.t.StopListening(nil) })
			err := n.Run(time.Second)
			if err == nil {
				err = n.Close()
			}
			broken(t, err, c.rule)
			if c.rule == "" && (c.batch && p.count != 20 || !c.batch && (p.count < 5 || p.count > 15)) {
				t.Errorf("%d datagrams", p.count)
			}
			if changed != (c.rule != "") {
				t.Error("the note never came")
			}
		})
	}
}

// Callbacks of datagram ports take time on a slow host, as those of connections do.
func TestSlowPackets(t *testing.T) {
	took := func(slow time.Duration) time.Duration {
		for seed := range uint64(20) { // until one whose host is slow
			n := sim.New(seed)
			n.Options.Slow = slow
			srv, cli := n.Host("srv"), n.Host("cli")
			p, last := &gramPinger{answers: true}, time.Duration(0)
			asks := &gramPinger{}
			n.At(0, func() {
				srv.Reactor.ListenPacket(srv.UDPAddr(7), p, nil)
				cli.Reactor.DialPacket(srv.UDPAddr(7), asks, nil)
				for range 100 {
					asks.t.Write([]byte("x"))
				}
			})
			if err := n.RunUntil(func() bool { return len(asks.got) > 0 }, time.Minute); err != nil {
				t.Fatal(err)
			}
			last = n.Now()
			n.Run(time.Second)
			if slow == 0 || last > 50*time.Millisecond {
				return last
			}
		}
		return 0
	}
	if quick, slow := took(0), took(20*time.Millisecond); quick > 20*time.Millisecond || slow < 50*time.Millisecond {
		t.Errorf("the first answer after %v, and after %v if callbacks take time", quick, slow)
	}
}
