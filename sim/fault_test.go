package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// ticker sends a line a second.
type ticker struct {
	reactor.Base
	tick reactor.DelayedCall
}

func (p *ticker) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.tick.Init(t.Reactor(), func() { fmt.Fprintln(t, "tick"); p.tick.Reset(time.Second) })
	p.tick.Reset(time.Second)
}
func (p *ticker) DataReceived([]byte)  {}
func (p *ticker) ConnectionLost(error) { p.tick.Cancel() }

// watcher connects again and again, a second after it lost or did not get the
// connection, and tells.
type watcher struct {
	reactor.Base
	host *sim.Host
	to   kernel.Addr
	say  func(string)
}

func (w *watcher) connect() {
	w.say("connecting")
	w.host.Reactor.Dial(w.to, reactor.One(w), nil,
		func(_ reactor.Protocol, err error) {
			if err != nil {
				w.say("nobody there")
				w.again()
			}
		})
}

func (w *watcher) again() { w.host.Reactor.CallLater(time.Second, w.connect) }

func (w *watcher) ConnectionMade(t reactor.Transport) {
	w.Base.ConnectionMade(t)
	w.say("connected")
}
func (w *watcher) DataReceived([]byte)      { w.say("tick") }
func (w *watcher) ConnectionLost(err error) { w.say("lost"); w.again() }

// A client survives a server that is late, dies, and is cut off for a while.
func TestWatchSurvives(t *testing.T) {
	for seed := range uint64(50) {
		n := sim.New(seed)
		n.Options.Chunk = 1 + int(seed%5)
		n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 9 * time.Millisecond}
		srv, cli := n.Host("srv"), n.Host("cli")
		listen := func() {
			serve(t, srv, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(ticker) }))
		}
		var log []string
		w := &watcher{host: cli, to: srv.Addr(7), say: func(s string) {
			log = append(log, fmt.Sprintf("%v %s", n.Now().Round(time.Second), s))
		}}
		n.At(0, w.connect)
		n.At(2500*time.Millisecond, listen)
		n.At(10*time.Second, srv.Kill)
		n.At(11500*time.Millisecond, listen)
		heal := func() {}
		n.At(20200*time.Millisecond, func() { heal = n.Partition("srv", "cli") })
		n.At(25*time.Second, func() { heal() })
		if err := n.Run(30 * time.Second); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(log, "\n")
		for _, want := range []string{
			"0s connecting\n0s nobody there\n1s connecting\n1s nobody there\n2s connecting\n2s nobody there\n3s connecting\n3s connected",
			"10s lost\n11s connecting\n11s nobody there\n12s connecting\n12s connected",
			"20s tick\n25s tick", // what was held arrived when the partition healed
		} {
			if !strings.Contains(got, want) {
				t.Fatalf("seed %d: want\n%s\nin\n%s", seed, want, got)
			}
		}
	}
}

// connected is an echoing pair of hosts with a connection.
func connected(t *testing.T, seed uint64) (*sim.Net, *sim.Host, *recorder) {
	t.Helper()
	n, srv, cli := two(t, seed, echoes())
	p := new(recorder)
	dial(cli, srv.Addr(7), p)
	must(t, n, func() bool { return p.T != nil })
	return n, srv, p
}

func say(n *sim.Net, p *recorder, text string) {
	n.At(n.Now(), func() { p.T.Write([]byte(text)) })
}

// A crash is heard of at the next contact: by a reset after Restart, or by silence.
func TestCrash(t *testing.T) {
	n, srv, p := connected(t, 1)
	srv.Crash()
	n.Run(time.Hour)
	if p.lost != nil || srv.Up() {
		t.Fatalf("a crash is heard of without contact: %v", p.lost)
	}
	say(n, p, "x")
	n.Run(time.Minute)
	if p.lost != nil {
		t.Fatalf("lost after a minute: %v", p.lost)
	}
	srv.Restart()
	start := n.Now()
	must(t, n, func() bool { return p.lost != nil })
	if !errors.Is(p.lost, kernel.ErrReset) || n.Now() > start+time.Second {
		t.Errorf("after Restart, at %v: %v", n.Now()-start, p.lost)
	}

	n, srv, p = connected(t, 2)
	srv.Crash()
	say(n, p, "x")
	start = n.Now()
	must(t, n, func() bool { return p.lost != nil })
	if passed := n.Now() - start; !errors.Is(p.lost, kernel.ErrTimeout) || passed < 2*time.Minute || passed > 3*time.Minute {
		t.Errorf("after %v: %v", passed, p.lost)
	}
}

// Nothing of a crashed program is called any more.
func TestCrashedIsSilent(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	srv.Reactor.CallLater(time.Second, func() { t.Error("a crashed host's call was made") })
	old := srv.Reactor
	srv.Crash()
	n.Run(2 * time.Second)
	srv.Restart()
	n.Run(2 * time.Second)
	if srv.Reactor == old {
		t.Error("Restart gives no new reactor")
	}
}

