package simmain

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim/fleet"
)

func TestSeedRange(t *testing.T) {
	for text, want := range map[string][2]uint64{
		"": {0, 100}, "1": {0, 1}, "1000": {0, 1000}, "100..200": {100, 101}, "0..0": {0, 1}, "7..7": {7, 1},
	} {
		if first, count, err := (&Command{Seeds: text}).check(); first != want[0] || count != want[1] || err != nil {
			t.Errorf("%q is %d from %d on, and %v; want %v", text, count, first, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "x", "5..4", "1..", "..1", "1..2..3", "99999999999999999999"} {
		_, _, err := (&Command{Seeds: text}).check()
		if _, ok := errors.AsType[*UsageError](err); !ok || !strings.Contains(err.Error(), text) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

// The summary names the rule, how the minimised run fails, and the states that no seed reached;
// JSON has the same.
func TestSummaryTells(t *testing.T) {
	s := &fleet.Summary{
		Ran: 10, Failed: 1, Sometimes: []fleet.Reach{{Name: "away", Seeds: 3}, {Name: "stale"}},
		Explained: []fleet.Verdict{{World: "w", Seed: 4, Error: "one: a and b", Phase: "faults", What: "always", Rule: "one", Faults: "drop=0.1,hold=0.2",
			Least: "hold=0.1", Matter: []string{"hold"}, LeastError: "one: a and c", LeastPhase: "liveness", LeastAt: 3 * time.Second}},
	}
	for _, x := range []struct {
		json  bool
		wants []string
	}{
		{false, []string{"w seed 4: always, in phase faults at 0.000000s: one: a and b\n", "\n  rule:   one\n", "\n  matter: hold\n",
			"\n  least:  always, in phase liveness at 3.000000s: one: a and c\n", "w: seeds that reached each state: away 3\n", "w: NEVER reached: stale\n"}},
		{true, []string{`"sometimes":[{"name":"away","seeds":3},{"name":"stale","seeds":0}],"never":["stale"]`,
			`"rule":"one","least_error":"one: a and c","least_phase":"liveness","least_at_ns":3000000000`}},
	} {
		var out bytes.Buffer
		c := &Command{JSON: x.json}
		if err := c.summary(newPrinter(&out), &fleet.Batch{World: "w", Count: 10}, s); err != ErrFailed {
			t.Error(err)
		}
		for _, want := range x.wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, &out)
			}
		}
	}
}

// The status is 0 only if all seeds were run, and held.
func TestReport(t *testing.T) {
	for _, x := range []struct {
		failed      uint64
		interrupted bool
		want        error
	}{{0, false, nil}, {1, false, ErrFailed}, {0, true, ErrFailed}} {
		c, s := &Command{JSON: true}, &fleet.Summary{Failed: x.failed, Interrupted: x.interrupted}
		if err := c.summary(newPrinter(io.Discard), &fleet.Batch{}, s); err != x.want {
			t.Errorf("%d failed, interrupted %v: %v", x.failed, x.interrupted, err)
		}
	}
}
