package sim_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// When liveness fails, the error names the conditions that are still unmet.
func TestStillWaitsFor(t *testing.T) {
	count := 0
	w := sim.World{Name: "w", Length: time.Second, Setup: func(n *sim.Net) sim.Checks {
		n.Host("lonely")
		count = 0
		return sim.Checks{
			Eventually: []sim.Condition{
				{Name: "late enough", Holds: func() bool { count++; return n.Now() >= time.Second }},
				{Name: "a leader", Holds: func() bool { return false }},
				{Name: "an answer", Holds: func() bool { return false }},
			},
			Done: func() bool { return false },
		}
	}}
	r := w.Run(1, sim.Options{})
	var wait *sim.WaitError
	if !errors.As(r.Err, &wait) || !slices.Equal(wait.Unmet, []string{"a leader", "an answer", "Done"}) || !errors.Is(r.Err, sim.ErrDeadlock) || count == 0 {
		t.Fatalf("%v", r.Err)
	}
	if e := runError(t, r); e.What != "done" || e.Rule != "a leader" || !strings.Contains(e.Error(), "still waits for a leader, an answer, Done: ") || !strings.Contains(e.Error(), "lonely") {
		t.Errorf("%v", e)
	}
}

// All conditions must hold at one moment, and then the run goes on to its end.
func TestEventually(t *testing.T) {
	ended := time.Duration(0)
	w := sim.World{Name: "w", Length: time.Second, Setup: func(n *sim.Net) sim.Checks {
		h := n.Host("a")
		for i := range 10 {
			n.At(time.Duration(i)*time.Second, func() {})
		}
		second := func() int { return int(n.Now() / time.Second) }
		_ = h
		return sim.Checks{
			Eventually: []sim.Condition{
				{Name: "by two", Holds: func() bool { return second()%2 == 0 }},
				{Name: "by three", Holds: func() bool { return second()%3 == 0 }},
			},
			End: func() error { ended = n.Now(); return nil },
		}
	}}
	if r := w.Run(1, sim.Options{}); r.Err != nil || ended != 6*time.Second {
		t.Errorf("ended at %v: %v", ended, r.Err)
	}
}

// visits is a world whose states are reached by some seeds: "even" by each second one.
func visits(failing bool) sim.World {
	return sim.World{Name: "visits", Length: time.Second, Settle: time.Second, Setup: func(n *sim.Net) sim.Checks {
		h := n.Host("a")
		h.Start(func(h *sim.Host) {
			n.Sometimes("even", n.Seed()%2 == 0)
			n.Sometimes("even", false)
			h.Reactor.Sometimes("in the program", true)
			h.Reactor.Sometimes("never in the program", false)
		})
		n.At(time.Second/2, func() {})
		c := sim.Checks{Sometimes: []sim.Condition{
			{Name: "a second passed", Holds: func() bool { return n.Now() >= time.Second }},
			{Name: "for a moment", Holds: func() bool { return n.Now() == time.Second/2 }},
			{Name: "stale read", Holds: func() bool { return false }},
			{Name: "call never reached"},
		}}
		if failing {
			c.Always = func() error { return errors.New("bad") }
		}
		return c
	}}
}

// A run tells which states it reached, and has the moment in its trace; a test of many seeds
// fails on those that none has reached.
func TestSometimes(t *testing.T) {
	quiet(t)
	w := visits(false)
	setup := w.Setup
	kept := w
	kept.Setup = func(n *sim.Net) sim.Checks { n.KeepTrace = true; return setup(n) }
	for seed := range uint64(2) {
		r := kept.Run(seed, sim.Options{})
		var got []string
		for _, s := range r.Sometimes {
			got = append(got, fmt.Sprint(s.Name, " ", s.Reached))
		}
		want := fmt.Sprintf("a second passed true|for a moment true|stale read false|call never reached false|even %v|in the program true|never in the program false", seed == 0)
		if strings.Join(got, "|") != want || r.Err != nil {
			t.Errorf("seed %d: %v, %v", seed, got, r.Err)
		}
		if n := strings.Count(r.Net.Trace(), " reached even\n"); n != int(1-seed) {
			t.Errorf("seed %d: reached %d times in\n%s", seed, n, r.Net.Trace())
		}
		if !strings.Contains(r.Net.Trace(), " a          reached in the program\n") {
			t.Errorf("no host in\n%s", r.Net.Trace())
		}
	}
	for _, c := range []struct {
		seeds  int
		env    string
		failed int
		world  sim.World
	}{
		{100, "", 3, visits(false)},
		{99, "", 0, visits(false)},
		{100, "0..199", 0, visits(false)},
		{200, "", 3, visits(true)}, // it stopped early: failures, and no error about states
	} {
		t.Setenv("WHORL_SEEDS", c.env)
		got := &tb{}
		sim.Test(got, c.world, c.seeds)
		if len(got.errors) != c.failed {
			t.Errorf("%d seeds, %q: %q", c.seeds, c.env, got.errors)
		}
		said := strings.Join(append(got.logs, got.errors...), "\n")
		for _, name := range []string{"stale read", "call never reached"} {
			if !strings.Contains(said, fmt.Sprintf("reached %q", name)) {
				t.Errorf("nothing of %s in\n%s", name, said)
			}
		}
		if c.failed == 3 && c.seeds == 100 && strings.Contains(said, `"never in the program"`) && !strings.Contains(said, "even 50, for a moment 100, in the program 100") {
			t.Errorf("counts in\n%s", said)
		}
	}
}

// A state of the checks is asked after every step until it holds, and never again: what it looks
// at may be gone by then.
func TestSometimesAskedUntilReached(t *testing.T) {
	var asked, reached int
	w := sim.World{Name: "w", Length: 10 * time.Second, Setup: func(n *sim.Net) sim.Checks {
		asked, reached = 0, 0
		n.Host("a")
		for i := range 10 {
			n.At(time.Duration(i)*time.Second, func() {})
		}
		return sim.Checks{Sometimes: []sim.Condition{{Name: "after five seconds", Holds: func() bool {
			asked++
			if n.Now() >= 5*time.Second {
				reached++
			}
			return reached > 0
		}}}}
	}}
	if r := w.Run(1, sim.Options{}); r.Err != nil || asked < 5 || reached != 1 {
		t.Errorf("asked %d times, %d of them when it held: %v", asked, reached, r.Err)
	}
}
