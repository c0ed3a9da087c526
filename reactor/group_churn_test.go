package reactor_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// churner connects, hears the greeting, and connects again.
type churner struct {
	reactor.Base
	again func()
}

func (c *churner) DataReceived([]byte) { c.T.Close() }

func (c *churner) ConnectionLost(error) { c.again() }

// A group under churn, with posts from all sides, pauses, a loop that is lost, and a stop in the middle of all that: the race
// detector finds nothing, every connection that was made is lost (GROUP-3), and the group ends (GROUP-8).
func TestGroupChurn(t *testing.T) {
	everyWay(t, func(t *testing.T, w testworld.World, n int, c reactor.GroupConfig, at kernel.Addr) {
		c.Restarts = 1
		g := newGroup(t, w, n, c)
		f := new(greeters)
		o := &reactor.ListenConfig{PortLimits: reactor.PortLimits{MaxConnections: 20, MaxPerPeer: 15}}
		port, err := g.Listen(at, f, o)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		x := newClients(t, w)
		var rounds, posted, called atomic.Int64
		var dial func()
		dial = func() {
			rounds.Add(1)
			x.r.Dial(port.Addr(), reactor.One(&churner{again: func() { x.r.Post(dial) }}), &reactor.DialConfig{Timeout: -1},
				func(_ reactor.Protocol, err error) {
					if err != nil && g.Running() {
						x.r.Post(dial)
					}
				})
		}
		for range 10 {
			x.r.Post(dial)
		}
		var posters sync.WaitGroup
		for i := range 3 {
			posters.Go(func() {
				for k := 0; g.Running(); k++ {
					switch {
					case k%5 == 0:
						_ = g.Each(func(*reactor.Reactor) error { return nil })
					case k%7 == 0:
						_ = g.Stats()
						_ = port.Stats()
					case k%11 == 0:
						port.PauseAccepting()
						port.ResumeAccepting()
					case g.PostTo((i+k)%n, func(*reactor.Reactor) { called.Add(1) }):
						posted.Add(1)
					}
					runtime.Gosched()
				}
			})
		}
		eventually(t, "connections come and go", func() bool { return rounds.Load() > 100 })
		lost := g.Loop(n - 1)
		g.PostTo(n-1, func(*reactor.Reactor) { runtime.Goexit() })
		eventually(t, "the loop is started anew", func() bool { return g.Loop(n-1) != lost })
		after := rounds.Load()
		eventually(t, "they go on without one loop", func() bool { return rounds.Load() > after+50 })
		if err := g.stop(); err != nil {
			t.Errorf("GROUP-8: %v", err)
		}
		posters.Wait()
		if called.Load() > posted.Load() {
			t.Errorf("GROUP-11: %d posted, %d called", posted.Load(), called.Load())
		}
		// A loop that was ended by Goexit tells nobody of its losses.
		if _, _, made, lost := f.counts(); lost > made || lost == 0 || f.wrong != "" {
			t.Errorf("GROUP-3: %d made, %d lost, and on another loop: %q", made, lost, f.wrong)
		}
		if s := port.Stats(); s.Open != 0 {
			t.Errorf("GROUP-6: open at the end: %+v", s)
		}
	})
}
