//go:build !race

// The race detector allocates, so that it cannot be seen that the simulation does not.

package sim_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// pingPong keeps ten connections busy.
func pingPong(t testing.TB) (n *sim.Net, events func() uint64) {
	n = sim.New(1)
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 2 * time.Millisecond}
	srv, cli := n.Host("srv"), n.Host("cli")
	if _, err := srv.Reactor.Listen(srv.Addr(7), echoes(), nil); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		p := new(pinger)
		dial(cli, srv.Addr(7), p)
		n.At(time.Second, func() { p.T.Write([]byte("0123456789")) })
	}
	if err := n.Run(3 * time.Second); err != nil {
		t.Fatal(err)
	}
	return n, func() uint64 { return srv.Reactor.Stats().Events + cli.Reactor.Stats().Events }
}

// pinger sends back what it hears, without end.
type pinger struct{ echo }

// In steady state nothing is allocated.
func TestAllocs(t *testing.T) {
	n, events := pingPong(t)
	n.Run(time.Minute) // until every queue has its length
	before := events()
	allocs := testing.AllocsPerRun(10, func() { n.Run(time.Second) })
	if got := events() - before; got < 10_000 {
		t.Fatalf("%d events are not many", got)
	}
	if allocs > 0 {
		t.Errorf("%v allocations in a second of the network", allocs)
	}
}

func BenchmarkEvents(b *testing.B) {
	n, events := pingPong(b)
	first := events()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i = int(events() - first) {
		n.Run(10 * time.Millisecond)
	}
}

// A day of ten hosts of which each sends a message a second.
func BenchmarkDay(b *testing.B) {
	for range b.N {
		n := sim.New(1)
		n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 2 * time.Millisecond}
		hosts := []*sim.Host{}
		for i := range 10 {
			h := n.Host(string(rune('a' + i)))
			hosts = append(hosts, h)
			if _, err := h.Reactor.Listen(h.Addr(7), echoes(), nil); err != nil {
				b.Fatal(err)
			}
		}
		for i, h := range hosts {
			dial(h, hosts[(i+1)%10].Addr(7), new(ticker))
		}
		n.Run(24 * time.Hour)
	}
}
