package receiver_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/testworld"
)

// LINE-17: who is held and paused is delivered to after both have ended, in whichever order.
func TestLINE17Hold(t *testing.T) {
	l := new(receiver.Line)
	for _, c := range []struct {
		name        string
		first, last func()
	}{
		{"resumed last", l.Release, l.ResumeProducing},
		{"released last", l.ResumeProducing, l.Release},
	} {
		for name, w := range testworld.Worlds() {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				*l = receiver.Line{}
				lines := 0
				l.LineReceived = func([]byte) {
					if lines++; lines == 1 {
						l.Hold()
						l.PauseProducing()
					}
				}
				r := w.New(t, reactor.Config{})
				port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(l), nil)
				if err != nil {
					t.Fatal(err)
				}
				p := w.Peer(t, port.Addr(), r)
				p.Send("a\r\nb\r\n")
				testworld.Until(t, func() bool { return lines == 1 }, r)
				c.first()
				p.Send("c\r\n")
				if testworld.Turns(t, r, 20); lines != 1 {
					t.Fatalf("%d lines after the first of two", lines)
				}
				c.last()
				testworld.Until(t, func() bool { return lines == 3 }, r)
			})
		}
	}
}

// LINE-17: a program that answers later and holds its receiver until then does not resume one
// that is paused because nobody reads the answers.
func TestLINE17HoldBesideConsumer(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			answer, lines := []byte(strings.Repeat("x", 4<<10)), 0
			var lost error
			l := &receiver.Line{Lost: func(err error) { lost = err }}
			l.Made = func() { l.T.RegisterProducer(l) }
			l.LineReceived = func([]byte) {
				lines++
				l.Hold()
				r.Post(func() {
					l.SendLine(answer)
					l.Release()
				})
			}
			port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(l),
				&reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 8 << 10, MaxBuffered: 64 << 10}})
			if err != nil {
				t.Fatal(err)
			}
			p := w.Peer(t, port.Addr(), r)
			p.Send(strings.Repeat("ask\r\n", 4000))
			for before := -1; before != lines && lost == nil; { // until nothing moves any more
				before = lines
				testworld.Turns(t, r, 100)
			}
			if lost != nil || lines == 4000 {
				t.Errorf("%d lines, lost with %v", lines, lost)
			}
		})
	}
}
