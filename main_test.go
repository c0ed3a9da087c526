package whorl

import (
	"os"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

// TestMain fails the package if its tests left goroutines or descriptors behind.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	leaktest.Overlap(8) // many tests mostly wait
	os.Exit(leaktest.Main(m))
}
