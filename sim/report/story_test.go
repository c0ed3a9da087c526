package report

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/sim"
)

// A clog ends when the faults do.
func TestClogEndsWithFaults(t *testing.T) {
	for _, lasts := range []time.Duration{time.Hour, kernel.Forever} {
		s := build([]sim.TraceEvent{{At: 10 * time.Millisecond, Host: "a", Op: sim.OpClog, From: "a", To: "b", Lasts: lasts, Text: "1h"}}, 400*time.Millisecond, 350*time.Millisecond)
		if len(s.spans) != 1 || s.spans[0].end != 350*time.Millisecond {
			t.Errorf("%v: spans %v", lasts, s.spans)
		}
	}
}

// A datagram that is lost is not sent again, and one that arrives twice has arrived.
func TestDatagramsHaveOneLeg(t *testing.T) {
	ms := time.Millisecond
	s := build([]sim.TraceEvent{
		{At: 1 * ms, Host: "a", Sock: 1, Op: sim.OpSend, Kind: sim.DATAGRAM, N: 5, ID: 1, From: "a", To: "b"},
		{At: 2 * ms, Host: "a", Sock: 1, Op: sim.OpSend, Kind: sim.DATAGRAM, N: 5, ID: 2, From: "a", To: "b"},
		{At: 3 * ms, Host: "b", Sock: 2, Op: sim.OpArrive, Kind: sim.DATAGRAM, N: 5, ID: 2, From: "a", To: "b"},
		{At: 4 * ms, Host: "b", Op: sim.OpDrop, Kind: sim.DATAGRAM, N: 5, ID: 1, From: "a", To: "b", Text: "lost"},
		{At: 5 * ms, Host: "b", Sock: 2, Op: sim.OpDuplicate, Kind: sim.DATAGRAM, N: 5, ID: 2, From: "a", To: "b"},
	}, time.Second, time.Second)
	if len(s.arrows) != 2 {
		t.Fatalf("%d arrows", len(s.arrows))
	}
	if a, b := s.arrows[0], s.arrows[1]; !a.lost || a.never || a.end != 4*ms || b.lost || b.end != 3*ms || b.toSock != 2 {
		t.Errorf("%+v, %+v", a, b)
	}
}
