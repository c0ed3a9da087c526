package tlsio_test

import (
	"os"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

// TestMain fails the package if its tests left goroutines or descriptors behind.
func TestMain(m *testing.M) {
	leaktest.Overlap(4) // some of what is parallel computes, and some waits
	os.Exit(leaktest.Main(m))
}
