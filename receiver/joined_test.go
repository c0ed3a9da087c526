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

// joinedEnd is the other end of a connection that is joined.
type joinedEnd struct {
	reactor.Base
	got int
}

func (e *joinedEnd) DataReceived(p []byte) { e.got += len(p) }

// LINE-17, PROD-16: a receiver that was held, or paused, until its connection was joined with another does not hold that up later.
func TestLINE17HoldJoined(t *testing.T) {
	for what, stop := range map[string]func(*receiver.Line){
		"held":   (*receiver.Line).Hold,
		"paused": (*receiver.Line).PauseProducing,
	} {
		for name, w := range testworld.Worlds() {
			t.Run(what+"/"+name, func(t *testing.T) {
				r := w.New(t, reactor.Config{})
				l, out, near, far := new(receiver.Line), new(joinedEnd), new(joinedEnd), new(joinedEnd)
				asked := false
				l.LineReceived = func([]byte) {
					asked = true
					stop(l)
				}
				c := &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 1000}}
				connect := func(a, b reactor.Protocol) {
					port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(a), c)
					if err != nil {
						t.Fatal(err)
					}
					r.Dial(port.Addr(), reactor.One(b), nil, nil)
				}
				connect(l, near)
				connect(out, far)
				testworld.Until(t, func() bool { return l.T != nil && out.T != nil && near.T != nil && far.T != nil }, r)
				const size = 4 << 20
				_, _ = near.T.Write([]byte("connect\r\nrest"))
				testworld.Until(t, func() bool { return asked }, r)
				far.T.PauseProducing()
				if _, err := reactor.Join(l.T, out.T, &reactor.JoinConfig{RestA: l.Rest()}); err != nil {
					t.Fatal(err)
				}
				_, _ = near.T.Write([]byte(strings.Repeat("x", size)))
				testworld.Turns(t, r, 30)
				far.T.ResumeProducing()
				testworld.Until(t, func() bool { return far.got == size+len("rest") }, r)
			})
		}
	}
}

// LINE-17: a receiver that gets its connection back is held as before.
func TestLINE17HoldReturned(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			l, guest, lines := new(receiver.Line), new(joinedEnd), 0
			l.LineReceived = func([]byte) {
				lines++
				l.Hold()
			}
			port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(l), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := w.Peer(t, port.Addr(), r)
			p.Send("a\r\n")
			testworld.Until(t, func() bool { return lines == 1 }, r)
			s, _ := reactor.As[reactor.Switcher](l.T)
			was, err := s.SwitchProtocol(guest)
			if err != nil || was.Protocol != reactor.Protocol(l) || !was.Paused {
				t.Fatalf("%+v, %v", was, err)
			}
			l.T.PauseProducing()
			l.T.ResumeProducing()
			p.Send("xyz")
			testworld.Until(t, func() bool { return guest.got == 3 }, r)
			if _, err := s.SwitchProtocol(l); err != nil {
				t.Fatal(err)
			}
			l.T.PauseProducing()
			l.T.ResumeProducing()
			p.Send("b\r\n")
			if testworld.Turns(t, r, 20); lines != 1 {
				t.Fatalf("%d lines while it is held", lines)
			}
			l.Release()
			testworld.Until(t, func() bool { return lines == 2 }, r)
		})
	}
}
