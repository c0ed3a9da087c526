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

// pauses is a producer that writes when it is paused.
type pauses struct{ paused func() }

func (p *pauses) PauseProducing()  { p.paused() }
func (p *pauses) ResumeProducing() {}
func (p *pauses) StopProducing()   {}

// gathers is a peer that keeps what it gets.
type gathers struct {
	reactor.Base
	got strings.Builder
}

func (g *gathers) DataReceived(p []byte) { g.got.Write(p) }

// PROD-25: what a producer sends inside its pause stands behind the string or the line that has paused it, not in it.
func TestSendInsidePause(t *testing.T) {
	l, n, x := new(receiver.Line), new(receiver.Netstring), new(receiver.Prefixed)
	for name, c := range map[string]struct {
		p            reactor.Protocol
		send         func(p []byte) error
		long, inside string
	}{
		"line":      {l, l.SendLine, "%s\r\n", "short\r\n"},
		"netstring": {n, n.SendString, "200000:%s,", "5:short,"},
		"prefixed":  {x, x.SendString, "\x00\x03\x0d\x40%s", "\x00\x00\x00\x05short"},
	} {
		t.Run(name, func(t *testing.T) {
			r := testworld.Simulation().New(t, reactor.Config{})
			// 200000 bytes alone are above the mark, so the first write of them pauses, and what follows it is another one.
			port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.One(c.p), nil)
			if err != nil {
				t.Fatal(err)
			}
			g := new(gathers)
			r.Dial(port.Addr(), reactor.One(g), nil, nil)
			testworld.Until(t, func() bool { return g.T != nil && r.Stats().Connections == 2 }, r)
			testworld.Turns(t, r, 2)
			k := reactor.ConnectionOf(transportOf(c.p))
			again := 0
			err = k.RegisterProducer(&pauses{func() {
				for range 2 {
					again++
					if err := c.send([]byte("short")); err != nil {
						t.Error(err)
					}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			body := strings.Repeat("b", 200_000)
			if err := c.send([]byte(body)); err != nil {
				t.Fatal(err)
			}
			k.UnregisterProducer()
			want := strings.Replace(c.long, "%s", body, 1) + c.inside + c.inside
			testworld.Until(t, func() bool { return g.got.Len() >= len(want) }, r)
			if got := g.got.String(); got != want || again != 2 {
				t.Errorf("PROD-25: %d bytes came, beginning with %.20q and ending with %q, after %d strings inside", len(got), got, got[len(got)-20:], again)
			}
			g.T.Abort()
			port.StopListening(nil)
			testworld.Turns(t, r, 3)
		})
	}
}

// transportOf is the T of a receiver.
func transportOf(p reactor.Protocol) reactor.Transport {
	switch p := p.(type) {
	case *receiver.Line:
		return p.T
	case *receiver.Netstring:
		return p.T
	}
	return p.(*receiver.Prefixed).T
}
