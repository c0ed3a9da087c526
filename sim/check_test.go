package sim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// tb is a test that only keeps what it is told.
type tb struct {
	name         string
	logs, errors []string
}

func (t *tb) Helper()                   {}
func (t *tb) Name() string              { return t.name }
func (t *tb) Logf(f string, a ...any)   { t.logs = append(t.logs, fmt.Sprintf(f, a...)) }
func (t *tb) Errorf(f string, a ...any) { t.errors = append(t.errors, fmt.Sprintf(f, a...)) }

// talker sends a word a second, and remembers why it lost its connection.
type talker struct {
	reactor.Base
	lost error
	call reactor.DelayedCall
}

func (p *talker) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.call.Init(t.Reactor(), func() { t.Write([]byte("word")); p.call.Reset(time.Second) })
	p.call.Reset(0)
}
func (p *talker) DataReceived([]byte)      {}
func (p *talker) ConnectionLost(err error) { p.lost = err; p.call.Cancel() }

// brittle is a world with a mistake: it does not expect both ends of its connection to
// time out, which takes a partition both ways.
func brittle() sim.World {
	return sim.World{Name: "brittle", Setup: func(n *sim.Net) sim.Checks {
		n.Options.RetryTimeout = 4 * time.Second
		a, b := n.Host("a"), n.Host("b")
		p, q := new(talker), new(talker)
		if _, err := a.Reactor.Listen(a.Addr(7), single(p), nil); err != nil {
			panic(err)
		}
		b.Reactor.Dial(a.Addr(7), single(q), nil, nil)
		return sim.Checks{Always: func() error {
			if errors.Is(p.lost, kernel.ErrTimeout) && errors.Is(q.lost, kernel.ErrTimeout) {
				return errors.New("split brain")
			}
			return nil
		}}
	}}
}

func single(p reactor.Protocol) reactor.Factory {
	return reactor.One(p)
}

// quiet unsets what the environment may say.
func quiet(t *testing.T) {
	for _, name := range []string{"WHORL_SEED", "WHORL_SEEDS", "WHORL_FAULTS"} {
		t.Setenv(name, "")
	}
}

