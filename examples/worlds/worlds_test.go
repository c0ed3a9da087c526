package worlds

import (
	"runtime/debug"
	"testing"

	"github.com/whorl-go/whorl/sim"
)

// TestMain has garbage collected less often: a network lives for milliseconds, and there are
// thousands.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	m.Run()
}

// Every world holds under seeds that each have faults of their own. "make worlds" runs a thousand.
func TestWorlds(t *testing.T) {
	seeds := 200
	switch {
	case raced:
		seeds = 4 // two at a time: what runs share by mistake is in each
		t.Logf("%d seeds, because of -race", seeds)
	case testing.Short():
		seeds = 100
		t.Logf("%d seeds, because of -short", seeds)
	}
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) { sim.Test(t, w, seeds) })
	}
}
