//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// prober asks every half second, and remembers what happened to it.
type prober struct {
	reactor.Base
	r           *reactor.Reactor
	asked, late time.Duration // when it asked last, and how long the slowest answer took
	lost        int
	next        reactor.DelayedCall
}

func (p *prober) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.r = t.Reactor()
	p.next.Init(p.r, p.ask)
	p.next.Reset(0)
}

func (p *prober) ask() {
	p.asked = p.r.Now()
	p.T.Write([]byte("?"))
}

func (p *prober) DataReceived([]byte) {
	p.late = max(p.late, p.r.Now()-p.asked)
	p.next.Reset(500 * time.Millisecond)
}

func (p *prober) ConnectionLost(error) { p.lost++; p.next.Cancel() }

// buggy is a world with five mistakes, each of which other faults bring out: it bears no
// slow answer, no lost connection, no second start of its server, no wrong clock and no
// server that is away at the end.
func buggy(report func(rule, format string, args ...any) error) sim.World {
	return sim.World{Name: "buggy", Length: 20 * time.Second, Settle: 5 * time.Second, Setup: func(n *sim.Net) sim.Checks {
		n.Config.ReadBuffer = readBuffer
		srv, cli := n.Host("srv"), n.Host("cli")
		p, starts := new(prober), 0
		srv.Start(func(h *sim.Host) {
			if starts++; starts > 1 {
				return
			}
			if _, err := h.Reactor.Listen(h.Addr(7), echoes(), nil); err != nil {
				panic(err)
			}
		})
		n.At(time.Millisecond, func() { cli.Reactor.Dial(srv.Addr(7), single(p), nil, nil) })
		return sim.Checks{
			Always: func() error {
				ahead := srv.Reactor.Now() - n.Now()
				switch {
				case p.late > 400*time.Millisecond:
					return report("slow", "an answer took %v", p.late)
				case p.lost > 0:
					return report("lost", "lost %d connections", p.lost)
				case starts > 2:
					return report("started", "the server started %d times", starts)
				case ahead > 2*time.Second:
					return report("clock", "the server is %v ahead", ahead)
				}
				return nil
			},
			Eventually: []sim.Condition{{Name: "answered", Holds: func() bool { return p.late > 0 }}},
		}
	}}
}

// The minimiser ends on the rule that was broken, in every case, whether rules have names
// or only texts; and the error that comes with the faults is that of a run with them.
func TestMinimisesToTheSameRule(t *testing.T) {
	unnamed := func(_, format string, args ...any) error { return fmt.Errorf(format, args...) }
	for name, report := range map[string]func(string, string, ...any) error{"named": sim.Breach, "unnamed": unnamed} {
		w := buggy(report)
		rules, faults, kept := map[string]int{}, 0, 0
		for seed := range uint64(150) {
			r := w.Run(seed, sim.Swarm(seed))
			if r.Err == nil {
				continue
			}
			least, matter := w.Minimise(r)
			rule := runError(t, r).Rule
			rules[rule]++
			if got := runError(t, least).Rule; got != rule {
				t.Fatalf("%s, seed %d: %q became %q", name, seed, rule, got)
			}
			again := w.Run(seed, least.Options)
			if again.Err == nil || again.Err.Error() != least.Err.Error() || again.Hash != least.Hash {
				t.Fatalf("%s, seed %d: minimised to %v and %v, but that gives %v", name, seed, least.Options, least.Err, again.Err)
			}
			faults, kept = faults+len(r.Options.Classes()), kept+len(matter)
		}
		t.Logf("%s: %v; %d classes became %d", name, rules, faults, kept)
		if len(rules) < 5 || kept*3 > faults {
			t.Errorf("%s: only the rules %v, or %d classes of %d are left", name, rules, kept, faults)
		}
	}
}

// What is left is as weak and as short as it may be.
func TestMinimisesStrengthAndTime(t *testing.T) {
	w := sim.World{Name: "w", Length: time.Minute, Setup: func(n *sim.Net) sim.Checks {
		h := n.Host("a")
		return sim.Checks{Always: func() error {
			if ahead := h.Reactor.Now() - n.Now(); ahead > time.Millisecond && n.Now() > 10*time.Second {
				return sim.Breach("ahead", "%v", ahead)
			}
			return nil
		}, Eventually: []sim.Condition{{Name: "never", Holds: func() bool { return false }}}}
	}}
	for seed := range uint64(20) {
		r := w.Run(seed, sim.Options{Skew: 10 * time.Second, Drop: .1, Clog: 1})
		e := runError(t, r)
		if e.Rule == "never" {
			continue // the clock was drawn right
		}
		least, matter := w.Minimise(r)
		if strings.Join(matter, ",") != "skew" || least.Options.Skew > time.Second {
			t.Errorf("seed %d: %v", seed, least.Options)
		}
		if l := least.Length(); l > 11*time.Second {
			t.Errorf("seed %d: the faults last %v", seed, l)
		}
		if r.Length() != time.Minute {
			t.Errorf("%v", r.Length())
		}
	}
}

// Errors without a name get one of their words, without what differs from run to run.
func TestRuleOfError(t *testing.T) {
	for _, c := range []struct{ err, rule string }{
		{`node 3 is at 1m30.5s and heard "x 9\"" of 10.0.0.1:80`, "node # is at # and heard # of #"},
		{"pointer 0xc000123 after 300ms\nline two 5", "pointer # after #"},
		{"plain", "plain"},
	} {
		w := sim.World{Name: "w", Setup: func(*sim.Net) sim.Checks { return sim.Checks{Always: func() error { return errors.New(c.err) }} }}
		if e := runError(t, w.Run(1, sim.Options{})); e.Rule != c.rule {
			t.Errorf("%q: rule %q, want %q", c.err, e.Rule, c.rule)
		}
	}
	bad := errors.New("bad")
	err := fmt.Errorf("on n1: %w", sim.Breach("agree", "two differ: %w", bad))
	w := sim.World{Name: "w", Setup: func(*sim.Net) sim.Checks { return sim.Checks{End: func() error { return err }} }}
	r := w.Run(1, sim.Options{})
	if e := runError(t, r); e.Rule != "agree" || !errors.Is(r.Err, bad) || !strings.Contains(r.Err.Error(), "on n1: agree: two differ: bad") {
		t.Errorf("%v", e)
	}
}

// A test shows the minimised run's own error, and how the seed failed with all its faults.
func TestShowsTheMinimisedRun(t *testing.T) {
	quiet(t)
	t.Setenv("WHORL_SEED", "1")
	t.Setenv("WHORL_FAULTS", "skew=10s,latency=1ms-5ms")
	w := sim.World{Name: "w", Length: time.Second, Setup: func(n *sim.Net) sim.Checks {
		h := n.Host("a")
		return sim.Checks{Always: func() error { return sim.Breach("ahead", "%v ahead", h.Reactor.Now()-n.Now()) }}
	}}
	got := &tb{name: "TestIt"}
	sim.Test(got, w, 1)
	text := strings.Join(got.errors, "\n")
	first, _, _ := strings.Cut(text, "\n")
	if !strings.HasSuffix(first, "ahead: 0s ahead") || strings.Count(text, "\nfound:   w: seed 1: always") != 1 || !strings.Contains(text, "\nrule:    ahead\n") ||
		strings.Contains(text, "found:   "+first) {
		t.Error(text)
	}
}
