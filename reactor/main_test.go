package reactor_test

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

// TestMain fails the package if its tests left goroutines or descriptors behind.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // thousands of reactors live for milliseconds each
	leaktest.Overlap(6)     // TestWrapped holds one place for as long as all tests take, and most others that are parallel wait
	os.Exit(leaktest.Main(m))
}
