package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// indexer sends the index of its loop and closes.
type indexer struct{ reactor.Base }

func (i *indexer) ConnectionMade(t reactor.Transport) {
	i.Base.ConnectionMade(t)
	fmt.Fprint(t, t.Reactor().Index())
	t.Close()
}

func (i *indexer) DataReceived([]byte) {}

// hearer appends what it gets.
type hearer struct {
	reactor.Base
	got *string
}

func (h *hearer) DataReceived(p []byte) { *h.got += string(p) }

// loops makes a group of n simulated loops, and listens at a.
func loops(t *testing.T, n *sim.Net, count int, a func(*sim.Host) kernel.Addr) (*reactor.Group, *reactor.GroupPort, []*sim.Host) {
	t.Helper()
	hosts := n.Host("srv").Loops(count)
	var rs []*reactor.Reactor
	for _, h := range hosts {
		rs = append(rs, h.Reactor)
	}
	g := reactor.GroupOf(reactor.GroupConfig{}, rs...)
	port, err := g.Listen(a(hosts[0]), reactor.Each[indexer](), nil)
	if err != nil {
		t.Fatal(err)
	}
	return g, port, hosts
}

// visit connects m clients to a, one after the other, and returns what they have got.
func visit(t *testing.T, n *sim.Net, from *sim.Host, a kernel.Addr, m int) (got string) {
	t.Helper()
	for range m {
		before := len(got)
		from.Reactor.Dial(a, reactor.One(&hearer{got: &got}), nil, nil)
		if err := n.RunUntil(func() bool { return len(got) > before }, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// A simulated group of 1, 2 and 5 loops serves on all of them, by listeners of their own and by one acceptor, stops in
// order, and leaves nothing behind. The same seed gives the same run, and another one another.
func TestLoops(t *testing.T) {
	places := map[string]func(*sim.Host) kernel.Addr{
		"tcp":  func(h *sim.Host) kernel.Addr { return h.Addr(7) },
		"unix": func(*sim.Host) kernel.Addr { return kernel.UNIXAddr("/run/s") },
	}
	for name, place := range places {
		for _, count := range []int{1, 2, 5} {
			t.Run(fmt.Sprint(name, count), func(t *testing.T) {
				run := func(seed uint64) (got string, ended []int, hash uint64) {
					n := sim.New(seed)
					g, port, hosts := loops(t, n, count, place)
					for i, h := range hosts {
						h.Reactor.AddTrigger(reactor.During, reactor.Shutdown, func() { ended = append(ended, i) })
					}
					from := hosts[0].Beside("beside")
					if name == "tcp" {
						from = n.Host("cli")
					}
					got = visit(t, n, from, port.Addr(), 40)
					asked := 0
					g.EachLater(func(r *reactor.Reactor) error { asked++; return nil }, func(err error) {
						if err != nil || asked != count {
							t.Errorf("GROUP-4: asked %d of %d: %v", asked, count, err)
						}
						asked = -1
					})
					stats := reactor.GroupStats{}
					g.StatsLater(func(s reactor.GroupStats) { stats = s })
					if err := n.RunUntil(func() bool { return asked < 0 && len(stats.Loops) > 0 }, time.Minute); err != nil {
						t.Fatal(err)
					}
					if stats.Sum.Accepted != 40 || port.Stats().Accepted != 40 {
						t.Errorf("GROUP-6: %d accepted, and %d", stats.Sum.Accepted, port.Stats().Accepted)
					}
					if err := g.Stop(); err != nil {
						t.Error(err)
					}
					if err := n.RunUntil(func() bool { return len(ended) == count }, time.Minute); err != nil {
						t.Fatal(err)
					}
					if err := n.Close(); err != nil {
						t.Error(err)
					}
					select {
					case <-g.Done():
					default:
						t.Error("GROUP-8: the group has not ended")
					}
					return got, ended, n.Hash()
				}
				got, ended, hash := run(1)
				seen := map[rune]bool{}
				for _, c := range got {
					seen[c] = true
				}
				if len(seen) != count || ended[count-1] != 0 {
					t.Errorf("GROUP-2, GROUP-8: served by %q, ended as %v", got, ended)
				}
				again, _, same := run(1)
				if again != got || same != hash {
					t.Error("the same seed gives another run")
				}
				if other, _, _ := run(2); count == 5 && name == "tcp" && other == got {
					t.Error("another seed gives the same run")
				}
			})
		}
	}
}

// GROUP-9, GROUP-10: a simulated loop that is killed is replaced, and the others serve meanwhile.
func TestLoopsKill(t *testing.T) {
	n := sim.New(3)
	g, port, hosts := loops(t, n, 3, func(h *sim.Host) kernel.Addr { return h.Addr(7) })
	replaced := 0
	for i, h := range hosts {
		h.Start(func(h *sim.Host) {
			if g.Loop(i) != h.Reactor {
				g.Replace(i, h.Reactor)
				replaced++
			}
		})
	}
	from := n.Host("cli")
	visit(t, n, from, port.Addr(), 5)
	for k := range 3 {
		hosts[k].Kill()
		seen := map[rune]bool{}
		for _, c := range visit(t, n, from, port.Addr(), 40) {
			seen[c] = true
		}
		if len(seen) != 3 || replaced != k+1 {
			t.Errorf("GROUP-10: after %d losses, %d loops serve, %d were replaced", k+1, len(seen), replaced)
		}
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if err := n.RunUntil(func() bool {
		select {
		case <-g.Done():
			return true
		default:
			return false
		}
	}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
