package sim_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// announcer writes its words once it is connected.
type announcer struct {
	reactor.Base
	words []string
}

func (p *announcer) ConnectionMade(t reactor.Transport) {
	for _, w := range p.words {
		t.Write([]byte(w))
	}
}
func (p *announcer) DataReceived([]byte) {}

// beacon sends its words as datagrams.
type beacon struct {
	words []string
	to    kernel.Addr
}

func (b *beacon) StartProtocol(t reactor.PacketTransport) {
	for _, w := range b.words {
		t.WriteTo([]byte(w), b.to)
	}
}
func (b *beacon) DatagramReceived([]byte, kernel.Addr) {}
func (b *beacon) StopProtocol(error)                   {}

// Two runs that write the same numbers of bytes, but other bytes, have diverged: a program that walks a map, or draws an
// identifier from the system, often does just that. The error shows the bytes.
func TestOtherBytesDiverge(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		name         string
		odd, even    []string
		packets      bool
		first, other string
	}{
		{"words", []string{"ann,", "bob,"}, []string{"bob,", "ann,"}, false, `#3 writes "ann,bob,"`, `#3 writes "bob,ann,"`},
		{"behind others", []string{long + "1" + long}, []string{long + "2" + long}, false, `(84 bytes) "xxxxxxxxxxxxxxxx1xxx`, `x" (69 bytes)`},
		{"far behind", []string{strings.Repeat(long, 50) + "1"}, []string{strings.Repeat(long, 50) + "2"}, false, `(4080 bytes) "xxxxxxxxxxxxxxxx" (905 bytes)`, "(905 bytes)"},
		{"datagrams", []string{"ann,", "bob,"}, []string{"bob,", "ann,"}, true, `writes "ann,"`, `writes "bob,"`},
		{"none", []string{"ann,", "bob,"}, []string{"ann,", "bob,"}, false, "", ""},
		{"no datagrams", []string{"ann,", "bob,"}, []string{"ann,", "bob,"}, true, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := 0
			r := sim.World{Name: "words", Setup: func(n *sim.Net) sim.Checks {
				a, b := n.Host("a"), n.Host("b")
				words := c.even
				if runs++; runs%2 == 1 {
					words = c.odd
				}
				if c.packets {
					if _, err := a.Reactor.ListenPacket(a.UDPAddr(7), &beacon{words, b.UDPAddr(7)}, nil); err != nil {
						t.Error(err)
					}
					return sim.Checks{}
				}
				if _, err := a.Reactor.Listen(a.Addr(7), single(&announcer{words: words}), nil); err != nil {
					t.Error(err)
				}
				b.Reactor.Dial(a.Addr(7), single(new(announcer)), nil, nil)
				return sim.Checks{}
			}}.Check(1, sim.Options{})
			if c.first == "" {
				if r.Err != nil || runs != 2 {
					t.Errorf("%d runs: %v", runs, r.Err)
				}
				return
			}
			e, ok := errors.AsType[*sim.DivergedError](r.Err)
			if !ok || e.Line == 0 || !strings.Contains(e.First, c.first) || !strings.Contains(e.Second, c.other) {
				t.Errorf("it ends with %v", r.Err)
			}
		})
	}
}

// A difference that does not show in the first two runs with a trace is looked for in more of them. One that never comes again is
// told with what may have caused it.
func TestRareDivergence(t *testing.T) {
	for _, c := range []struct {
		differs int // the run that does
		later   int // and another one
		want    string
	}{
		{2, 6, `writes "bob,"`},
		{2, 2, "but not when run 8 times again"},
	} {
		runs := 0
		r := sim.World{Name: "words", Setup: func(n *sim.Net) sim.Checks {
			a, b := n.Host("a"), n.Host("b")
			word := "ann,"
			if runs++; runs == c.differs || runs == c.later {
				word = "bob,"
			}
			if _, err := a.Reactor.Listen(a.Addr(7), single(&announcer{words: []string{word}}), nil); err != nil {
				t.Error(err)
			}
			b.Reactor.Dial(a.Addr(7), single(new(announcer)), nil, nil)
			return sim.Checks{}
		}}.Check(1, sim.Options{})
		if !errors.Is(r.Err, sim.ErrDiverged) || !strings.Contains(r.Err.Error(), c.want) || !strings.Contains(r.Err.Error(), "a map's order") {
			t.Errorf("it ends with %v", r.Err)
		}
	}
}
