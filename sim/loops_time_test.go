package sim_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// A loop that was quiet for long, or gets its first client late, goes by the same rate as the others: nobody waits for as long as
// the quiet was, whatever the clocks of the loops say.
func TestLoopsRateAfterQuiet(t *testing.T) {
	n := sim.New(5)
	hosts := n.Host("srv").Loops(4)
	var rs []*reactor.Reactor
	for i, h := range hosts {
		h.SetClock(time.Duration(4-i)*time.Hour, 0)
		rs = append(rs, h.Reactor)
	}
	if rs[0].Now() <= rs[3].Now() {
		t.Fatal("the loops have one clock")
	}
	g := reactor.GroupOf(reactor.GroupConfig{}, rs...)
	port, err := g.Listen(hosts[0].Addr(7), reactor.Each[indexer](), &reactor.ListenConfig{PortLimits: reactor.PortLimits{AcceptRate: 200, AcceptBurst: 1}})
	if err != nil {
		t.Fatal(err)
	}
	cli := n.Host("cli")
	visit(t, n, cli, port.Addr(), 1)
	const quiet = time.Minute
	if err := n.Run(quiet); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 40 {
		began := cli.Reactor.Now()
		seen[visit(t, n, cli, port.Addr(), 1)] = true
		if took := cli.Reactor.Now() - began; took > quiet/2 {
			t.Errorf("GROUP-5: a client waited %v at a rate of 200 a second", took)
		}
	}
	if len(seen) < 2 {
		t.Error("one loop served all, so this tested nothing")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// GROUP-8: while a stop awaits the functions of AddStopTrigger, StopTimeout is its limit, and not the ShutdownTimeout of a loop, also of
// the one that was asked to stop. The time of that begins when the stop has come to the loop.
func TestLoopsStopLimit(t *testing.T) {
	for _, limit := range []time.Duration{time.Hour, 2 * time.Minute} {
		n := sim.New(6)
		n.Config.ShutdownTimeout = time.Minute
		hosts := n.Host("srv").Loops(3)
		var rs []*reactor.Reactor
		for _, h := range hosts {
			rs = append(rs, h.Reactor)
		}
		g := reactor.GroupOf(reactor.GroupConfig{StopTimeout: limit}, rs...)
		release := func() {}
		rs[1].AddWaitTrigger(reactor.Shutdown, func(done func()) { release = done })
		g.AddStopTrigger(func(done func()) { rs[0].CallLater(10*time.Minute, done) })
		ended := func(r *reactor.Reactor) bool {
			select {
			case <-r.Done():
				return true
			default:
				return false
			}
		}
		run := func(d time.Duration) {
			t.Helper()
			if err := n.Run(d); err != nil {
				t.Fatal(err)
			}
		}
		run(time.Second)
		if err := rs[1].Stop(); err != nil {
			t.Fatal(err)
		}
		if run(110 * time.Second); ended(rs[1]) {
			t.Errorf("GROUP-8: a loop has ended by its own limit, and that of the group is %v", limit)
		}
		if limit == time.Hour {
			run(8*time.Minute + 30*time.Second) // the stop comes to the loop after 10 minutes
			if ended(rs[1]) {
				t.Error("GROUP-8: the time of the loop began too early")
			}
			release()
		}
		run(time.Minute)
		for i, r := range rs {
			if !ended(r) {
				t.Errorf("GROUP-8: loop %d has not ended, and the limit was %v", i, limit)
			}
		}
		select {
		case <-g.Done():
		default:
			t.Error("GROUP-8: the group has not ended")
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// GROUP-9, GROUP-12: the only loop of a group is killed and replaced: its ports are served again, and the factory is stopped once, at the end.
func TestLoopsReplaceTheOnly(t *testing.T) {
	n := sim.New(7)
	h := n.Host("srv").Loops(1)[0]
	g := reactor.GroupOf(reactor.GroupConfig{}, h.Reactor)
	f := &starts{Factory: reactor.Each[indexer]()}
	port, err := g.Listen(h.Addr(7), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Start(func(h *sim.Host) {
		if g.Loop(0) != h.Reactor {
			g.Replace(0, h.Reactor)
		}
	})
	cli := n.Host("cli")
	visit(t, n, cli, port.Addr(), 2)
	h.Kill()
	if err := n.Run(time.Second); err != nil { // it starts again
		t.Fatal(err)
	}
	visit(t, n, cli, port.Addr(), 2)
	if f.started != 1 || f.stopped != 0 || port.Stats().Accepted != 4 {
		t.Errorf("GROUP-12: started %d times, stopped %d; %+v", f.started, f.stopped, port.Stats())
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if err := n.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if f.started != 1 || f.stopped != 1 {
		t.Errorf("GROUP-12: started %d times, stopped %d", f.started, f.stopped)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// starts counts.
type starts struct {
	reactor.Factory
	started, stopped int
}

func (f *starts) Unwrap() reactor.Factory { return f.Factory }
func (f *starts) StartFactory() error     { f.started++; return nil }
func (f *starts) StopFactory() error      { f.stopped++; return nil }
