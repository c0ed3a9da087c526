package fleet

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// The first failures shown are those of the lowest seeds, in order, whenever they came.
func TestFew(t *testing.T) {
	b := &Batch{}
	for _, seed := range []uint64{9, 4, 7, 1, 8} {
		b.done(Verdict{Seed: seed, Error: "x"})
	}
	if list := b.sum.Explained; len(list) != few || list[0].Seed != 1 || list[1].Seed != 4 || list[2].Seed != 7 || b.sum.Failed != 5 {
		t.Errorf("%d failed, shown are %v", b.sum.Failed, b.sum.Explained)
	}
}

// A state is counted over all seeds, and one that no seed reached is told.
func TestReached(t *testing.T) {
	b := &Batch{}
	b.done(Verdict{Sometimes: []sim.State{{Name: "stale", Reached: true}, {Name: "away"}}})
	b.done(Verdict{Error: "x", Sometimes: []sim.State{{Name: "away"}, {Name: "stale", Reached: true}, {Name: "late"}}})
	if want := []Reach{{"away", 0}, {"late", 0}, {"stale", 2}}; !slices.Equal(b.sum.Sometimes, want) || !slices.Equal(b.sum.Never(), []string{"away", "late"}) {
		t.Errorf("%v, never %v", b.sum.Sometimes, b.sum.Never())
	}
}

// A verdict has the broken rule, the states, and the minimised run's own error.
func TestVerdict(t *testing.T) {
	w := sim.World{Name: "w", Length: 9 * time.Second, Setup: func(n *sim.Net) sim.Checks {
		n.Sometimes("always there", true)
		return sim.Checks{
			Always: func() error {
				if n.Now() >= 2*time.Second {
					return sim.Breach("short", "%d classes", len(n.Options.Classes()))
				}
				return nil
			},
			Eventually: []sim.Condition{{Name: "never", Holds: func() bool { return false }}},
		}
	}}
	faults := "chunk=3,drop=0.1,clog=100"
	v, err := Job{Faults: &faults, Once: true, Minimise: true}.run(w)
	if err != nil || v.Rule == "" || len(v.Sometimes) != 1 || !v.Sometimes[0].Reached || v.LeastError == "" || v.LeastPhase == "" || v.LeastAt == 0 || v.Least == "" {
		t.Errorf("%+v, %v", v, err)
	}
	if strings.Contains(v.LeastError, "3 classes") || v.Rule == "short" && !strings.HasPrefix(v.LeastError, "short: ") {
		t.Errorf("the minimised run says %q", v.LeastError)
	}
}

// An error from Failed ends the batch: no seed is handed out any more.
func TestFailedEnds(t *testing.T) {
	broken := errors.New("broken")
	told := 0
	b := &Batch{Failed: func(Verdict) error { told++; return broken }, now: &fleet{}}
	b.done(Verdict{})
	b.done(Verdict{Error: "x"})
	if told != 1 || b.err != broken || !b.now.ended {
		t.Errorf("told %d times, err %v, ended %v", told, b.err, b.now.ended)
	}
}

// Every seed of the range is handed out once, with the faults that were asked for.
func TestNext(t *testing.T) {
	faults := "drop=0.1"
	b := &Batch{World: "w", First: 7, Count: 2, Faults: &faults, Once: true}
	for _, seed := range []uint64{7, 8} {
		if j, ok := b.next(); !ok || j.Seed != seed || j.World != "w" || j.Faults != &faults || !j.Once || j.Minimise {
			t.Errorf("got %+v, %v", j, ok)
		}
	}
	if j, ok := b.next(); ok {
		t.Errorf("one more: %+v", j)
	}
}

// What the Go runtime says of its end is found in what a process said.
func TestTail(t *testing.T) {
	var b tail
	for range 4000 {
		io.WriteString(&b, strings.Repeat("chatter ", 10)+"\n")
	}
	if len(b.text) > 3*said {
		t.Errorf("%d bytes are kept", len(b.text))
	}
	io.WriteString(&b, "fatal error: all is lost\n\ngoroutine 1\n")
	if got := b.String(); got != "fatal error: all is lost\n\ngoroutine 1" {
		t.Errorf("got %q", got)
	}
}
