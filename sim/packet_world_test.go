package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// gramPinger sends numbers to its peer and counts the answers, or answers.
type gramPinger struct {
	t       reactor.PacketTransport
	answers bool
	asked   int
	got     map[string]bool
	refused int
}

func (p *gramPinger) StartProtocol(t reactor.PacketTransport) { p.t, p.got = t, map[string]bool{} }
func (p *gramPinger) StopProtocol(error)                      {}

func (p *gramPinger) DatagramReceived(data []byte, from kernel.Addr) {
	if p.answers {
		p.t.WriteTo(data, from)
		return
	}
	p.got[string(data)] = true
}

func (p *gramPinger) DatagramRefused([]byte, kernel.Addr, error) { p.refused++ }

// ping asks now and then.
func (p *gramPinger) ping(r *reactor.Reactor) {
	r.Every(100*time.Millisecond, func() {
		p.asked++
		p.t.Write(fmt.Appendf(nil, "%d", p.asked))
		r.Sometimes("a datagram is refused", p.refused > 0)
	})
}

// pings is a host that answers over UDP of both families and a UNIX socket, and others that ask.
func pings() sim.World {
	return sim.World{Name: "pings", About: "datagrams there and back", Length: 10 * time.Second, Setup: func(n *sim.Net) sim.Checks {
		w := map[string]*gramPinger{}
		var broken error
		srv := n.Host("srv")
		opened := func(_ *reactor.PacketPort, err error) {
			if err != nil && broken == nil {
				broken = sim.Breach("opens", "%w", err)
			}
		}
		srv.Start(func(h *sim.Host) {
			h.Reactor.CallLater(300*time.Millisecond, func() { // others ask before
				lock := &reactor.PacketConfig{PacketOptions: kernel.PacketOptions{UNIX: kernel.UNIXOptions{Lock: true}}}
				opened(h.Reactor.ListenPacket(kernel.UNIXDatagramAddr("/run/s"), &gramPinger{answers: true}, lock))
				opened(h.Reactor.ListenPacket(udp("0.0.0.0", 7), &gramPinger{answers: true}, nil))
				opened(h.Reactor.ListenPacket(h.UDPAddr6(7), &gramPinger{answers: true}, nil))
				w["unix"] = &gramPinger{}
				opened(h.Reactor.DialPacket(kernel.UNIXDatagramAddr("/run/s"), w["unix"], &reactor.PacketConfig{Bind: kernel.UNIXDatagramAddr("@c")}))
				w["unix"].ping(h.Reactor)
			})
		})
		n.Host("four").Start(func(h *sim.Host) {
			w["four"] = &gramPinger{}
			opened(h.Reactor.DialPacket(srv.UDPAddr(7), w["four"], nil))
			w["four"].ping(h.Reactor)
		})
		n.Host("six").Start(func(h *sim.Host) {
			w["six"] = &gramPinger{}
			opened(h.Reactor.DialPacket(srv.UDPAddr6(7), w["six"], nil))
			w["six"].ping(h.Reactor)
		})
		var calm map[*gramPinger]int
		return sim.Checks{
			Always:    func() error { return broken },
			Sometimes: []sim.Condition{{Name: "a datagram is refused"}},
			Done: func() bool {
				if calm == nil {
					calm = map[*gramPinger]int{}
					for _, p := range w {
						calm[p] = len(p.got)
					}
				}
				for _, name := range []string{"unix", "four", "six"} {
					if p := w[name]; p == nil || len(p.got) < calm[p]+5 {
						return false
					}
				}
				return true
			},
			End: func() error {
				if c := n.Packets(); c.Written < c.Sent || c.Read == 0 {
					return sim.Breach("counted", "%+v", c)
				}
				return nil
			},
		}
	}}
}

// Datagrams under all faults: a seed is a run, the rules hold, and what is sent comes through when the faults end.
func TestPacketWorld(t *testing.T) {
	sim.Test(t, pings(), 100)
	o, err := sim.ParseOptions("corrupt=0.1,bandwidth=3000,packetbuffer=900,drop=0.1,duplicate=0.2,reorder=0.3")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(10) {
		if r := pings().Check(seed, o); r.Err != nil {
			t.Error(r.Err)
		}
	}
}
