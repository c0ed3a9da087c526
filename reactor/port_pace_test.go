package reactor_test

import (
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// TCP-95: after a burst connections are accepted at AcceptRate, never earlier, and the port sleeps
// meanwhile. After a quiet time there is a burst again.
func TestAcceptRate(t *testing.T) {
	const every = 50 * time.Millisecond
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		g := newLimited(t, w, reactor.PortLimits{AcceptRate: 20, AcceptBurst: 3})
		var at []time.Duration
		g.build = func(kernel.Addr) reactor.Protocol {
			at = append(at, g.r.Now())
			if len(at)%2 == 0 {
				return nil // one that the factory refuses takes its time too
			}
			return new(end)
		}
		clients := g.crowd(t, 8)
		start := g.r.Now()
		until(t, g.r, func() bool { return len(at) == 8 })
		for i, now := range at {
			due := max(0, time.Duration(i-2)) * every
			if d := now - start; d < due || w.Simulated() && d > due+time.Millisecond {
				t.Errorf("connection %d came after %v, want %v", i, d, due)
			}
		}
		waited := g.port.Stats().WaitedRate // a loop that is late has two due at once
		if s := g.port.Stats(); waited > 5 || waited < 5 && (w.Simulated() || waited == 0) || s.Accepted != 8 || s.Open != 4 {
			t.Errorf("%+v", s)
		}
		for _, i := range []int{1, 7} {
			if err := ended(clients[i]); err != io.EOF {
				t.Errorf("client %d sees %v", i, err)
			}
		}
		testworld.Turns(t, g.r, 2)
		if n := len(g.r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls while nobody waits", n)
		}
		quiet := false
		g.r.CallLater(3*every, func() { quiet = true })
		until(t, g.r, func() bool { return quiet })
		g.crowd(t, 3)
		start = g.r.Now()
		until(t, g.r, func() bool { return len(at) == 11 })
		if d := at[10] - start; w.Simulated() && d > time.Millisecond || g.port.Stats().WaitedRate != waited {
			t.Errorf("the burst took %v, %+v", d, g.port.Stats())
		}
	})
}

// TCP-95: what a limit refuses takes nothing from the rate, so one peer's flood does not slow the
// others down.
func TestAcceptRateWithoutRefused(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{AcceptRate: 1, AcceptBurst: 3, MaxPerPeer: 1})
		for range 30 {
			g.k.next = append(g.k.next, "192.0.2.1")
		}
		g.k.next = append(g.k.next, "192.0.2.2", "192.0.2.3")
		g.crowd(t, 32)
		start := g.r.Now()
		g.comes(t, 3)
		if d := g.r.Now() - start; w.Simulated() && d > time.Millisecond || g.port.Stats().TooManyOfPeer != 29 {
			t.Errorf("it took %v, %+v", d, g.port.Stats())
		}
	})
}

// Rates and bursts that a program would not choose work all the same.
func TestAcceptRateExtremes(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, o := range []reactor.PortLimits{
			{AcceptRate: math.MaxInt}, {AcceptRate: 1, AcceptBurst: math.MaxInt}, {AcceptRate: math.MaxInt, AcceptBurst: math.MaxInt},
			{AcceptRate: 1 << 20}, {AcceptRate: 7}, {AcceptBurst: 1},
		} {
			g := newLimited(t, w, o)
			g.crowd(t, 7)
			g.comes(t, 7)
			if s := g.port.Stats(); s.WaitedRate != 0 {
				t.Errorf("%+v: %+v", o, s)
			}
			g.r.Close()
		}
	})
}

