package netconn_test

import (
	"os"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
)

func TestMain(m *testing.M) {
	leaktest.Overlap(8) // many tests mostly wait
	os.Exit(leaktest.Main(m))
}
