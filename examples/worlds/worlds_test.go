package worlds

import (
	"testing"

	"github.com/whorl-go/whorl/sim"
)

// Every world holds under a thousand seeds, each with faults of its own.
func TestWorlds(t *testing.T) {
	seeds := 1000
	switch {
	case raced:
		seeds = 10
		t.Logf("%d seeds instead of 1000, because of -race", seeds)
	case testing.Short():
		seeds = 100
		t.Logf("%d seeds instead of 1000, because of -short", seeds)
	}
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) { sim.Test(t, w, seeds) })
	}
}
