package receiver_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/testworld"
)

// A receiver that is the producer of its own connection is paused, between a line and the body behind it, when a write fails. What the
// peer sent is delivered before the loss (PROD-11, TCP-67): a body that has come whole goes to its own function and not to LineReceived, and one that has not goes nowhere (LINE-14).
func TestExactlyBeforeLoss(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for stream, want := range map[string]string{
			"head\r\nbodyone\r\ntwo\r\n": "head [body] one two lost",
			"head\r\nbo":                 "head lost",
		} {
			t.Run(name, func(t *testing.T) {
				f := &testworld.Faults{Write: func() error { return kernel.ErrAgain }}
				r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{})
				var got []string
				lost := false
				l := &receiver.Line{Lost: func(error) { lost = true; got = append(got, "lost") }}
				l.Made = func() { l.T.RegisterProducer(l) }
				send := func() { l.SendLine([]byte(strings.Repeat("x", 200))) }
				l.LineReceived = func(line []byte) {
					if got = append(got, string(line)); string(line) == "head" {
						l.ReadExactly(4, func(p []byte) { got = append(got, "["+string(p)+"]") })
						send()
					}
				}
				port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(l),
					&reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 100, LowWater: 10}})
				if err != nil {
					t.Fatal(err)
				}
				w.Peer(t, port.Addr(), r).Send(stream)
				testworld.Until(t, func() bool { return len(got) == 1 }, r)
				testworld.Turns(t, r, 5)
				f.Write = func() error { return kernel.ErrReset }
				r.CallLater(0, send)
				testworld.Until(t, func() bool { return lost }, r)
				if !slices.Equal(got, strings.Fields(want)) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}
