package sim_test

import (
	"runtime/debug"
	"testing"
)

// TestMain has garbage collected less often: thousands of networks are made here that live
// for milliseconds, and the heap never grows large.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	m.Run()
}
