//go:build !race

// One goroutine searches: the race detector could find nothing here, and makes it take
// seconds.

package worlds

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/examples/discovery/leasing"
	"github.com/whorl-go/whorl/sim"
)

// The seeds find the mistake of DemoBug: two hold the lease, or one holds it that does not
// know what the other has added. The docs chapter "Testing with a seed" walks through it.
func TestHastyLeaseIsFound(t *testing.T) {
	const seeds = 200
	w := DemoBug()
	var simple sim.Result // the failure that needs the fewest fault classes
	var matter []string
	found := 0
	for seed := range uint64(seeds) {
		r := w.Run(seed, sim.Swarm(seed))
		if r.Err == nil {
			continue
		}
		if found++; !strings.Contains(r.Err.Error(), "the lease") {
			t.Fatalf("found something else: %v", r.Err)
		}
		least, classes := w.Minimise(r)
		if matter == nil || len(classes) < len(matter) {
			simple, matter = least, classes
		}
	}
	if found == 0 {
		t.Fatalf("not found in %d seeds", seeds)
	}
	t.Logf("%d of up to %d seeds find it", found, seeds)
	again := kept(w).Run(simple.Seed, simple.Options)
	if again.Err == nil || again.Err.Error() != simple.Err.Error() {
		t.Fatalf("seed %d with %v fails with %v, not with %v", simple.Seed, simple.Options, again.Err, simple.Err)
	}
	t.Logf("%v\nfaults: %v\nmatter: %v\n%s", again.Err, simple.Options, matter, marks(again.Net, 30))
	if right := Lease().Run(simple.Seed, simple.Options); right.Err != nil {
		t.Errorf("without the mistake: %v", right.Err)
	}
}

// kept is w with its trace kept.
func kept(w sim.World) sim.World {
	setup := w.Setup
	w.Setup = func(n *sim.Net) sim.Checks {
		n.KeepTrace = true
		return setup(n)
	}
	return w
}

// marks are the last lines that the world itself put into the trace, and the faults
// between them.
func marks(n *sim.Net, last int) string {
	var lines []string
	for e := range n.Events() {
		switch {
		case e.Text != "" && e.Op == sim.OpMark:
			lines = append(lines, fmt.Sprintf("%-14v %-4s %s", e.At, e.Host, e.Text))
		case e.Op.Fault() && e.Op != sim.OpClog && e.Op != sim.OpClock:
			lines = append(lines, fmt.Sprintf("%-14v %-4s * %v", e.At, e.Host, e.Op))
		}
	}
	return strings.Join(lines[max(0, len(lines)-last):], "\n")
}

// A server that does not look at the numbers of releases lets an old one that comes late end the present
// lease. The seeds find it.
func TestForgetfulServerIsFound(t *testing.T) {
	const seeds = 20
	w := discoveryWorld(func(w *discovery, s *leasing.Server) {
		w.simple = true // the other check would find it first
		s.Tap = func(m *leasing.Message) {
			if m.Kind == leasing.Release {
				m.Number = math.MaxUint64
			}
		}
	})
	found := 0
	for seed := range uint64(seeds) {
		r := w.Run(seed, sim.Swarm(seed))
		if r.Err == nil {
			continue
		}
		if found++; found > 1 {
			continue
		}
		least, classes := w.Minimise(r)
		t.Logf("%v\nfaults: %v\nmatter: %v\n%s", least.Err, least.Options, classes, marks(kept(w).Run(least.Seed, least.Options).Net, 12))
		if e, ok := errors.AsType[*sim.RunError](r.Err); !ok || e.Rule != "one holder" {
			t.Fatalf("found something else: %v", r.Err)
		}
		if right := Discovery().Run(least.Seed, least.Options); right.Err != nil {
			t.Errorf("without the mistake: %v", right.Err)
		}
	}
	if found == 0 {
		t.Fatalf("not found in %d seeds", seeds)
	}
	t.Logf("%d of %d seeds find it", found, seeds)
}