// One way is cut: what is asked arrives, and the answer waits; a Hold never times out.
func TestOneWayAndHold(t *testing.T) {
	n, _, p := connected(t, 3)
	heal := n.PartitionOneWay("srv", "cli")
	say(n, p, "question")
	n.Run(time.Minute)
	if p.got.Len() != 0 || !strings.Contains(n.Trace(), "arrive data 8") {
		t.Fatalf("got %q\n%s", p.got.String(), n.Trace())
	}
	heal()
	heal() // a second call does nothing
	n.Run(time.Second)
	if p.got.String() != "question" {
		t.Fatalf("got %q after healing", p.got.String())
	}
	release := n.Hold("srv", "cli")
	say(n, p, "!")
	n.Run(24 * time.Hour)
	if p.lost != nil || p.got.Len() != 8 {
		t.Fatalf("held for a day: %v, %q", p.lost, p.got.String())
	}
	release()
	n.Run(time.Second)
	if p.got.String() != "question!" {
		t.Fatalf("got %q after release", p.got.String())
	}
	heal = n.Partition("srv", "cli")
	defer heal()
	say(n, p, "?")
	must(t, n, func() bool { return p.lost != nil })
	if !errors.Is(p.lost, kernel.ErrTimeout) {
		t.Errorf("partitioned for long: %v", p.lost)
	}
}

func TestClogAndLatency(t *testing.T) {
	n, _, p := connected(t, 4)
	start := n.Now()
	n.Clog("srv", "cli", 10*time.Second)
	say(n, p, "x")
	must(t, n, func() bool { return p.got.Len() == 1 })
	if d := n.Now() - start; d < 10*time.Second || d > 11*time.Second {
		t.Errorf("clogged for 10 s, answered after %v", d)
	}
	n.SetLatency("srv", "cli", time.Second, time.Second)
	start = n.Now()
	say(n, p, "y")
	must(t, n, func() bool { return p.got.Len() == 2 })
	if d := n.Now() - start; d != 2*time.Second {
		t.Errorf("a second each way, answered after %v", d)
	}
}

// What a rule drops is sent again, what it delays comes later, always in order.
func TestRule(t *testing.T) {
	for seed := range uint64(50) {
		n, _, p := connected(t, seed)
		drops, delays := 0, 0
		remove := n.AddRule(func(s *sim.Segment) (v sim.Verdict) {
			if s.FromHost != "cli" && s.From.IP.Port() != 7 {
				t.Errorf("from %s at %v", s.FromHost, s.From)
			}
			switch {
			case s.Kind == sim.DATA && s.Try < 2:
				drops++
				v.Drop = true
			case s.Kind == sim.DATA:
				delays++
				v.Delay = time.Second
			}
			return v
		})
		want := ""
		for i := range 10 {
			text := fmt.Sprintf("line %d\n", i)
			want += text
			n.At(n.Now()+time.Duration(i)*time.Second, func() { p.T.Write([]byte(text)) })
		}
		must(t, n, func() bool { return p.got.Len() >= len(want) })
		if p.got.String() != want || drops < 4 || delays < 2 {
			t.Fatalf("seed %d: %d drops, %d delays, got %q", seed, drops, delays, p.got.String())
		}
		remove()
		n.AddRule(func(s *sim.Segment) sim.Verdict { return sim.Verdict{Drop: true} })
		say(n, p, "in vain")
		must(t, n, func() bool { return p.lost != nil })
		if !errors.Is(p.lost, kernel.ErrTimeout) {
			t.Fatalf("seed %d: everything is dropped: %v", seed, p.lost)
		}
	}
}

// mute never reads.
type mute struct{ reactor.Base }

func (m *mute) ConnectionMade(t reactor.Transport) {
	p, _ := reactor.As[reactor.Producer](t)
	p.PauseProducing()
}

func (m *mute) DataReceived([]byte) {}

// TestFullWindow: who waits for room at a host that crashed learns of the crash when the
// host is up again, or gives up.
func TestFullWindow(t *testing.T) {
	for _, restarts := range []bool{true, false} {
		n := sim.New(1)
		n.Options.SendBuffer, n.Options.RecvBuffer = 100, 100
		srv, cli := n.Host("srv"), n.Host("cli")
		serve(t, srv, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(mute) }))
		p := new(recorder)
		dial(cli, srv.Addr(7), p)
		must(t, n, func() bool { return p.T != nil })
		n.At(n.Now(), func() { p.T.Write(make([]byte, 1000)) })
		n.Run(time.Second)
		srv.Crash()
		n.Run(time.Second)
		want := kernel.ErrTimeout
		if restarts {
			want = kernel.ErrReset
			srv.Restart()
		}
		n.Run(10 * time.Minute)
		if !errors.Is(p.lost, want) {
			t.Errorf("restarts: %v, lost: %v, want %v\n%s", restarts, p.lost, want, n.Table())
		}
	}
}