// TCP-97: while the port is paused clients connect and wait, the others are served, and nothing is
// lost.
func TestPauseAccepting(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{})
		g.port.PauseAccepting() // before the first accept
		g.port.PauseAccepting()
		clients := g.crowd(t, 3)
		clients[0].Write([]byte("hello"))
		until(t, g.r, func() bool { return g.port.Stats().WaitedPaused == 1 })
		g.stays(t)
		if !g.port.Listening() || len(g.ends) != 0 {
			t.Errorf("listening %v, %d built", g.port.Listening(), len(g.ends))
		}
		g.port.ResumeAccepting()
		g.port.ResumeAccepting()
		g.comes(t, 3)

		// In a callback it holds for the rest of the clients that wait.
		g.build = func(kernel.Addr) reactor.Protocol {
			g.port.PauseAccepting()
			e := new(end)
			g.ends = append(g.ends, e)
			return e
		}
		g.crowd(t, 3)
		g.comes(t, 4)
		g.stays(t)
		clients[1].Write([]byte("hello"))
		until(t, g.r, func() bool { return string(g.ends[1].got) == "hello" })
		g.build = nil
		g.port.ResumeAccepting()
		g.comes(t, 6)
		if s := g.port.Stats(); s.Accepted != 6 || s.Refused != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TCP-97: a pause outlasts stopping and starting. One who waits in a port that is stopped
// then is reset.
func TestPauseAcceptingOutlastsStop(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{})
		g.port.PauseAccepting()
		c := g.crowd(t, 1)[0]
		stopped(t, g.port)
		seesReset(t, c)
		if err := g.port.StartListening(); err != nil {
			t.Fatal(err)
		}
		g.crowd(t, 1)
		until(t, g.r, func() bool { return g.port.Stats().WaitedPaused == 1 })
		g.stays(t)
		stopped(t, g.port)
		arms := g.faults.Calls["Arm"]
		g.port.ResumeAccepting() // of a stopped port: no more than that
		if n := g.faults.Calls["Arm"] - arms; n != 0 || g.port.Listening() {
			t.Errorf("%d arms of a stopped port", n)
		}
		if err := g.port.StartListening(); err != nil {
			t.Fatal(err)
		}
		g.crowd(t, 1)
		g.comes(t, 1)

		// Resumed before the queue is looked at, it gives that up too.
		g.port.PauseAccepting()
		g.crowd(t, 2)
		g.port.StopListening(nil)
		g.port.ResumeAccepting()
		g.comes(t, 3)
	})
}

// A port that accepts already is left alone: ResumeAccepting without a pause, and the end of
// a connection, ask nothing of the kernel. After a restart it is the same.
func TestAcceptingPortIsLeftAlone(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 9})
		for i := range 2 {
			g.crowd(t, 1)
			g.comes(t, i+1)
			arms := g.faults.Calls["Arm"]
			g.end(t, i)
			g.port.ResumeAccepting()
			if n := g.faults.Calls["Arm"] - arms; n != 0 {
				t.Errorf("%d arms", n)
			}
			stopped(t, g.port)
			if err := g.port.StartListening(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TCP-99: reasons to wait do not cut each other short: the port goes on when none is left, and
// costs no turn until then.
func TestReasonsToWait(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 1, AcceptRate: 10, AcceptBurst: 1})
		g.crowd(t, 3)
		g.comes(t, 1)
		until(t, g.r, func() bool { return g.port.Stats().WaitedFull == 1 })
		arms := g.faults.Calls["Arm"]
		g.port.PauseAccepting()
		g.end(t, 0)
		g.stays(t)
		if n := g.faults.Calls["Arm"] - arms; n != 0 {
			t.Errorf("%d arms while paused", n)
		}
		g.port.ResumeAccepting()
		g.comes(t, 2)
		until(t, g.r, func() bool { return g.port.Stats().WaitedFull == 2 })
		arms = g.faults.Calls["Arm"]
		g.port.PauseAccepting()
		g.port.ResumeAccepting()
		g.stays(t)
		if n := g.faults.Calls["Arm"] - arms; n != 0 {
			t.Errorf("%d arms while full", n)
		}
		g.end(t, 1)
		g.comes(t, 3)
	})
}

