package handover_test

import (
	"os"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

// TestMain fails the package if its tests left goroutines or descriptors behind. With childEnv the binary is a
// server.
func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		child(how)
		return
	}
	os.Exit(leaktest.Main(m))
}