// A mistake that only a partition shows is found, minimised to the partition, and the
// replay line shows it again.
func TestFindsMinimisesReplays(t *testing.T) {
	quiet(t)
	found := &tb{name: "TestBrittle/here"}
	sim.Test(found, brittle(), 200)
	if len(found.errors) != 3 {
		t.Fatalf("%d failures shown, want 3:\n%s", len(found.errors), strings.Join(found.errors, "\n"))
	}
	var ran int
	if fmt.Sscanf(found.logs[0], "brittle: %d seeds,", &ran); ran < 3 || ran > 100 {
		t.Errorf("it did not stop after three: %s", found.logs[0])
	}
	for _, text := range found.errors {
		for _, want := range []string{"split brain", "in phase faults", "\nworld:   brittle\n", "\nfaults:  ", "\nmatter:  partition\n"} {
			if !strings.Contains(text, want) {
				t.Fatalf("no %q in\n%s", want, text)
			}
		}
		m := regexp.MustCompile(`(?m)^replay:  WHORL_SEED=(\d+) WHORL_FAULTS='(.*)' go test -run '\^TestBrittle\$/\^here\$' github\.com/whorl-go/whorl/sim$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no replay line in\n%s", text)
		}
		if strings.Contains(text, "whorl sim") {
			t.Errorf("the tool does not know this world:\n%s", text)
		}
		if !regexp.MustCompile(`^partition=[0-9.]+,length=[0-9.]+s$`).MatchString(m[2]) {
			t.Errorf("the replay line has faults %q", m[2])
		}
		t.Setenv("WHORL_SEED", m[1])
		t.Setenv("WHORL_FAULTS", m[2])
		again := &tb{name: "TestBrittle/here"}
		sim.Test(again, brittle(), 200)
		if len(again.errors) != 1 || !strings.Contains(again.errors[0], "split brain") || !strings.Contains(again.errors[0], m[0]) {
			t.Errorf("replayed: %v", again.errors)
		}
	}
}

// The replay line is for a shell, whatever the name of the test.
func TestReplayLine(t *testing.T) {
	got := sim.ReplayLine("example.com/p", "TestIt/a+b's_(c)", 17, sim.Options{Drop: .1})
	want := `WHORL_SEED=17 WHORL_FAULTS='drop=0.1' go test -run '^TestIt$/^a\+b'\''s_\(c\)$' example.com/p`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The environment says which seeds and faults.
func TestEnvironment(t *testing.T) {
	for _, c := range []struct{ seed, seeds, faults, want string }{
		{"", "", "", "echo: 5 seeds,"},
		{"17", "", "", "echo: 1 seeds,"},
		{"", "7", "", "echo: 7 seeds,"},
		{"", "10..12", "", "echo: 3 seeds,"},
		{"17", "7", "", "echo: 1 seeds,"},
		{"", "", "chunk=3,hold=0.1", "chunk 5, latency 0, bandwidth 0, buffers 0, backlog 0, descriptors 0, spurious 0, drop 0, duplicate 0, reorder 0, packetbuffer 0, clog 0, partition 0, oneway 0, swizzle 0, hold 5,"},
		{"x", "", "", `WHORL_SEED is "x": expected a whole number`},
		{"", "9..3", "", `WHORL_SEEDS is "9..3": expected a number of seeds or a range`},
		{"", "0", "", `WHORL_SEEDS is "0": expected`},
		{"", "3..", "", `WHORL_SEEDS is "3..": expected`},
		{"", "", "drop=7", `class "drop" has value "7"`},
	} {
		t.Setenv("WHORL_SEED", c.seed)
		t.Setenv("WHORL_SEEDS", c.seeds)
		t.Setenv("WHORL_FAULTS", c.faults)
		got := &tb{}
		sim.Test(got, echoWorld(), 5)
		if all := strings.Join(append(got.logs, got.errors...), "\n"); !strings.Contains(all, c.want) {
			t.Errorf("%+v:\n%s", c, all)
		}
		if fails := strings.Contains(c.want, "expected") || strings.Contains(c.want, "value"); fails != (len(got.errors) > 0) {
			t.Errorf("%+v: errors %v", c, got.errors)
		}
	}
}

// runError is r's error as a RunError.
func runError(t *testing.T, r sim.Result) *sim.RunError {
	t.Helper()
	var e *sim.RunError
	if !errors.As(r.Err, &e) {
		t.Fatalf("%v (%T) is no RunError", r.Err, r.Err)
	}
	return e
}

// A world that stands still once the faults are off is a deadlock, with the table; one that
// goes on without end reaches the limit.
func TestLiveness(t *testing.T) {
	stands := sim.World{Name: "stands", Setup: func(n *sim.Net) sim.Checks {
		n.Host("lonely")
		return sim.Checks{Done: func() bool { return false }, End: func() error { t.Error("End is asked"); return nil }}
	}}
	for _, o := range []sim.Options{{}, {Clog: .01, Partition: .01, Hold: 100, Spurious: .5}} {
		r := stands.Check(1, o)
		if e := runError(t, r); !errors.Is(r.Err, sim.ErrDeadlock) || e.Phase != sim.InLiveness || e.What != "done" ||
			!strings.Contains(r.Err.Error(), "lonely") {
			t.Errorf("with %v: %v", o, r.Err)
		}
		if r.Now < time.Minute || r.Now > time.Minute+time.Second {
			t.Errorf("with %v: ended after %v", o, r.Now)
		}
	}
	ticks := sim.World{Name: "ticks", Length: time.Second, Settle: 10 * time.Second, Setup: func(n *sim.Net) sim.Checks {
		h := n.Host("clock")
		var call reactor.DelayedCall
		call.Init(h.Reactor, func() { call.Reset(time.Second) })
		call.Reset(0)
		return sim.Checks{Done: func() bool { return false }}
	}}
	r := ticks.Run(1, sim.Options{})
	if e := runError(t, r); !errors.Is(r.Err, sim.ErrLimit) || e.Phase != sim.InLiveness || e.At.Round(time.Millisecond) != 11*time.Second {
		t.Errorf("%v", r.Err)
	}
}

// A world with something the seed does not decide is caught, and where it happened is shown.
func TestDiverges(t *testing.T) {
	for name, setup := range map[string]func(h *sim.Host, w func(int)){
		"random": func(h *sim.Host, w func(int)) {
			h.Reactor.CallLater(time.Duration(rand.Int64N(int64(10*time.Second))), func() { w(1) })
		},
		"map": func(h *sim.Host, w func(int)) {
			m := map[int]bool{}
			for i := range 100 {
				m[i+1] = true
			}
			at := time.Second
			for i := range m {
				at += time.Second / 10
				h.Reactor.CallLater(at, func() { w(i) })
			}
		},
	} {
		w := sim.World{Name: name, Setup: func(n *sim.Net) sim.Checks {
			srv, cli := n.Host("srv"), n.Host("cli")
			srv.Reactor.Listen(srv.Addr(7), echoes(), nil)
			p := new(recorder)
			dial(cli, srv.Addr(7), p)
			setup(cli, func(m int) { p.T.Write(make([]byte, m)) })
			return sim.Checks{}
		}}
		r := w.Check(1, sim.Options{})
		var d *sim.DivergedError
		if !errors.Is(r.Err, sim.ErrDiverged) || !errors.As(r.Err, &d) {
			t.Fatalf("%s: %v", name, r.Err)
		}
		if d.Line < 2 || d.First == d.Second || d.Before == "" || !strings.Contains(r.Err.Error(), d.First) {
			t.Errorf("%s: %+v", name, d)
		}
		if least, _ := w.Minimise(r); least.Options.Without("length") != (sim.Options{}) || !errors.Is(least.Err, sim.ErrDiverged) {
			t.Errorf("%s: minimised to %v, %v", name, least.Options, least.Err)
		}
	}
}

// What is asked in a run, in which order, and what becomes of what it says.
func TestRunFailures(t *testing.T) {
	bad := errors.New("bad")
	for _, c := range []struct {
		what  string
		phase sim.Phase
		setup func(n *sim.Net) sim.Checks
	}{
		{"always", sim.InFaults, func(n *sim.Net) sim.Checks {
			return sim.Checks{Always: func() error { return bad }}
		}},
		{"always", sim.InLiveness, func(n *sim.Net) sim.Checks {
			return sim.Checks{Done: func() bool { return false }, Always: func() error {
				if n.Now() > time.Minute {
					return bad
				}
				return nil
			}}
		}},
		{"end", sim.InEnd, func(n *sim.Net) sim.Checks { return sim.Checks{End: func() error { return bad }} }},
		{"panic", sim.InSetup, func(n *sim.Net) sim.Checks { panicky(bad); return sim.Checks{} }},
		{"panic", sim.InFaults, func(n *sim.Net) sim.Checks {
			n.Host("a").Reactor.CallLater(time.Second, func() { panicky(bad) })
			return sim.Checks{}
		}},
		{"panic", sim.InFaults, func(n *sim.Net) sim.Checks {
			n.At(time.Second, func() { panicky(bad) })
			return sim.Checks{}
		}},
		{"panic", sim.InLiveness, func(n *sim.Net) sim.Checks {
			return sim.Checks{Done: func() bool { panicky(bad); return true }}
		}},
		{"panic", sim.InClose, func(n *sim.Net) sim.Checks {
			n.Host("a").Reactor.AddTrigger(reactor.Before, reactor.Shutdown, func() { panicky(bad) })
			return sim.Checks{}
		}},
	} {
		w := sim.World{Name: "w", Setup: c.setup}
		r := w.Run(7, sim.Options{Partition: .1})
		e := runError(t, r)
		if e.What != c.what || e.Phase != c.phase || !errors.Is(r.Err, bad) || e.Seed != 7 || e.World != "w" {
			t.Errorf("want %s in %s: %v", c.what, c.phase, r.Err)
		}
		if c.what == "panic" && !strings.Contains(r.Err.Error(), "panicky") {
			t.Errorf("no stack: %v", r.Err)
		}
	}
}

func panicky(err error) { panic(err) }

// A mistake of the world's own is not taken for the end of a phase.
func TestAlwaysMayFailWithLimit(t *testing.T) {
	w := sim.World{Name: "w", Setup: func(n *sim.Net) sim.Checks {
		return sim.Checks{Always: func() error { return sim.ErrLimit }}
	}}
	if e := runError(t, w.Run(1, sim.Options{})); e.What != "always" || e.Phase != sim.InFaults {
		t.Error(e)
	}
}

// hasty is a kernel whose clock is ahead, so that its timers run early.
type hasty struct{ kernel.Kernel }

func (k hasty) Now() time.Duration { return k.Kernel.Now() + time.Millisecond }
func (k hasty) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	return k.Kernel.Wait(ev, until-time.Millisecond)
}
func (k hasty) Unwrap() kernel.Kernel { return k.Kernel }

// A broken invariant ends a run, even if the world would find something too.
func TestInvariantEndsRun(t *testing.T) {
	w := sim.World{Name: "hasty", Setup: func(n *sim.Net) sim.Checks {
		n.Wrap = func(_ *sim.Host, k kernel.Kernel) kernel.Kernel { return hasty{k} }
		called := false
		n.Host("a").Start(func(h *sim.Host) { h.Reactor.CallLater(time.Second, func() { called = true }) })
		return sim.Checks{Always: func() error {
			if called {
				return errors.New("called")
			}
			return nil
		}}
	}}
	r := w.Run(1, sim.Options{Chunk: 3, Hold: 1})
	var broken *sim.InvariantError
	if e := runError(t, r); e.What != "invariant" || !errors.As(r.Err, &broken) || broken.Rule != sim.RuleEarly {
		t.Fatal(r.Err)
	}
	if least, left := w.Minimise(r); least.Options.Without("length") != (sim.Options{}) || left != nil {
		t.Errorf("minimised to %v", least.Options)
	}
}