// TCP-99: neither a pause nor the end of a connection cuts the wait for the rate short.
func TestReasonsToWaitForTheRate(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{AcceptRate: 10, AcceptBurst: 1})
		g.crowd(t, 2)
		g.comes(t, 1)
		until(t, g.r, func() bool { return g.port.Stats().WaitedRate == 1 })
		arms := g.faults.Calls["Arm"]
		g.port.PauseAccepting()
		g.port.ResumeAccepting()
		g.end(t, 0)
		if n := g.faults.Calls["Arm"] - arms; n != 0 {
			t.Errorf("%d arms before the next is due", n)
		}
		g.comes(t, 2)
		g.crowd(t, 1)
		until(t, g.r, func() bool { return g.port.Stats().WaitedRate == 2 })
		stopped(t, g.port)
		if n := len(g.r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls of a stopped port", n)
		}
	})
}

// A port that was stopped by the callback before its own event waits for nothing more.
func TestStopListeningBeforeTheWait(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{AcceptRate: 1, AcceptBurst: 1})
		c := g.crowd(t, 1)[0]
		g.comes(t, 1)
		done := false
		g.ends[0].onData = func([]byte) { g.port.StopListening(func(error) { done = true }) }
		c.Write([]byte("stop"))
		g.crowd(t, 1)
		until(t, g.r, func() bool { return done })
		if n := len(g.r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls of a stopped port", n)
		}
	})
}

// A failure to accept pauses a port with limits as any other, and its rest is not cut short by
// the end of a connection or of a pause (TCP-19).
func TestLimitsAndRest(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newLimited(t, w, reactor.PortLimits{MaxConnections: 2})
		g.crowd(t, 1)
		g.comes(t, 1)
		g.crowd(t, 1)
		g.faults.Accept = func() error { return kernel.ErrNoResources }
		start := g.r.Now() // before the rest of 50 ms begins
		g.wake(t)
		g.faults.Accept = nil
		arms := g.faults.Calls["Arm"]
		g.port.PauseAccepting()
		g.port.ResumeAccepting()
		g.end(t, 0)
		if n := g.faults.Calls["Arm"] - arms; n != 0 && g.r.Now()-start < 40*time.Millisecond {
			t.Errorf("%d arms in the rest", n)
		}
		g.comes(t, 2)
		if d := g.r.Now() - start; d < 40*time.Millisecond {
			t.Errorf("rested %v", d)
		}
	})
}

// TCP-94: in a simulated network one host floods a port, and others are served in the same
// virtual time as without the flood.
func TestFloodOfOneHost(t *testing.T) {
	for seed := range simSeeds() {
		n := sim.New(seed)
		n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 5 * time.Millisecond}
		srv, flood, other := n.Host("srv"), n.Host("flood"), n.Host("other")
		echoes := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			e := new(end)
			e.onData = func(p []byte) { e.s.Write(p) }
			return e
		})
		p, err := srv.Reactor.Listen(srv.Addr(7), echoes, &reactor.ListenConfig{
			PortLimits: reactor.PortLimits{MaxConnections: 20, MaxPerPeer: 10, AcceptRate: 1000},
		})
		if err != nil {
			t.Fatal(err)
		}
		reset := 0
		count := func(err error) {
			// A simulated reset may overtake the answer to the attempt.
			if errors.Is(err, kernel.ErrReset) || errors.Is(err, kernel.ErrRefused) {
				reset++
			}
		}
		var attack func()
		attack = func() {
			e := &end{onLost: count}
			flood.Reactor.Dial(srv.Addr(7), one(e), nil, func(_ reactor.Protocol, err error) { count(err) })
			flood.Reactor.CallLater(time.Millisecond, attack)
		}
		attack()
		n.Run(time.Second)
		if s := p.Stats(); s.Open != 10 || s.Peers != 1 || s.TooManyOfPeer < 500 || reset < 500 {
			t.Fatalf("seed %d: %+v, %d of the flood were reset", seed, s, reset)
		}
		var served int
		for range 10 {
			e := new(end)
			e.onMade = func() { e.s.Write([]byte("hello")) }
			e.onData = func([]byte) {
				if string(e.got) == "hello" {
					served++
				}
			}
			other.Reactor.Dial(srv.Addr(7), one(e), nil, nil)
		}
		if err := n.RunUntil(func() bool { return served == 10 }, 200*time.Millisecond); err != nil {
			t.Errorf("seed %d: %d of 10 were served: %v, %+v", seed, served, err, p.Stats())
		}
	}
}
