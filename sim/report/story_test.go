package report

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// A clog ends when the faults do.
func TestClogEndsWithFaults(t *testing.T) {
	s := build([]sim.TraceEvent{{At: 10 * time.Millisecond, Host: "a", Op: sim.OpClog, From: "a", To: "b", Lasts: time.Hour, Text: "1h"}}, 400*time.Millisecond, 350*time.Millisecond)
	if len(s.spans) != 1 || s.spans[0].end != 350*time.Millisecond {
		t.Errorf("spans %v", s.spans)
	}
}
