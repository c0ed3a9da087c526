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
	os.Exit(leaktest.Main(m))
}
